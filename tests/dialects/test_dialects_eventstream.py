"""Event-stream frames: both checksums are checked, nothing is believed, every split is the same."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.eventstream import BadFrame, EventStreamDecoder, Frame
from tests.support.event_frames import frame


def decode(*pieces: bytes) -> list[Frame | BadFrame]:
    decoder = EventStreamDecoder()
    found = [item for piece in pieces for item in decoder.feed(piece)]
    return found + decoder.end()


def whys(*pieces: bytes) -> list[str]:
    return [item.why for item in decode(*pieces) if isinstance(item, BadFrame)]


def test_a_frame_gives_its_headers_and_payload() -> None:
    assert decode(frame("metadata", b"{}")) == [Frame({":message-type": "event", ":event-type": "metadata"}, b"{}")]


def test_a_flipped_payload_bit_costs_that_frame_only() -> None:
    bad = bytearray(frame("a", {"x": 1}))
    bad[-6] ^= 1
    first, second = decode(bytes(bad) + frame("b", b"{}"))
    assert isinstance(first, BadFrame)
    assert isinstance(second, Frame)


def test_a_flipped_prelude_bit_ends_the_decoding() -> None:
    bad = bytearray(frame("a", {}))
    bad[2] ^= 1
    assert whys(bytes(bad) + frame("b", b"{}")) == ["wrong checksum of a frame's prelude; the rest cannot be read"]


def test_a_gigantic_or_impossible_length_is_not_waited_for() -> None:
    for total, headers in ((2**31, 0), (12, 0), (100, 99)):
        prelude = struct.pack(">II", total, headers)
        assert len(whys(prelude + struct.pack(">I", zlib.crc32(prelude)))) == 1


def test_a_body_cut_inside_a_frame_says_so() -> None:
    assert whys(frame("a", {})[:20]) == ["the body ended inside a frame"]
    assert whys(b"\0\0\0") == ["the body ended inside a frame"]


def test_headers_of_other_types_are_skipped_and_broken_ones_told() -> None:
    whole = frame("a", b"")
    assert whys(whole) == []
    for packed in (b"\x01b\x00", b"\x01t\x08" + bytes(8), b"\x01x\x06\x00\x02hi"):
        assert decode(_with_headers(packed)) == [Frame({}, b"")]
    for packed in (b"\x09ab", b"\x01a\x63", b"\x01a\x07\x00\x09x", b"\x01a\x07\x00"):
        assert whys(_with_headers(packed)) == ["a frame with unreadable headers"]


def _with_headers(packed: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(packed), len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed
    return message + struct.pack(">I", zlib.crc32(message))


BODIES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from(["a", "metadata"]), st.binary(max_size=20)),
        st.binary(max_size=10).map(_with_headers),
        st.binary(max_size=20),
    ),
    max_size=4,
).map(b"".join)


@given(BODIES, st.lists(st.integers(0, 200)))
def test_any_split_gives_the_same_frames(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decode(*(body[a:b] for a, b in pairwise(edges))) == decode(body)
