"""Determines which party causes a silence: this program, its client, the path, what is beyond, or the provider. Pure.

One end of a connection cannot observe everything, so a blame carries its certainty:

- *us*: received bytes are unread, the event loop or the canary was blocked long enough to make the silence a stall,
  the machine was suspended, or the streams of several hosts all stopped at the same moment;
- *client*: kmon proxies the stream and its client does not read it, so kmon reads no more;
- *path*: the peer does not acknowledge. A dead path and a dead peer machine cannot be told apart from here;
- *beyond*: the peer's kernel acknowledges, no packets are lost, and no data comes. That proves the machine at the end
  of the TCP connection alive, which may be the provider's server, a load balancer before it, or any relay on the way;
- *provider*: the program that answers still sends comments or empty chunks, so it is alive and sends no output;
- *unknown*: facts are missing or not there yet; the evidence names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kmon.catalog.signatures import OF_THIS_MACHINE
from kmon.dialects.delta import StreamError
from kmon.stream.blame import Blame, Certainty, Party
from kmon.stream.timeline import MS, S
from kmon.transport.tcp_info import PeerAddress, TcpState

ANSWER_WAIT_NS = 2 * S
"""Without an acknowledgement for this long the peer does not answer: two keep-alive probes and round trips."""
FRESH_NS = 3 * S
"""An older acknowledgement is out of date, since a probe is sent every second."""
OWN_SHARE = 0.2
"""The share of the stall threshold that this program must have been blocked for to be blamed."""
UNREAD_LEAST_MS = 200
"""Bytes that arrived longer ago than this and are unread are not being read at this moment."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The facts about one silence. Durations are ns; None where a fact was not or cannot be measured."""

    gap_ns: int
    stall_ns: int
    since_byte_ns: int | None = None
    """Since the last byte of any kind, comments included."""
    tcp: TcpState | None = None
    tcp_before: TcpState | None = None
    """An earlier sample in the same silence."""
    since_keepalive_ns: int | None = None
    """Since the first keep-alive probe of this silence."""
    late_ns: int | None = None
    canary_overdue_ns: int | None = None
    suspended_ns: int | None = None
    wall_step_ns: int = 0
    stopped_together: int = 0
    """How many streams, of more than one host, all stopped at the same moment; 0 if they did not."""
    client_blocked_ns: int = 0
    """For how long the client of a proxied stream has not read."""
    intermediary: str = ""
    """What terminates the TCP connection instead of the provider: ``proxy``, ``gateway``; empty if nothing is known."""
    peer: PeerAddress | None = None
    """Where the TCP connection ends."""

    @property
    def acked(self) -> bool:
        """Whether the peer's kernel has acknowledged since the first probe, and recently."""
        quiet_ns = self.quiet_ns
        return (
            quiet_ns is not None
            and self.since_keepalive_ns is not None
            and quiet_ns < min(self.since_keepalive_ns, FRESH_NS)
        )

    @property
    def quiet_ns(self) -> int | None:
        """Time in ns since the peer's last acknowledgement."""
        return None if self.tcp is None else self.tcp.last_ack_received_ms * MS

    @property
    def retransmits(self) -> int:
        """Segments that were retransmitted in this silence, or are still unacknowledged."""
        seen = self.tcp
        if seen is None:
            return 0
        if self.tcp_before is not None and seen.retransmits > self.tcp_before.retransmits:
            return seen.retransmits - self.tcp_before.retransmits
        return seen.retransmits if seen.unacked else 0

    @property
    def sends_without_output(self) -> bool:
        """Whether the server still sends bytes that are no output, such as comments."""
        return self.since_byte_ns is not None and self.since_byte_ns < min(self.stall_ns, self.gap_ns // 2)


class Weighed(NamedTuple):
    """The blame of a silence, with the parts of its evidence."""

    blame: Blame
    facts: tuple[str, ...]
    """What was measured beside the open socket, each in a few words."""
    conclusion: str
    """The sentence that follows from the facts."""

    @property
    def beside_open(self) -> str:
        """The evidence for a line that has already said that the socket is open."""
        return _evidence(self.facts, self.conclusion)


def weigh(silence: Silence) -> Weighed:
    """The blame of a silence. Local causes come first, since they explain it without any other party."""
    name, certainty, why, conclusion = _local_cause(silence) or _remote_cause(silence)
    facts = tuple(_facts(silence))
    peer = silence.peer.text if name == "beyond" and silence.peer is not None else ""
    blame = Blame(name, certainty, why, _evidence(("socket open", *facts), conclusion), peer)
    return Weighed(blame, facts, conclusion)


def _evidence(facts: Sequence[str], conclusion: str) -> str:
    return f"{', '.join(facts)}: {conclusion}" if facts else conclusion


def local_failure(error: StreamError | None) -> Blame | None:
    """The blame of an error that this machine caused before anything was sent; None for any other error."""
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
    """Whether the unread bytes did not arrive just now."""
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
    return _beyond(silence.peer)


def _beyond(peer: PeerAddress | None) -> _Found:
    """The peer's TCP answers: its machine is alive, and nothing is known of what is behind it."""
    where = "the machine at the end of the TCP connection" if peer is None else peer.text
    if peer is not None and peer.here:
        what = f"the silence is at {where} on this machine or beyond it (a model server, or a relay to one)"
        return "beyond", "likely", "server or relay here", what
    what = f"the silence is beyond {where} (the provider, its load balancer, or a relay)"
    return "beyond", "likely", "provider or a relay", what


def _facts(silence: Silence) -> list[str]:
    """The measured facts, each in a few words."""
    seen, facts = silence.tcp, list[str]()
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
