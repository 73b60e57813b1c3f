"""Who is silent: this program, its client, the path or the provider? A pure function of what the witnesses say.

One end of a connection cannot see everything, and a blame says how far it can see:

- *us*: bytes lie here unread, this program or its canary stood still long enough to make the silence a stall, the
  machine slept, or streams of several hosts all stopped in the same instant;
- *client*: kmon passes the stream on, and the program that asked for it does not take it, so no more is read;
- *path*: nobody at the other end acknowledges. A dead path and a dead machine at its end look the same from here;
- *provider*: its server still sends comments or empty chunks (certain), or its kernel answers and no data comes
  (likely: whoever ends the TCP connection answers, which may be a load balancer or a middlebox);
- *unknown*: the witnesses are missing, or have not answered yet, and the evidence says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from kmon.catalog.signatures import OF_THIS_MACHINE
from kmon.dialects.delta import StreamError
from kmon.transport.tcp_info import TcpState

Party = Literal["us", "client", "path", "provider", "unknown"]
Certainty = Literal["certain", "likely", "cannot tell"]

MS, S = 1_000_000, 1_000_000_000
PATIENCE_NS = 2 * S
"""How long the peer's kernel may take to acknowledge before it does not: two questions and two round trips."""
FRESH_NS = 3 * S
"""An acknowledgement older than this, while the peer is asked once a second, says nothing about now."""
OWN_SHARE = 0.2
"""The part of the stall threshold that this program must have stood still before that is worth a word."""
LYING_MS = 200
"""Bytes that arrived longer ago than this and are still unread are not just being read."""
NEARER: dict[Party, str] = {"us": "us", "client": "the client"}
"""Who is nearer than path and provider, in words: a silence of theirs accuses nobody beyond."""


class Blame(Struct, frozen=True):
    """Whose silence it is, in words a support engineer would accept. ``why`` is a few words, for a pane."""

    name: Party
    certainty: Certainty
    why: str
    evidence: str

    @property
    def brief(self) -> str:
        """``provider, likely: TCP answers, no data``."""
        if self.name == "unknown":
            return f"{self.certainty}: {self.why}"
        return f"{self.name}{', likely' if self.certainty == 'likely' else ''}: {self.why}"

    @property
    def own(self) -> bool:
        """Whether the silence is certainly this program's or its machine's: it says nothing about anybody else."""
        return self.name == "us" and self.certainty == "certain"

    @property
    def nearer(self) -> str | None:
        """``us`` or ``the client``; None where it is the path, the provider, or nobody knows."""
        return NEARER.get(self.name)


@dataclass(frozen=True, slots=True)
class Silence:
    """What is known of one silence. Durations are ns; None where nobody watches, or nobody can tell here."""

    gap_ns: int
    stall_ns: int
    heard_ns: int | None = None
    """Since the last byte of any kind, comments included."""
    witness: TcpState | None = None
    before: TcpState | None = None
    """An earlier look in the same silence."""
    asked_ns: int | None = None
    """Since the peer's kernel was first asked for a sign of life in this silence."""
    late_ns: int | None = None
    canary_mute_ns: int | None = None
    asleep_ns: int | None = None
    wall_step_ns: int = 0
    together: int = 0
    """Streams that all fell silent in the same instant, of more than one host; 0 if they did not."""
    client_ns: int = 0
    """For how long a client to whom the stream is passed on has kept it waiting."""
    between: str = ""
    """What ends the TCP connection in the provider's place: ``proxy``, ``gateway``; empty where nothing is known to."""

    @property
    def acked(self) -> bool:
        """Whether the peer's kernel has acknowledged since it was asked, and still does."""
        quiet_ns = self.quiet_ns
        return quiet_ns is not None and self.asked_ns is not None and quiet_ns < min(self.asked_ns, FRESH_NS)

    @property
    def quiet_ns(self) -> int | None:
        """Since the peer's kernel last acknowledged anything."""
        return None if self.witness is None else self.witness.last_ack_received_ms * MS

    @property
    def sent_again(self) -> int:
        """Segments of ours that were sent again in this silence, or are still waiting to get through."""
        seen = self.witness
        if seen is None:
            return 0
        if self.before is not None and seen.retransmits > self.before.retransmits:
            return seen.retransmits - self.before.retransmits
        return seen.retransmits if seen.unacked else 0

    @property
    def lively(self) -> bool:
        """Whether the server itself still sends something, though no output."""
        return self.heard_ns is not None and self.heard_ns < min(self.stall_ns, self.gap_ns // 2)


def blame(said: Silence) -> Blame:
    """Weigh the witnesses: those at home first, since what they explain needs nobody else."""
    name, certainty, why, sentence = _own(said) or _far(said)
    facts = ", ".join(_facts(said))
    return Blame(name, certainty, why, f"{facts}: {sentence}" if facts else sentence)


def own_fault(error: StreamError | None) -> Blame | None:
    """Whose failure an error is that this machine made before anybody was asked; None for any other."""
    if error is None or error.kind not in OF_THIS_MACHINE:
        return None
    certainty: Certainty = "likely" if error.kind == "wrong-clock" else "certain"
    return Blame("us", certainty, f"this machine: {error.kind.replace('-', ' ')}", error.message)


_Found = tuple[Party, Certainty, str, str]


def _own(said: Silence) -> _Found | None:
    seen = said.witness
    if said.asleep_ns:
        slept = f"this machine slept {said.asleep_ns / S:.1f} s"
        return "us", "certain", slept, f"{slept} meanwhile"
    if said.client_ns >= LYING_MS * MS and (seen is None or seen.unread_bytes):
        behind = "" if seen is None else f" and {seen.unread_bytes} bytes wait behind it"
        sentence = f"the client has not taken what was passed on to it for {said.client_ns / S:.1f} s{behind}"
        return "client", "likely" if seen is None else "certain", "takes nothing", sentence
    if seen is not None and seen.unread_bytes and _lying(said, seen):
        return "us", "certain", f"{seen.unread_bytes} bytes unread", "kmon itself did not read what had come"
    for still_ns, who, why in (
        (said.late_ns, "kmon itself stood still", "kmon was late"),
        (said.canary_mute_ns, "the canary on this machine was silent, too,", "canary silent, too"),
    ):
        if still_ns is not None and still_ns >= OWN_SHARE * said.stall_ns and said.gap_ns - still_ns < said.stall_ns:
            return "us", "certain", why, f"{who} for {still_ns / S:.1f} s of it; without that it is no stall"
    if said.together and (said.acked or seen is None):
        every = f"all {said.together} streams stopped in the same instant"
        return "us", "likely", every, f"{every}, at different hosts: it is near this machine"
    return None


def _lying(said: Silence, seen: TcpState) -> bool:
    """Whether unread bytes have been there for a while, and did not just come."""
    return seen.last_data_received_ms >= LYING_MS or (said.before is not None and said.before.unread_bytes > 0)


def _far(said: Silence) -> _Found:
    seen = said.witness
    if said.lively and said.between == "gateway":
        what = "the gateway lives; what is silent behind it cannot be seen from here"
        return "unknown", "cannot tell", "gateway alive, no output", what
    if said.lively:
        return "provider", "certain", "alive, no output", "the provider is there and sends no output"
    if seen is None:
        return "unknown", "cannot tell", "no kernel witness", "cannot tell, the kernel does not say here"
    if not said.acked:
        near = f"; all {said.together} streams stopped in the same instant, so near this machine" * bool(said.together)
        if said.sent_again:
            what = "what kmon sends does not get through: the path is dead, or the machine at its end"
            return "path", "likely", "retransmits, no answer", what + near
        if seen.unanswered_probes >= 2 and min(said.asked_ns or 0, said.quiet_ns or 0) >= PATIENCE_NS:
            what = "nobody acknowledges: the path is dead, or the machine at its end"
            return "path", "likely", "no TCP answer", what + near
        what = "cannot tell yet, the peer was asked and may still answer"
        return "unknown", "cannot tell", "asking the peer", what
    if said.sent_again:
        what = "the path loses packets, though some get through"
        return "path", "likely", "retransmits", what
    if said.between:
        what = f"the {said.between} is there; what is silent behind it cannot be seen from here"
        return "unknown", "cannot tell", f"{said.between} answers, no data", what
    return "provider", "likely", "TCP answers, no data", "the provider is silent"


def _facts(said: Silence) -> list[str]:
    """The witnesses in a row, each in a few words."""
    seen, facts = said.witness, ["socket open"]
    if seen is not None:
        facts.append(f"bytes unread {seen.unread_bytes}")
        again = said.sent_again
        facts.append(f"{again} retransmit{'s' * (again != 1)}" if again else "no retransmits")
        if said.asked_ns is not None:
            if said.acked:
                facts.append(f"TCP keep-alive answered {seen.last_ack_received_ms / 1000:.1f} s ago")
            else:
                facts.append(f"no TCP answer for {min(said.asked_ns, said.quiet_ns or 0) / S:.1f} s")
    if said.late_ns is not None:
        facts.append("kmon in time" if said.late_ns < 50 * MS else f"kmon late by {said.late_ns / S:.2f} s")
    if said.canary_mute_ns is not None:
        facts.append("canary on time" if not said.canary_mute_ns else f"canary mute {said.canary_mute_ns / S:.1f} s")
    if said.wall_step_ns:
        facts.append(f"the wall clock was set by {said.wall_step_ns / S:+.1f} s")
    return facts
