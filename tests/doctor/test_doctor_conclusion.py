"""Promises of what the doctor concludes: the step, the figure and what follows, and nothing wrong where nothing is."""

from __future__ import annotations

import socket

from kmon.doctor.conclusion import DoctorFinding, conclusion, findings
from kmon.doctor.endpoint import Exchange
from kmon.doctor.examine import Examination
from kmon.doctor.model_list import ModelListCheck
from kmon.doctor.reach import Lookup, Reach, Segments, Touch
from kmon.doctor.repeat import spread, try_five_times

V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
GOOD = Touch(12.0, segments=Segments(1460, 1500))
SILENT = Touch(10_000.0, "no answer within 10 s", timed_out=True)
UNREACHABLE = Touch(0.1, "Network is unreachable")
SWIFT = Exchange(tcp_ms=12.0, tls_ms=20.0, http_ms=80.0, status=200)


def seen(
    *,
    lookups: tuple[Lookup, ...] = (Lookup(3.0, (V4,)),) * 5,
    reaches: tuple[Reach, ...] = (Reach("192.0.2.1", "IPv4", (GOOD,) * 5),),
    exchanges: tuple[Exchange, ...] = (SWIFT,) * 5,
) -> Examination:
    return Examination(
        target="t", model="m", url="https://h/v1/models", host="h", port=443, local=False, expected=True,
        key="K in .env", key_proven=True, lookups=lookups, reaches=reaches, exchanges=exchanges,
        check=ModelListCheck("ok", "1 model"),
    )  # fmt: skip


def told(examined: Examination) -> list[DoctorFinding]:
    return list(findings(examined, 0.0))


def test_nothing_wrong_leaves_the_provider() -> None:
    assert told(seen()) == []
    assert conclusion(seen(), ()) == "the network and the key are fine; a stall is then the provider's"


def test_slow_dns_is_told_with_its_median() -> None:
    (found,) = told(seen(lookups=(Lookup(2100.0, (V4,)),) * 5))
    assert found.sentence == "DNS takes 2.1 s: every new connection waits for the resolver"


def test_dns_that_is_slow_once_is_told_as_once() -> None:
    (found,) = told(seen(lookups=(Lookup(5004.0, (V4,)), *(Lookup(2.0, (V4,)),) * 4)))
    assert found.sentence.startswith("DNS took up to 5.0 s in 1 of 5 tries")


def test_dns_that_fails_now_and_then_is_wrong() -> None:
    (found,) = told(seen(lookups=(Lookup(3.0, (V4,)), Lookup(9.0, error="the host name does not resolve (try again)"))))
    assert found.sentence.startswith("1 of 2 DNS lookups failed")


def test_ipv6_that_is_announced_and_dead_costs_clients_their_patience() -> None:
    six = Reach("2001:db8::1", "IPv6", (SILENT,) * 2)
    (found,) = told(seen(reaches=(six, Reach("192.0.2.1", "IPv4", (GOOD,) * 5))))
    assert found.grade == "wrong"
    assert found.sentence == (
        "IPv6 is announced but does not connect: clients without Happy Eyeballs wait 10 s or more"
    )


def test_ipv6_that_fails_at_once_is_only_a_note() -> None:
    six = Reach("2001:db8::1", "IPv6", (UNREACHABLE,) * 2)
    (found,) = told(seen(reaches=(six, Reach("192.0.2.1", "IPv4", (GOOD,) * 5))))
    assert found.grade == "note" and "nobody waits" in found.sentence


def test_one_dead_address_of_several_is_named() -> None:
    reaches = (Reach("192.0.2.1", "IPv4", (GOOD,) * 5), Reach("192.0.2.2", "IPv4", (SILENT,) * 2))
    (found,) = told(seen(reaches=reaches))
    assert found.sentence == "1 of 2 IPv4 addresses: no connection: 192.0.2.2 (no answer within 10 s)"


def test_connections_that_fail_now_and_then_are_counted() -> None:
    (found,) = told(seen(reaches=(Reach("192.0.2.1", "IPv4", (GOOD, SILENT, GOOD, SILENT, GOOD)),)))
    assert found.sentence == "2 of 5 connections to 192.0.2.1 failed: no answer within 10 s"


def test_exchanges_that_fail_now_and_then_are_counted_by_reason() -> None:
    lost = Exchange(tcp_ms=12.0, failed_at="http", error="the peer reset the connection (TCP RST)")
    (found,) = told(seen(exchanges=(SWIFT, lost, SWIFT, lost, SWIFT)))
    assert found.sentence == "2 of 5 tries: the peer reset the connection (TCP RST)"


def test_a_path_narrower_than_ethernet_is_a_note() -> None:
    tunnel = Touch(12.0, segments=Segments(1340, 1380))
    (found,) = told(seen(reaches=(Reach("192.0.2.1", "IPv4", (tunnel,) * 5),)))
    assert found.grade == "note"
    assert found.sentence.startswith("the path MTU 1380, segments of 1340 bytes to 192.0.2.1: a tunnel")


async def test_two_failures_in_a_row_end_the_tries_but_single_ones_do_not() -> None:
    scripts = {
        "dead": [SILENT, SILENT, GOOD, GOOD, GOOD],
        "flaky": [SILENT, GOOD, SILENT, GOOD, SILENT],
    }
    counts = {}
    for name, script in scripts.items():
        turn = iter(script)

        async def step(turn=turn) -> Touch:  # noqa: ANN001
            return next(turn)

        counts[name] = len(await try_five_times(step))
    assert counts == {"dead": 2, "flaky": 5}


def test_a_spread_is_the_median_and_the_worst_of_what_came_through() -> None:
    found = spread([3.0, None, 1.0, 100.0])
    assert found is not None and (found.median_ms, found.worst_ms, found.count) == (3.0, 100.0, 3)
    assert spread([None]) is None
