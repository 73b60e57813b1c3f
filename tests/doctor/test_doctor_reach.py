"""Promises of reaching an address: a refusal, silence and a connection are three different things."""

from __future__ import annotations

import socket
import sys

import pytest

from kmon.doctor.reach import look_up, reach_all
from tests.support.endpoints import free_port


async def test_an_open_port_is_connected_to_five_times_and_says_how_large_packets_may_be() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        found = await look_up("127.0.0.1", server.getsockname()[1], 10.0)
        (reach,) = await reach_all(found.addresses, 10.0)
    assert (reach.ip, reach.family, reach.connects, reach.error) == ("127.0.0.1", "IPv4", True, None)
    assert len(reach.touches) == 5
    assert reach.segments is not None and (reach.segments.segment_bytes or 0) > 500
    if sys.platform == "linux":
        assert (reach.segments.path_mtu_bytes or 0) > 500


async def test_a_refusal_keeps_nobody_waiting() -> None:
    found = await look_up("127.0.0.1", free_port(), 10.0)
    (reach,) = await reach_all(found.addresses, 10.0)
    assert (reach.connects, reach.timed_out, len(reach.touches)) == (False, False, 2)
    assert (reach.error or "").startswith("connection refused")


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue drops connections on Linux only")
async def test_an_address_that_drops_connections_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex(full.getsockname())
        found = await look_up("127.0.0.1", full.getsockname()[1], 10.0)
        (reach,) = await reach_all(found.addresses, 0.3)
    assert (reach.connects, reach.timed_out, reach.error) == (False, True, "no answer within 0.3 s")


async def test_a_resolver_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and [])
    found = await look_up("slow.invalid", 443, 0.1)
    answered.set()
    assert found.error == "the resolver gave no answer within 0.1 s"


async def test_a_host_that_is_no_name_at_all_is_an_error_and_no_crash() -> None:
    found = await look_up("a" * 70 + ".example", 443, 10.0)
    assert found.addresses == () and found.error
