"""The blame: which evidence is enough for which party, and no blame without evidence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.blame.weigh import Silence, weigh
from kmon.transport.tcp_info import PeerAddress, TcpState

S = 1_000_000_000
MS = 1_000_000


def seen(**fields: int) -> TcpState:
    told = {"last_data_received_ms": 6_000, "retransmits": 0, "rtt_ms": 31, "unacked": 0}
    return TcpState(**(told | {"receive_space_bytes": 65_536, "unread_bytes": 0} | fields))  # type: ignore[arg-type]


ANSWERING = seen(last_ack_received_ms=400)
MUTE = seen(last_ack_received_ms=6_000, unanswered_probes=2)


FAR, HERE = PeerAddress("203.0.113.7", False), PeerAddress("127.0.0.1:8787", True)


def silence(**fields: object) -> Silence:
    told: dict[str, Any] = {"gap_ns": 6 * S, "stall_ns": 5 * S, "since_byte_ns": 6 * S, "since_keepalive_ns": 2 * S}
    told |= {"peer": FAR, "tcp": ANSWERING, "late_ns": 0, "canary_overdue_ns": 0, "suspended_ns": 0}
    return Silence(**(told | fields))


@pytest.mark.parametrize(
    ("said", "name", "certainty", "sentence"),
    [
        (silence(), "beyond", "likely", "beyond 203.0.113.7 (the provider, its load balancer, or a relay)"),
        (
            silence(peer=HERE),
            "beyond",
            "likely",
            "at 127.0.0.1:8787 on this machine or beyond it (a model server, or a",
        ),
        (silence(peer=None), "beyond", "likely", "beyond the machine at the end of the TCP connection"),
        (silence(since_byte_ns=S), "provider", "certain", "the provider is there and sends no output"),
        (silence(tcp=MUTE), "path", "likely", "nobody acknowledges: the path is dead, or the machine at its end"),
        (silence(tcp=seen(last_ack_received_ms=6_000, unacked=1, retransmits=2)), "path", "likely", "get through"),
        (silence(tcp=seen(last_ack_received_ms=100, retransmits=3), tcp_before=seen()), "path", "likely", "loses"),
        (silence(tcp=seen(unread_bytes=90)), "us", "certain", "kmon itself did not read what had come"),
        (
            silence(tcp=seen(unread_bytes=90), client_blocked_ns=3 * S),
            "client",
            "certain",
            "for 3.0 s and 90 bytes wait",
        ),
        (silence(tcp=None, client_blocked_ns=3 * S), "client", "likely", "the client has not taken what was passed on"),
        (silence(client_blocked_ns=3 * S), "beyond", "likely", "the silence is beyond 203.0.113.7"),
        (silence(tcp=seen(unread_bytes=90), client_blocked_ns=50 * MS), "us", "certain", "did not read what had come"),
        (silence(suspended_ns=600 * S, tcp=seen(unread_bytes=90), client_blocked_ns=3 * S), "us", "certain", "slept"),
        (silence(late_ns=2 * S), "us", "certain", "kmon itself stood still for 2.0 s of it"),
        (silence(canary_overdue_ns=2 * S), "us", "certain", "the canary on this machine was silent, too, for 2.0 s"),
        (silence(suspended_ns=600 * S), "us", "certain", "this machine slept 600.0 s meanwhile"),
        (silence(stopped_together=4), "us", "likely", "all 4 streams stopped in the same instant"),
        (silence(tcp=MUTE, stopped_together=4), "path", "likely", "so near this machine"),
        (silence(intermediary="proxy"), "unknown", "cannot tell", "what is silent behind it cannot be seen"),
        (silence(tcp=None), "unknown", "cannot tell", "the kernel does not say here"),
        (
            silence(since_keepalive_ns=S, tcp=seen(last_ack_received_ms=6_000)),
            "unknown",
            "cannot tell",
            "may still answer",
        ),
    ],
)
def test_each_kind_of_evidence_is_enough_for_its_blame(said: Silence, name: str, certainty: str, sentence: str) -> None:
    found = weigh(said).blame
    assert (found.name, found.certainty) == (name, certainty)
    assert sentence in found.evidence


def test_the_evidence_is_a_line_for_a_support_engineer() -> None:
    assert weigh(silence()).blame.evidence == (
        "socket open, bytes unread 0, no retransmits, TCP keep-alive answered 0.4 s ago, kmon in time, "
        "canary on time: the silence is beyond 203.0.113.7 (the provider, its load balancer, or a relay)"
    )
    assert weigh(silence()).blame.brief == "beyond 203.0.113.7: provider or a relay"
    assert weigh(silence(peer=HERE)).blame.brief == "beyond 127.0.0.1:8787: server or relay here"
    assert weigh(silence(peer=None)).blame.brief == "beyond the TCP peer: provider or a relay"


def test_the_longest_address_leaves_room_for_the_target_in_a_status_line() -> None:
    longest = PeerAddress("[2001:0db8:85a3:08d3:1319:8a2e:0370:7348]", False)
    assert len(weigh(silence(peer=longest)).blame.brief) <= 70
    here = PeerAddress("[::ffff:127.100.100.100]:65535", True)
    assert len(weigh(silence(peer=here)).blame.brief) <= 70


def test_a_line_that_has_named_the_open_socket_names_it_once() -> None:
    for known in (silence(), Silence(gap_ns=8 * S, stall_ns=5 * S)):
        found = weigh(known)
        assert found.blame.evidence.startswith("socket open") and "socket open" not in found.beside_open
        assert found.beside_open.endswith(found.conclusion)


@pytest.mark.parametrize("own", ["late_ns", "canary_overdue_ns"])
def test_a_hiccup_of_this_program_does_not_excuse_a_long_silence(own: str) -> None:
    assert weigh(silence(**{own: 40 * MS})).blame.name == "beyond"
    assert weigh(silence(**{own: 2 * S}, gap_ns=20 * S)).blame.name == "beyond"


def test_bytes_that_are_just_being_read_are_no_fault() -> None:
    just = seen(unread_bytes=90, last_data_received_ms=1, last_ack_received_ms=1)
    assert weigh(silence(tcp=just)).blame.name == "beyond"
    assert weigh(silence(tcp=just, tcp_before=just)).blame.name == "us"


def test_an_answer_of_long_ago_is_none() -> None:
    stale = seen(last_ack_received_ms=9_000, unanswered_probes=3)
    found = weigh(silence(gap_ns=20 * S, since_keepalive_ns=15 * S, tcp=stale)).blame
    assert found.name == "path"
    assert "no TCP answer for 9.0 s" in found.evidence


def test_a_set_wall_clock_is_noted_and_decides_nothing() -> None:
    found = weigh(silence(wall_step_ns=-3600 * S)).blame
    assert found.name == "beyond"
    assert "the wall clock was set by -3600.0 s" in found.evidence


NS = st.integers(0, 100 * S)
LOOKS = st.none() | st.builds(
    TcpState, *[st.integers(0, 100_000)] * 2, st.floats(0, 1_000), *[st.integers(0, 100_000)] * 5
)


@given(
    st.builds(
        Silence, NS, st.integers(1, 100 * S), st.none() | NS, LOOKS, LOOKS, st.none() | NS, st.none() | NS,
        st.none() | NS, st.none() | NS, st.integers(-S, S), st.integers(0, 9), st.booleans(),
    )
)  # fmt: skip
def test_far_parties_are_blamed_only_if_they_show_life_and_this_machine_is_beyond_doubt(said: Silence) -> None:
    found = weigh(said).blame
    assert found.evidence and found.why
    assert (found.certainty == "cannot tell") == (found.name == "unknown")
    if found.name == "provider":
        assert said.sends_without_output and found.certainty == "certain"
    if found.name == "beyond":
        assert said.acked and not said.sends_without_output
    if found.name in ("provider", "beyond"):
        assert not said.suspended_ns
