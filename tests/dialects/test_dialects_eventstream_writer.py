"""The encoder's frames are frames to botocore's own decoder."""

from __future__ import annotations

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.eventstream_writer import error, event, exception, frame

NAMES = st.text(min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, st.text(max_size=300), max_size=5)


def read(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


@given(HEADERS, st.binary(max_size=2_000))
def test_botocore_reads_back_what_was_written(headers: dict[str, str], payload: bytes) -> None:
    assert read(frame(headers, payload)) == [(headers, payload)]


def test_the_three_kinds_of_message() -> None:
    ((headers, payload),) = read(event("messageStop", b"{}"))
    assert headers == {
        ":event-type": "messageStop",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert payload == b"{}"
    ((headers, payload),) = read(exception("throttlingException", b"{}"))
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "throttlingException")
    ((headers, payload),) = read(error("Code", "Said."))
    assert headers == {":error-code": "Code", ":error-message": "Said.", ":message-type": "error"}
    assert payload == b""


@pytest.mark.parametrize("position", [0, 8, 13, -5, -1])
def test_botocore_notices_any_flipped_bit(position: int) -> None:
    damaged = bytearray(event("messageStop", b"{}"))
    damaged[position] ^= 1
    with pytest.raises(ChecksumMismatch):
        read(bytes(damaged))
