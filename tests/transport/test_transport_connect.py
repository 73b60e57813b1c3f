"""Promises about where a name leads: localhost is this machine, whatever a resolver says."""

from __future__ import annotations

import socket

import pytest

from kmon.transport.connect import Address, allowed_addresses, connect_first


def address(ip: str) -> Address:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (ip, 80))


def test_localhost_means_addresses_of_this_machine_alone() -> None:
    said = [address(ip) for ip in ("192.0.2.7", "127.0.0.1", "::1", "fe80::1%eth0", "127.8.8.8", "2001:db8::1")]
    assert [found[4][0] for found in allowed_addresses("localhost", said)] == ["127.0.0.1", "::1", "127.8.8.8"]
    assert allowed_addresses("api.example", said) == said


async def test_a_localhost_that_leads_elsewhere_leads_nowhere() -> None:
    with pytest.raises(OSError, match="the name has no address"):
        await connect_first(allowed_addresses("localhost", [address("192.0.2.7")]), None)
