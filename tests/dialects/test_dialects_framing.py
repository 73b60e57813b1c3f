"""Each framing tells where the events of a recorded body end, and no bytes are lost or make it raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.eventstream_writer import event
from kmon.dialects.framing import AWS_EVENT_STREAM, JSON_ARRAY, JSON_LINES, SERVER_SENT_EVENTS, Framing

FRAMINGS = (SERVER_SENT_EVENTS, AWS_EVENT_STREAM, JSON_LINES, JSON_ARRAY)
VALUES = [{"a": n, "text": '}]"\\{['} for n in range(3)]
TEXTS = [json.dumps(value).encode() for value in VALUES]
EVENTS = {
    SERVER_SENT_EVENTS: [b"event: x\r\ndata: " + text + b"\r\n\r\n" for text in TEXTS],
    AWS_EVENT_STREAM: [event("x", text) for text in TEXTS],
    JSON_LINES: [text + b"\n" for text in TEXTS],
    JSON_ARRAY: [b"[" + TEXTS[0], b"\n,\r\n" + TEXTS[1], b", " + TEXTS[2]],
}
ENDS = {SERVER_SENT_EVENTS: b"data: cut", AWS_EVENT_STREAM: b"\0\0", JSON_LINES: b'{"cut', JSON_ARRAY: b"\n]\n"}
BYTES = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"data: x", b": c", b"\n", b"\r\n", b"\r", b"[", b"]", b"{", b"}", b'"', b"\\", b",", *TEXTS])
).map(b"".join)
by_framing = pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: type(framing).__name__)


@by_framing
def test_events_are_read_and_pieces_end_where_they_end(framing: Framing) -> None:
    body = b"".join(EVENTS[framing]) + ENDS[framing]
    assert framing.begins(body)
    assert [other for other in FRAMINGS if other is not framing and other.begins(body)] == []
    name = "x" if framing.certain else ""
    assert [found for found in framing.events(body) if found[1]] == [(name, value) for value in VALUES]
    assert list(framing.split(body)) == [*EVENTS[framing], ENDS[framing]]


@by_framing
@given(body=BYTES)
def test_no_bytes_are_lost_and_none_make_it_raise(framing: Framing, body: bytes) -> None:
    framing.begins(body)
    list(framing.events(body))
    assert b"".join(framing.split(body)) == body


@given(st.lists(st.sampled_from([b"data: x", b": c", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n"])).map(b"".join))
def test_only_the_last_piece_of_server_sent_events_may_lack_its_end(body: bytes) -> None:
    assert all(piece[-1:] in (b"\n", b"\r") for piece in list(SERVER_SENT_EVENTS.split(body))[:-1])


def test_what_follows_a_damaged_length_is_one_piece() -> None:
    good = event("messageStart", b"{}")
    assert list(AWS_EVENT_STREAM.split(good + b"\xff" + good[1:] + good)) == [good, b"\xff" + good[1:] + good]
