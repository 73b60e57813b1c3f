"""Promises of WebSocket messages: any split of the bytes gives the same ones, and limits come before memory."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.websocket import INFLATED_LIMIT_BYTES, Inflate, MessageReader, Violation, WebSocketMessage
from tests.support.sockets import frame

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LIMIT = 1 << 20
CUTS = st.lists(st.integers(0, 2_000), max_size=12)


def packed(content: bytes, pack: zlib._Compress | None = None) -> bytes:
    """``content`` as the payload of a compressed message."""
    pack = pack or zlib.compressobj(9, wbits=-15)
    return (pack.compress(content) + pack.flush(zlib.Z_SYNC_FLUSH))[:-4]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def read(reader: MessageReader, parts: list[bytes]) -> list[WebSocketMessage]:
    return [message for part in parts for message in reader.feed(part)]


def told(wire: bytes, limit: int = LIMIT, *, cut: bool = False) -> list[tuple[str, bytes]]:
    reader = MessageReader(limit, cut=cut)
    found = [(message.kind, message.data) for message in reader.feed(wire)]
    assert reader.violation is None
    return found


def broken(wire: bytes, limit: int = LIMIT, *, masked: bool = False) -> Violation:
    """What is said of ``wire``, of which no message is read."""
    reader = MessageReader(limit, masked=masked)
    assert reader.feed(wire) == [] and reader.violation is not None
    assert reader.feed(frame(TEXT, b"x")) == []
    return reader.violation


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=300))), st.booleans(), CUTS)
def test_any_split_gives_the_same_messages(said: list[tuple[int, bytes]], masked: bool, cuts: list[int]) -> None:
    mask = b"\x01\x7f\xfe\x80" if masked else b""
    wire, expected = b"", []
    for opcode, data in said:
        half = len(data) // 2
        wire += frame(opcode, data[:half], final=False, mask=mask) + frame(PING, b"?", mask=mask)
        wire += frame(0, data[half:], mask=mask)
        expected += [("ping", b"?", 1), ("text" if opcode == TEXT else "binary", data, len(data))]
    reader = MessageReader(LIMIT, masked=masked)
    assert [(m.kind, m.data, m.size) for m in read(reader, pieces(wire, cuts))] == expected
    assert reader.violation is None


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.booleans(), CUTS)
def test_compressed_messages_are_inflated_in_any_split(said: list[bytes], fresh: bool, cuts: list[int]) -> None:
    pack, wire, sizes = zlib.compressobj(wbits=-15), b"", []
    for content in said:
        data = packed(content, None if fresh else pack)
        half = len(data) // 2
        wire += frame(BINARY, data[:half], final=False, packed=True) + frame(PONG, b"") + frame(0, data[half:])
        sizes.append(len(data))
    reader = MessageReader(LIMIT, inflate=Inflate(fresh_context=fresh))
    found = [m for m in read(reader, pieces(wire, cuts)) if m.kind == "binary"]
    assert ([m.data for m in found], [m.size for m in found], reader.violation) == (said, sizes, None)


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda data: frame(TEXT, data) + data), CUTS, st.booleans())
def test_whatever_comes_is_read_the_same_in_any_split_and_never_raises(wire: bytes, cuts: list[int], cut: bool) -> None:
    def reader() -> MessageReader:
        return MessageReader(100, masked=bool(wire) and wire[0] % 2 == 1 and not wire.startswith(b"\x81"), cut=cut)

    whole, split = reader(), reader()
    assert read(split, pieces(wire, cuts)) == whole.feed(wire)
    assert split.violation == whole.violation


def test_a_close_tells_its_code_and_reason_even_of_codes_nobody_registered() -> None:
    reader = MessageReader(LIMIT)
    wire = frame(CLOSE, b"\x03\xf4restart") + frame(CLOSE, b"") + frame(CLOSE, b"\x27\x10\xff")
    found = [(m.kind, m.code, m.data) for m in reader.feed(wire)]
    assert found == [("close", 1012, b"restart"), ("close", 1005, b""), ("close", 10_000, b"\xff")]


def test_text_that_is_not_utf_8_is_handed_on() -> None:
    assert told(frame(TEXT, b"\xff\xfe")) == [("text", b"\xff\xfe")]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_message_as_long_as_the_limit_is_read_and_a_longer_one_refused_by_its_header(size: int) -> None:
    wire = frame(BINARY, bytes(size))
    assert told(wire, size) == [("binary", bytes(size))]
    longer = frame(BINARY, bytes(size + 1))
    head = longer[: len(longer) - size - 1]
    assert broken(head, size) == Violation(f"a message of {size + 1} bytes or more, over the limit of {size}", 1009)
    assert MessageReader(size, cut=True).feed(longer)[0] == WebSocketMessage("binary", bytes(size), size=size + 1)


def test_a_limit_is_one_of_the_whole_message_and_may_be_changed() -> None:
    halves = frame(TEXT, b"x" * 50, final=False) + frame(0, b"x" * 50)
    assert told(halves, 100) == [("text", b"x" * 100)]
    assert broken(halves[:-50], 99).code == 1009
    reader = MessageReader(10)
    reader.limit_bytes = 100
    assert len(reader.feed(halves)) == 1
    cut = MessageReader(60, cut=True).feed(halves + frame(TEXT, b"next"))
    assert cut == [WebSocketMessage("text", b"x" * 60, size=100), WebSocketMessage("text", b"next", size=4)]


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (b"\xc1\x00", "Reserved bit"),
        (b"\x83\x00", "Invalid opcode 0x3"),
        (b"\x81\x80", "masked"),
        (frame(PING, b"", final=False), "control frame"),
        (frame(PING, bytes(126)), "Control frame"),
        (frame(0, b""), "never began"),
        (frame(TEXT, b"", final=False) + frame(TEXT, b""), "inside another"),
        (frame(CLOSE, b"x"), "cut off"),
        (b"\x81\x7e\x00\x05hello", "2 bytes when 1"),
        (b"\x81\x7f" + bytes([0x80, 0, 0, 0, 0, 0, 0, 0]), "non-zero MSB"),
    ],
)
def test_what_breaks_the_rules_is_named(wire: bytes, words: str) -> None:
    violation = broken(wire)
    assert words in violation.message and violation.code == 1002


def test_a_client_must_mask_and_a_control_frame_may_have_125_bytes() -> None:
    assert "unmasked" in broken(frame(TEXT, b"x"), masked=True).message
    assert told(frame(PING, bytes(125))) == [("ping", bytes(125))]


def test_what_came_before_a_broken_frame_is_read() -> None:
    reader = MessageReader(LIMIT)
    assert reader.feed(frame(TEXT, b"one") + b"\x83\x00") == [WebSocketMessage("text", b"one", size=3)]
    assert reader.violation is not None


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_that_inflates_to_too_much_ends_the_reading(more: int) -> None:
    reader = MessageReader(LIMIT, cut=True, inflate=Inflate())
    found = reader.feed(frame(BINARY, packed(bytes(INFLATED_LIMIT_BYTES + more)), packed=True))
    assert [len(message.data) for message in found] == ([] if more else [LIMIT])
    assert (reader.violation.code if reader.violation else None) == (1009 if more else None)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x07"])
def test_a_compressed_message_that_is_broken_ends_the_reading(data: bytes) -> None:
    reader = MessageReader(LIMIT, inflate=Inflate())
    assert reader.feed(frame(TEXT, data, packed=True)) == []
    assert reader.violation == Violation("a compressed message is broken", 1007)
