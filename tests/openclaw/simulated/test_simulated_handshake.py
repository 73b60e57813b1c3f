"""Who gets in, with which scopes, and what the others are told: the auth matrix measured on both releases."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from kmon.openclaw.simulated.options import TOKEN
from tests.support.gateway_client import Client, Frame, Start, connect_params, connected, opened, signed_device


async def refused(client: Client, params: Frame) -> tuple[str, str | None, int | None]:
    """Code, detail code and close code of a refused connect."""
    answer = await client.ask("connect", **params)
    assert answer["ok"] is False
    error = answer["error"]
    return error["code"], error.get("details", {}).get("code"), await client.closed()


@pytest.mark.parametrize("protocol", [3, 4])
async def test_a_v2_signature_is_good_for_both_and_brings_a_device_token(start: Start, protocol: int) -> None:
    gateway = await start(protocol=protocol)
    async with connected(gateway.url) as client:
        hello = client.frames[-1]["payload"] if client.frames[-1]["type"] == "res" else client.frames[2]["payload"]
        assert hello["type"] == "hello-ok"
        assert hello["protocol"] == protocol
        assert hello["auth"]["deviceToken"]
        assert hello["auth"]["scopes"] == ["operator.read", "operator.write"]
        assert hello["policy"] == {"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 150}
        assert (await client.ask("health"))["payload"]["ok"] is True


async def test_without_a_device_protocol_3_lets_in_but_clears_the_scopes(start: Start) -> None:
    gateway = await start(protocol=3)
    async with opened(gateway.url) as client:
        hello = await client.ask("connect", **connect_params("gateway-client", "backend"))
        assert hello["ok"]
        assert "auth" not in hello["payload"]
        error = (await client.ask("sessions.list"))["error"]
        assert error["message"] == "missing scope: operator.read"


@pytest.mark.parametrize(("client_id", "mode"), [("gateway-client", "backend"), ("cli", "cli")])
async def test_without_a_device_protocol_4_keeps_the_scopes(start: Start, client_id: str, mode: str) -> None:
    gateway = await start(protocol=4)
    async with opened(gateway.url) as client:
        await client.ask("connect", **connect_params(client_id, mode))
        assert (await client.ask("sessions.list"))["ok"]


async def test_the_screen_client_needs_a_device_in_protocol_4(start: Start) -> None:
    gateway = await start(protocol=4)
    async with opened(gateway.url) as client:
        told = await refused(client, connect_params("openclaw-tui", "ui"))
        assert told == ("NOT_PAIRED", "CONTROL_UI_DEVICE_IDENTITY_REQUIRED", 1008)


@pytest.mark.parametrize(("protocol", "good"), [(3, False), (4, True)])
async def test_a_v3_signature_is_good_for_protocol_4_only(start: Start, protocol: int, good: bool) -> None:
    gateway = await start(protocol=protocol)
    async with opened(gateway.url) as client:
        challenge = await client.event("connect.challenge")
        params = connect_params()
        answer = await client.ask("connect", **params, device=signed_device(params, challenge, "v3"))
        assert answer["ok"] is good
        if not good:
            assert answer["error"]["message"] == "device signature invalid"
            assert await client.closed() == 1008


@pytest.mark.parametrize("protocol", [3, 4])
async def test_a_wrong_token_no_token_a_wrong_name_and_a_wrong_nonce_are_refused(start: Start, protocol: int) -> None:
    gateway = await start(protocol=protocol)
    cases: list[tuple[Frame, tuple[str, str | None, int]]] = [
        (connect_params(auth={"token": "wrong"}), ("INVALID_REQUEST", "AUTH_TOKEN_MISMATCH", 1008)),
        (connect_params(auth={"password": "wrong"}), ("INVALID_REQUEST", "AUTH_PASSWORD_MISMATCH", 1008)),
        (connect_params(auth={}), ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED", 1008)),
        (connect_params("kmon"), ("INVALID_REQUEST", None, 1008)),
        (connect_params(mode="tui"), ("INVALID_REQUEST", None, 1008)),
        (connect_params(minProtocol=9, maxProtocol=9), ("INVALID_REQUEST", "PROTOCOL_MISMATCH", 1002)),
        ({"minProtocol": 3}, ("INVALID_REQUEST", None, 1008)),
    ]
    for params, expected in cases:
        async with opened(gateway.url) as client:
            assert await refused(client, params) == expected
    async with opened(gateway.url) as client:
        params = connect_params()
        forged = signed_device(params, {"ts": 1, "nonce": "another"})
        assert (await refused(client, {**params, "device": forged}))[0] == "INVALID_REQUEST"
    assert gateway.ledger.report()["connections"]["refused"] == len(cases) + 1


async def test_a_password_is_as_good_as_the_token_where_one_is_set(start: Start) -> None:
    gateway = await start(protocol=4, token="", password="open sesame")
    async with opened(gateway.url) as client:
        assert (await client.ask("connect", **connect_params(auth={"password": "open sesame"})))["ok"]
    async with opened(gateway.url) as client:
        assert (await refused(client, connect_params(auth={"token": TOKEN})))[1] == "AUTH_TOKEN_MISMATCH"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", 1008),
        ('{"type":"res","id":"1","ok":true}', 1008),
        ('{"type":"req","id":"1","method":"health"}', 1008),
        ('{"type":"req","id":"1","method":"' + "x" * 70_000 + '"}', 1009),
    ],
)
async def test_what_is_no_connect_ends_the_connection(start: Start, text: str, code: int) -> None:
    gateway = await start()
    async with opened(gateway.url) as client:
        await client.socket.send_str(text)
        assert await client.closed() == code


async def test_a_gateway_that_is_starting_asks_to_come_again(start: Start) -> None:
    gateway = await start(fault="starting", protocol=4, speed=10.0)
    async with opened(gateway.url) as client:
        error = (await client.ask("connect", **connect_params()))["error"]
        assert error["code"] == "UNAVAILABLE"
        assert error["details"] == {"reason": "startup-sidecars"}
        assert error["retryAfterMs"] == 50
        assert await client.closed() == 1013
    async with asyncio.timeout(20):
        while True:
            async with opened(gateway.url) as client:
                if (await client.ask("connect", **connect_params()))["ok"]:
                    break


async def test_over_http_it_tells_its_health_and_its_ledger(start: Start) -> None:
    async with aiohttp.ClientSession() as http:
        for protocol, status in ((3, 404), (4, 200)):
            gateway = await start(protocol=protocol)
            async with http.get(f"{gateway.origin}/healthz") as answer:
                assert answer.status == status
            async with http.get(f"{gateway.origin}/_kmon/ledger") as answer:
                assert (await answer.json())["connections"] == {"opened": 0, "refused": 0, "open": 0}
