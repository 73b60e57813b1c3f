"""Promises of the gateway's frames: each kind by its type, and a message that is none says so."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.openclaw.protocol.frames import (
    FrameError,
    GatewayError,
    GatewayEvent,
    GatewayRequest,
    GatewayResponse,
    encode,
    parse,
)


def test_each_kind_is_told_by_its_type() -> None:
    assert parse('{"type":"req","id":"1","method":"status"}') == GatewayRequest("1", "status")
    assert parse('{"type":"res","id":"1","ok":true,"payload":{"a":1},"more":2}') == GatewayResponse("1", True, {"a": 1})
    assert parse('{"type":"event","event":"tick","payload":{"ts":5},"seq":3}') == GatewayEvent("tick", {"ts": 5}, 3)
    refused = parse('{"type":"res","id":"1","ok":false,"error":{"code":"UNAVAILABLE","retryAfterMs":500}}')
    assert refused == GatewayResponse("1", False, None, GatewayError("UNAVAILABLE", retry_after_ms=500))


def test_what_is_sent_can_be_read() -> None:
    asked = GatewayRequest("7", "chat.send", {"message": "hi"})
    assert parse(encode(asked)) == asked


@pytest.mark.parametrize("text", ["", "hello", "[]", '{"type":"nope"}', '{"type":"event"}', "[" * 100_000])
def test_what_is_no_frame_says_so(text: str) -> None:
    with pytest.raises(FrameError, match=r"."):
        parse(text)


@given(st.text() | st.binary())
def test_nothing_but_a_frame_error_is_raised(text: str | bytes) -> None:
    with contextlib.suppress(FrameError):
        parse(text)
