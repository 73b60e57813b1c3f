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

from kmon.catalog.signatures import OF_THIS_MACHINE
from kmon.dialects.delta import StreamError
from kmon.stream.blame import Blame, Certainty, Party
from kmon.transport.tcp_info import TcpState

MS, S = 1_000_000, 1_000_000_000
ANSWER_WAIT_NS = 2 * S
"""How long the peer's kernel may take to acknowledge before it does not: two questions and two round trips."""
FRESH_NS = 3 * S
"""An acknowledgement older than this, while the peer is asked once a second, says nothing about now."""
OWN_SHARE = 0.2
"""The part of the stall threshold that this program must have stood still before that is worth a word."""
UNREAD_LEAST_MS = 200
"""Bytes that arrived longer ago than this and are still unread are not just being read."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What is known of one silence. Durations are ns; None where nobody watches, or nobody can tell here."""

    gap_ns: int
    stall_ns: int
    since_byte_ns: int | None = None
    """Since the last byte of any kind, comments included."""
    tcp: TcpState | None = None
    tcp_before: TcpState | None = None
    """An earlier look in the same silence."""
    since_keepalive_ns: int | None = None
    """Since the peer's kernel was first asked for a sign of life in this silence."""
    late_ns: int | None = None
    canary_overdue_ns: int | None = None
    suspended_ns: int | None = None
    wall_step_ns: int = 0
    stopped_together: int = 0
    """Streams that all fell silent in the same instant, of more than one host; 0 if they did not."""
    client_blocked_ns: int = 0
    """For how long a client to whom the stream is passed on has kept it waiting."""
    intermediary: str = ""
    """What ends the TCP connection in the provider's place: ``proxy``, ``gateway``; empty where nothing is known to."""

    @property
    def acked(self) -> bool:
        """Whether the peer's kernel has acknowledged since it was asked, and still does."""
        quiet_ns = self.quiet_ns
        return (
            quiet_ns is not None
            and self.since_keepalive_ns is not None
            and quiet_ns < min(self.since_keepalive_ns, FRESH_NS)
        )

    @property
    def quiet_ns(self) -> int | None:
        """Since the peer's kernel last acknowledged anything."""
        return None if self.tcp is None else self.tcp.last_ack_received_ms * MS

    @property
    def retransmits(self) -> int:
        """Segments of ours that were sent again in this silence, or are still waiting to get through."""
        seen = self.tcp
        if seen is None:
            return 0
        if self.tcp_before is not None and seen.retransmits > self.tcp_before.retransmits:
            return seen.retransmits - self.tcp_before.retransmits
        return seen.retransmits if seen.unacked else 0

    @property
    def sends_without_output(self) -> bool:
        """Whether the server itself still sends something, though no output."""
        return self.since_byte_ns is not None and self.since_byte_ns < min(self.stall_ns, self.gap_ns // 2)


def blame(silence: Silence) -> Blame:
    """Weigh the witnesses: those at home first, since what they explain needs nobody else."""
    name, certainty, why, sentence = _local_cause(silence) or _remote_cause(silence)
    facts = ", ".join(_facts(silence))
    return Blame(name, certainty, why, f"{facts}: {sentence}" if facts else sentence)


def local_failure(error: StreamError | None) -> Blame | None:
    """Whose failure an error is that this machine made before anybody was asked; None for any other."""
    if error is None or error.kind not in OF_THIS_MACHINE:
        return None
    certainty: Certainty = "likely" if error.kind == "wrong-clock" else "certain"
    return Blame("us", certainty, f"this machine: {error.kind.replace('-', ' ')}", error.message)


_Found = tuple[Party, Certainty, str, str]


def _local_cause(silence: Silence) -> _Found | None:
    seen = silence.tcp
    if silence.suspended_ns:
        slept = f"this machine slept {silence.suspended_ns / S:.1f} s"
        return "us", "certain", slept, f"{slept} meanwhile"
    if silence.client_blocked_ns >= UNREAD_LEAST_MS * MS and (seen is None or seen.unread_bytes):
        behind = "" if seen is None else f" and {seen.unread_bytes} bytes wait behind it"
        sentence = (
            f"the client has not taken what was passed on to it for {silence.client_blocked_ns / S:.1f} s{behind}"
        )
        return "client", "likely" if seen is None else "certain", "takes nothing", sentence
    if seen is not None and seen.unread_bytes and _unread_for_long(silence, seen):
        return "us", "certain", f"{seen.unread_bytes} bytes unread", "kmon itself did not read what had come"
    for still_ns, who, why in (
        (silence.late_ns, "kmon itself stood still", "kmon was late"),
        (silence.canary_overdue_ns, "the canary on this machine was silent, too,", "canary silent, too"),
    ):
        if (
            still_ns is not None
            and still_ns >= OWN_SHARE * silence.stall_ns
            and silence.gap_ns - still_ns < silence.stall_ns
        ):
            return "us", "certain", why, f"{who} for {still_ns / S:.1f} s of it; without that it is no stall"
    if silence.stopped_together and (silence.acked or seen is None):
        every = f"all {silence.stopped_together} streams stopped in the same instant"
        return "us", "likely", every, f"{every}, at different hosts: it is near this machine"
    return None


def _unread_for_long(silence: Silence, seen: TcpState) -> bool:
    """Whether unread bytes have been there for a while, and did not just come."""
    return seen.last_data_received_ms >= UNREAD_LEAST_MS or (
        silence.tcp_before is not None and silence.tcp_before.unread_bytes > 0
    )


def _remote_cause(silence: Silence) -> _Found:
    seen = silence.tcp
    if silence.sends_without_output and silence.intermediary == "gateway":
        what = "the gateway lives; what is silent behind it cannot be seen from here"
        return "unknown", "cannot tell", "gateway alive, no output", what
    if silence.sends_without_output:
        return "provider", "certain", "alive, no output", "the provider is there and sends no output"
    if seen is None:
        return "unknown", "cannot tell", "no kernel witness", "cannot tell, the kernel does not say here"
    if not silence.acked:
        near = f"; all {silence.stopped_together} streams stopped in the same instant, so near this machine" * bool(
            silence.stopped_together
        )
        if silence.retransmits:
            what = "what kmon sends does not get through: the path is dead, or the machine at its end"
            return "path", "likely", "retransmits, no answer", what + near
        if (
            seen.unanswered_probes >= 2
            and min(silence.since_keepalive_ns or 0, silence.quiet_ns or 0) >= ANSWER_WAIT_NS
        ):
            what = "nobody acknowledges: the path is dead, or the machine at its end"
            return "path", "likely", "no TCP answer", what + near
        what = "cannot tell yet, the peer was asked and may still answer"
        return "unknown", "cannot tell", "asking the peer", what
    if silence.retransmits:
        what = "the path loses packets, though some get through"
        return "path", "likely", "retransmits", what
    if silence.intermediary:
        what = f"the {silence.intermediary} is there; what is silent behind it cannot be seen from here"
        return "unknown", "cannot tell", f"{silence.intermediary} answers, no data", what
    return "provider", "likely", "TCP answers, no data", "the provider is silent"


def _facts(silence: Silence) -> list[str]:
    """The witnesses in a row, each in a few words."""
    seen, facts = silence.tcp, ["socket open"]
    if seen is not None:
        facts.append(f"bytes unread {seen.unread_bytes}")
        again = silence.retransmits
        facts.append(f"{again} retransmit{'s' * (again != 1)}" if again else "no retransmits")
        if silence.since_keepalive_ns is not None:
            if silence.acked:
                facts.append(f"TCP keep-alive answered {seen.last_ack_received_ms / 1000:.1f} s ago")
            else:
                facts.append(f"no TCP answer for {min(silence.since_keepalive_ns, silence.quiet_ns or 0) / S:.1f} s")
    if silence.late_ns is not None:
        facts.append("kmon in time" if silence.late_ns < 50 * MS else f"kmon late by {silence.late_ns / S:.2f} s")
    if silence.canary_overdue_ns is not None:
        facts.append(
            "canary on time" if not silence.canary_overdue_ns else f"canary mute {silence.canary_overdue_ns / S:.1f} s"
        )
    if silence.wall_step_ns:
        facts.append(f"the wall clock was set by {silence.wall_step_ns / S:+.1f} s")
    return facts
