"""Streams inside other text: a terminal, a report, curl's meter. Text without a recognised event stays text."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import EVENTS, SSE, is_the_stream, recorded

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
