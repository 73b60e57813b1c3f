"""One body may hold several answers, appended to a file; late chunks of one answer are no second one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.recording.several import streams
from tests.support.fake_bedrock import answer
from tests.support.recorded_stream import CHUNKS, EVENTS, MESSAGES, SSE, TEXT, decoded, recorded

AGAIN = SSE.replace('"c1"', '"c2"')
ANONYMOUS = SSE.replace('"id": "c1", ', "")
MESSAGES_SSE = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in MESSAGES)


@pytest.mark.parametrize(
    "body",
    [
        SSE + AGAIN,
        ANONYMOUS + ANONYMOUS,
        "".join(EVENTS[:-1]) + AGAIN,
        MESSAGES_SSE + MESSAGES_SSE,
        answer("two ", "wörds") + answer("two ", "wörds"),
    ],
    ids=["after the sentinel", "without ids", "after the finish reason", "messages", "converse"],
)
def test_two_answers_in_one_file(tmp_path: Path, body: str | bytes) -> None:
    found = recorded(tmp_path, body)
    assert [(one.index, decoded(one).text) for one in found] == [(0, TEXT), (1, TEXT)]


@pytest.mark.parametrize(
    "body",
    [
        SSE,
        SSE + "data: [DONE]\n\n",
        SSE + f"data: {json.dumps(CHUNKS[1])}\n\n",
        SSE + "data: {}\n\n: bye\n\n",
        "".join(EVENTS[:-1]) + 'data: {"id":"c9","choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n',
        "".join(event.replace('"c1"', f'"c{n}"') for n, event in enumerate(EVENTS + EVENTS[1:3])),
        MESSAGES_SSE + "data: [DONE]\n\n" + 'event: ping\ndata: {"type":"ping"}\n\n',
        'data: {"candidates":[]}\n\n',
        "",
    ],
    ids=["one", "two sentinels", "a late chunk", "nothing more", "usage with another id", "an id per chunk", "a ping",
         "a dialect that is not decoded", "empty"],
)  # fmt: skip
def test_one_answer_stays_whole(body: str) -> None:
    assert streams(body.encode()) == [(0, len(body.encode()))]
