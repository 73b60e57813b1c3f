"""Promises about stamps: the kernel's where there is one, on the right clock, and never from a moved wall clock."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.transport.timestamps import ask_for_stamps, monotonic_stamp, realtime_offset_ns, receive

S = 1_000_000_000


def test_a_stamp_is_moved_to_the_monotonic_clock() -> None:
    assert monotonic_stamp(1_700_000_000 * S + 5, read_ns=10 * S, offset_ns=1_700_000_000 * S - 9 * S) == 9 * S + 5


def test_a_stamp_from_the_future_or_from_long_ago_is_not_believed() -> None:
    assert monotonic_stamp(11 * S, read_ns=10 * S, offset_ns=0) == 10 * S
    assert monotonic_stamp(10 * S, read_ns=100 * S, offset_ns=0) == 100 * S


@given(st.integers(0, 1 << 61), st.integers(0, 1 << 61), st.integers(-(1 << 61), 1 << 61))
def test_no_stamp_is_later_than_its_read(realtime_ns: int, read_ns: int, offset_ns: int) -> None:
    assert monotonic_stamp(realtime_ns, read_ns, offset_ns) <= read_ns


def test_the_offset_is_between_the_two_clocks() -> None:
    assert abs(realtime_offset_ns() - (time.time_ns() - time.monotonic_ns())) < S


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    return here, there


def test_every_read_is_stamped_between_sending_and_reading() -> None:
    here, there = connected()
    with here, there:
        ask_for_stamps(here)
        before_ns = time.monotonic_ns()
        there.sendall(b"hello")
        stamp_ns, data = receive(here, 100)
        assert data == b"hello"
        assert before_ns - S // 1000 <= stamp_ns <= time.monotonic_ns()
        there.shutdown(socket.SHUT_WR)
        assert receive(here, 100)[1] == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what a TCP socket receives")
def test_a_late_reader_still_learns_when_the_bytes_came() -> None:
    """The kernel begins to stamp a moment after the first socket asked, so the first tries may know the read only."""
    here, there = connected()
    with here, there:
        ask_for_stamps(here)
        for _ in range(20):
            there.sendall(b"early")
            sent_ns = time.monotonic_ns()
            threading.Event().wait(0.3)
            stamp_ns, _data = receive(here, 100)
            if stamp_ns - sent_ns < 0.2 * S:
                return
    raise AssertionError("no read of twenty was stamped with the time of its arrival")
