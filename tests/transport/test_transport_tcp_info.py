"""Promises of the witness: what the kernel says of a real connection, and nothing where it cannot say."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from kmon.transport.tcp_info import PeerAddress, TcpSampler, TcpState, parsed, peer_address, tcp_state

Pair = tuple[socket.socket, socket.socket]
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_INFO")


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    with here, there:
        yield here, there


def looked(sock: socket.socket) -> TcpState:
    found = tcp_state(sock)
    assert found is not None
    return found


@linux
def test_a_sound_connection_has_a_round_trip_and_nothing_sent_again(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"x")
    assert here.recv(1) == b"x"
    found = looked(here)
    assert (found.retransmits, found.unacked, found.unread_bytes) == (0, 0, 0)
    assert 0 < found.rtt_ms < 10_000
    assert found.receive_space_bytes > 0


@linux
def test_unread_bytes_are_counted(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"x" * 1234)
    assert here.recv(1, socket.MSG_PEEK) == b"x"
    while looked(here).unread_bytes < 1234:
        pass
    assert here.recv(1000) == b"x" * 1000
    assert looked(here).unread_bytes == 234


@linux
def test_silence_grows_and_new_data_ends_it(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"x")
    here.recv(1)
    while looked(here).last_data_received_ms < 300:
        pass
    there.sendall(b"y")
    here.recv(1)
    assert looked(here).last_data_received_ms < 300


def test_a_closed_socket_has_no_witness(pair: Pair) -> None:
    here, _ = pair
    here.close()
    assert tcp_state(here) is None


def test_the_fields_are_read_from_where_linux_keeps_them() -> None:
    words = [0] * 24
    words[4], words[11], words[12], words[15], words[22], words[23] = 1, 17_200, 900, 31_500, 65_536, 3
    info = struct.pack("=8B24I", *range(8), *words) + bytes(128)  # newer kernels tell more
    assert parsed(info, 7) == TcpState(17_200, 3, 31.5, 1, 65_536, 7, last_ack_received_ms=900, unanswered_probes=3)
    assert parsed(info[:103], 7) is None


@linux
def test_a_peers_kernel_acknowledges_when_it_is_asked_though_nobody_there_reads_or_writes(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"x")
    here.recv(1)
    line = TcpSampler(here, "there", lambda: 0)
    while looked(here).last_ack_received_ms < 1_100:
        pass
    line.ask()
    while looked(here).last_ack_received_ms > 500:
        pass
    assert looked(here).last_data_received_ms >= 1_100
    line.stop_probing()
    assert here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@linux
def test_bytes_that_are_held_and_not_taken_are_unread_too(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"x" * 10)
    line = TcpSampler(here, "there", lambda: 32)
    while (found := line.look()) is None or found.unread_bytes < 42:
        pass


def test_a_line_that_is_closed_tells_nothing_and_takes_no_offence(pair: Pair) -> None:
    here, _ = pair
    line = TcpSampler(here, "there", lambda: 0)
    here.close()
    line.ask()
    line.stop_probing()
    assert line.look() is None


@pytest.mark.parametrize(
    ("family", "host", "shown"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")]
)
def test_an_address_here_has_its_port_and_ipv6_its_brackets(family: int, host: str, shown: str) -> None:
    try:
        listener = socket.socket(family)
        listener.bind((host, 0))
    except OSError:
        pytest.skip("no such address family here")
    with listener, socket.socket(family) as client:
        listener.listen()
        client.connect(listener.getsockname())
        assert peer_address(client) == PeerAddress(f"{shown}:{listener.getsockname()[1]}", True)
    assert peer_address(client) is None


class Connected:
    """A socket that is connected to an address far away."""

    def __init__(self, *peer: object) -> None:
        self._peer = peer

    def getpeername(self) -> tuple[object, ...]:
        return self._peer


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        (("203.0.113.7", 443), "203.0.113.7"),
        (("2001:0db8:0000:0000::1", 443, 0, 0), "[2001:db8::1]"),
        (("fe80::1%eth0", 443, 0, 2), "[fe80::1]"),
    ],
)
def test_an_address_elsewhere_is_told_without_its_port(peer: tuple[object, ...], shown: str) -> None:
    assert peer_address(Connected(*peer)) == PeerAddress(shown, False)  # type: ignore[arg-type]
