"""Streams inside other text: a terminal, a report, curl's meter. Text without a recognised event stays text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import EVENTS, MESSAGES, SSE, TEXT, decoded, is_the_stream, recorded

TITLE = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed\n"
)
START = "\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0"
LATER = "\r100  1.2k    0   183    0     0    180      0 --:--:--  0:00:01 --:--:--   180"


@pytest.mark.parametrize(
    "content",
    [
        "$ curl -N https://api.example.com\n" + SSE + "$ ",
        "It stops after this:\n\n```text\n" + SSE + "```\nWhy?\n",
        "It stops:\n\n" + "".join(f"    {line}\n" for line in SSE.splitlines()),
        "".join(f"> {line}\n" for line in SSE.splitlines()),
        TITLE + START + SSE,
        TITLE + START + EVENTS[0] + LATER + "".join(EVENTS[1:]) + LATER + "\n",
    ],
    ids=["prompt", "fence", "indented", "quoted", "meter", "meter between events"],
)
def test_the_stream_in_other_text(tmp_path: Path, content: str) -> None:
    (only,) = recorded(tmp_path, content)
    is_the_stream(only)


def test_each_block_of_a_report_is_a_stream(tmp_path: Path) -> None:
    found = recorded(tmp_path, f"First:\n```\n{SSE}```\nThen:\n```\n{SSE}```\n")
    assert [one.index for one in found] == [0, 1]
    for one in found:
        is_the_stream(one)


@pytest.mark.parametrize("content", ["To see it:\ndata: [DONE]\n", "title\ndata: {}\n", "x\n: a remark\n"])
def test_text_without_a_recognised_event_is_no_stream(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match="it is text, and no stream"):
        recorded(tmp_path, content)


def test_other_lines_between_the_events_of_one_answer_leave_it_whole(tmp_path: Path) -> None:
    log = "".join(f'INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 200 OK\n{event}' for event in EVENTS)
    (only,) = recorded(tmp_path, log)
    is_the_stream(only)


def test_a_cut_answer_before_a_whole_one_stays_apart(tmp_path: Path) -> None:
    other = SSE.replace('"c1"', '"c2"')
    cut, whole = recorded(tmp_path, f"First:\n{''.join(EVENTS[:2])}then:\n{other}.\n")
    assert decoded(cut).signature == "truncated-no-finish"
    is_the_stream(whole)


def test_typed_events_with_lines_between_them(tmp_path: Path) -> None:
    events = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in MESSAGES]
    found = recorded(tmp_path, "".join(f"got:\n{event}" for event in events + events))
    assert [(decoded(one).text, decoded(one).done) for one in found] == [(TEXT, True)] * 2


def test_bytes_that_are_no_text_are_no_paste(tmp_path: Path) -> None:
    packets = b"".join(b"\x45\x00\x00\x05\n" + event.encode() + bytes(16) for event in EVENTS)
    with pytest.raises(UsageError, match="it is binary"):
        recorded(tmp_path, packets)
