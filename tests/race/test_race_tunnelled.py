"""Promises of a watched tunnel: what is said in it is shown, and no key that is said in it ever is."""

from __future__ import annotations

import json

import pytest

from kmon.proxy.relay.head import response_head
from kmon.proxy.relay.observer import Side
from kmon.proxy.tunnel import Tunnel
from kmon.stream.sanitize import Sanitizer
from tests.dialects.test_dialects_websocket import frame
from tests.probe.key_spellings import gives_away, spellings

KEY = "gateway-token-0123456789"
TEXT, CLOSE = 1, 8


class Watched:
    """A tunnel, and what is shown of it."""

    def __init__(self) -> None:
        self.translate = Sanitizer("p1", 1)
        head = response_head(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        self.tunnel = Tunnel(head, self.translate.learn)

    def feed(self, side: Side, data: bytes) -> str:
        events = [self.translate(1, delta) for delta in self.tunnel.feed(side, data)]
        return " ".join(f"{event.text} {event.raw} {event.finish_reason}" for event in events)

    def rest(self) -> str:
        return " ".join(event.text for event in self.translate.rest(2))


@pytest.mark.parametrize("name", ["token", "password", "client_secret", "apiKey", "Authorization", "deviceToken"])
def test_a_key_a_client_says_is_shown_nowhere_nor_when_it_is_said_back(name: str) -> None:
    watched = Watched()
    connect = json.dumps({"type": "req", "method": "connect", "params": {"auth": {name: KEY}}})
    told = watched.feed("client", frame(TEXT, connect.encode(), mask=b"abcd"))
    told += watched.feed("upstream", frame(TEXT, f"you said {KEY}".encode()))
    told += watched.feed("upstream", frame(CLOSE, b"\x03\xf3" + KEY.encode()))
    assert "connect" in told and "you said [key]" in told
    assert not gives_away(told, KEY)


def test_a_key_the_upstream_gives_is_not_shown_either_and_a_token_of_text_is() -> None:
    watched = Watched()
    hello = json.dumps({"auth": {"deviceToken": KEY}, "logprobs": [{"token": "interface"}]})
    told = watched.feed("upstream", frame(TEXT, hello.encode()))
    assert KEY not in told and "interface" in told


def test_a_key_inside_json_inside_json_is_one_too() -> None:
    inner = json.dumps({"token": KEY})
    told = Watched().feed("client", frame(TEXT, json.dumps({"body": inner}).encode(), mask=b"abcd"))
    assert KEY not in told


@pytest.mark.parametrize("form", sorted(spellings(KEY)))
def test_a_key_is_not_shown_when_it_is_said_back_in_another_form_over_two_messages(form: str) -> None:
    watched, said = Watched(), spellings(KEY)[form]
    watched.feed("client", frame(TEXT, json.dumps({"token": KEY}).encode(), mask=b"abcd"))
    told = watched.feed("upstream", frame(TEXT, said[: len(said) // 2].encode()))
    told += watched.feed("upstream", frame(TEXT, said[len(said) // 2 :].encode()))
    assert not gives_away(told + watched.rest(), KEY)


def test_an_upstream_that_says_many_keys_does_not_crowd_out_the_key_of_the_client() -> None:
    watched = Watched()
    many = json.dumps([{"apiToken": f"key-number-{number:08}"} for number in range(100)])
    watched.feed("upstream", frame(TEXT, many.encode()))
    watched.feed("client", frame(TEXT, json.dumps({"token": KEY}).encode(), mask=b"abcd"))
    assert KEY not in watched.feed("upstream", frame(TEXT, f"you said {KEY}".encode()))


def test_past_a_frame_that_breaks_the_rules_the_bytes_of_that_side_are_watched_and_its_end_is_not_judged() -> None:
    tunnel = Watched().tunnel
    said, broken = tunnel.feed("upstream", frame(TEXT, b"one") + b"\x83\x00")
    assert tunnel.cut is False
    assert (said.text, broken.chunk) == ("one\n", True)
    assert broken.raw is not None and "the upstream sends what is no valid WebSocket: Invalid opcode 0x3" in broken.raw
    (after,) = tunnel.feed("upstream", b"12345")
    assert (after.chunk, after.raw) == (True, "5 bytes from the upstream")
    assert tunnel.feed("client", frame(TEXT, b"two", mask=b"abcd"))[0].raw == "> two"


def test_a_websocket_without_a_close_frame_is_unclosed_and_another_protocol_is_not() -> None:
    tunnel = Watched().tunnel
    assert tunnel.cut
    tunnel.feed("client", frame(CLOSE, b"", mask=b"abcd"))
    assert not tunnel.cut and tunnel.close_code == 1005
    head = response_head(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    assert not Tunnel(head, lambda _keys: None).cut
