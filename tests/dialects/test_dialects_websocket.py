"""Promises of WebSocket framing: any split of the bytes gives the same messages, and limits come before memory."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.websocket import (
    NO_STATUS,
    Message,
    MessageReader,
    Opcode,
    WebSocketError,
    accept_of,
    close_payload,
    encoded,
)

MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A server's frame, up to 65,535 bytes."""
    head = bytes([(0x80 if final else 0) | opcode])
    return head + (bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)) + payload


def read(data: bytes, limit: int = 1 << 20, *, masked: bool = False) -> list[Message]:
    return MessageReader(limit, masked=masked).feed(data)


@given(st.lists(st.tuples(st.sampled_from(["text", "binary", "ping"]), st.binary(max_size=120))), st.data())
def test_any_split_gives_the_same_messages(sent: list[tuple[str, bytes]], data: st.DataObject) -> None:
    opcodes = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING}
    wire = b"".join(encoded(opcodes[kind], payload, MASK) for kind, payload in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader, found = MessageReader(1 << 20, masked=True), []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += reader.feed(wire[start:stop])
    assert [(message.kind, message.data) for message in found] == sent
    assert not reader.midway


def test_a_message_in_pieces_is_put_together_around_a_ping() -> None:
    wire = frame(1, b"one ", final=False) + frame(9, b"?") + frame(0, b"two", final=True)
    assert read(wire) == [Message("ping", b"?"), Message("text", b"one two")]


def test_a_close_tells_its_code_and_reason() -> None:
    assert read(frame(8, close_payload(1012, "restart"))) == [Message("close", b"restart", 1012)]
    assert read(frame(8, b"")) == [Message("close", b"", NO_STATUS)]


@pytest.mark.parametrize("wire", [b"\x81\x7f" + (1 << 40).to_bytes(8), frame(1, b"x" * 60, final=False) * 2])
def test_a_message_over_the_limit_is_refused_before_it_came(wire: bytes) -> None:
    with pytest.raises(WebSocketError, match="over the limit of 100") as refused:
        read(wire, 100)
    assert refused.value.code == 1009


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (b"\xc1\x00", "extension"),
        (b"\x83\x00", "unknown opcode 3"),
        (b"\x81\x80", "masked"),
        (frame(9, b"", final=False), "control frame"),
        (b"\x88\x7e\x00\x80", "control frame"),
        (frame(0, b""), "never began"),
        (frame(1, b"", final=False) + frame(1, b""), "inside another"),
        (frame(8, b"x"), "cut off"),
    ],
)
def test_what_breaks_the_rules_is_named(wire: bytes, words: str) -> None:
    with pytest.raises(WebSocketError, match=words):
        read(wire)


@given(st.binary())
def test_nothing_but_a_websocket_error_is_raised(wire: bytes) -> None:
    with contextlib.suppress(WebSocketError):
        read(wire)


def test_the_proof_is_that_of_the_standard() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
