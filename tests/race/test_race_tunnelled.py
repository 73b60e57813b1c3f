"""Promises of a watched tunnel: what is said in it is shown, and no key that is said in it ever is."""

from __future__ import annotations

import json

import pytest

from kmon.dialects.delta import Delta
from kmon.race.tunnelled import Tunnel
from kmon.transport.relay.head import response_head
from tests.transport.test_transport_relay_framing import frame

KEY = "gateway-token-0123456789"
TEXT, CLOSE = 1, 8


def tunnel() -> Tunnel:
    return Tunnel(response_head(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"))


def shown(deltas: list[Delta]) -> str:
    return " ".join(f"{delta.text} {delta.raw} {delta.finish_reason}" for delta in deltas)


@pytest.mark.parametrize("name", ["token", "password", "client_secret", "apiKey", "Authorization", "deviceToken"])
def test_a_key_a_client_says_is_shown_nowhere_nor_when_it_is_said_back(name: str) -> None:
    watched = tunnel()
    connect = json.dumps({"type": "req", "method": "connect", "params": {"auth": {name: KEY}}})
    told = watched.feed("client", frame(TEXT, connect.encode(), mask=b"abcd"))
    told += watched.feed("upstream", frame(TEXT, f"you said {KEY}".encode()))
    told += watched.feed("upstream", frame(CLOSE, b"\x03\xf3" + KEY.encode()))
    assert "connect" in shown(told) and "you said [key]" in shown(told)
    assert KEY not in shown(told)


def test_a_key_the_upstream_gives_is_not_shown_either_and_a_token_of_text_is() -> None:
    watched = tunnel()
    hello = json.dumps({"auth": {"deviceToken": KEY}, "logprobs": [{"token": "interface"}]})
    told = shown(watched.feed("upstream", frame(TEXT, hello.encode())))
    assert KEY not in told and "interface" in told


def test_a_key_inside_json_inside_json_is_one_too() -> None:
    inner = json.dumps({"token": KEY})
    told = tunnel().feed("client", frame(TEXT, json.dumps({"body": inner}).encode(), mask=b"abcd"))
    assert KEY not in shown(told)
