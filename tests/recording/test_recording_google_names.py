"""Gemini's chunks as Google's Python SDK dumps them are those of the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kmon.recording.google_names import on_the_wire
from tests.support.recorded_stream import decoded, recorded

CALL = {"name": "f", "args": {"home_city": {"zip_code": 7}}}
DUMPED: list[dict[str, Any]] = [
    {
        "candidates": [{"content": {"parts": [{"text": "Hel", "function_call": None}]}, "finish_reason": None}],
        "model_version": "g",
    },
    {
        "candidates": [{"content": {"parts": [{"text": "lo"}, {"function_call": CALL}]}, "finish_reason": "STOP"}],
        "usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 2, "total_token_count": 5},
        "model_version": "g",
    },
]
PRINTED = """sdk_http_response=None candidates=[Candidate(
  content=Content(parts=[Part(text='Hello')], role='model'),
  finish_reason=<FinishReason.STOP: 'STOP'>
)] model_version='g' response_id='r1' usage_metadata=Usage(total_token_count=5)
"""


@pytest.mark.parametrize("write", [json.dumps, lambda rows: "".join(json.dumps(row) + "\n" for row in rows)])
def test_a_dump_is_whole(tmp_path: Path, write: Callable[[object], str]) -> None:
    (only,) = recorded(tmp_path, write(DUMPED))
    got = decoded(only)
    assert (got.dialect, got.text, got.finish_reason, got.done, got.signature) == (
        "gemini",
        "Hello",
        "STOP",
        True,
        None,
    )
    assert [json.loads(call.arguments) for call in got.tool_calls] == [CALL["args"]]
    assert got.usage is not None
    assert got.usage.total_tokens == 5


def test_what_the_sdk_prints_is_whole(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, PRINTED)
    assert (decoded(only).text, decoded(only).finish_reason, decoded(only).signature) == ("Hello", "STOP", None)


def test_a_dump_that_is_cut_stays_cut(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, json.dumps(DUMPED[:1]))
    assert decoded(only).signature == "truncated-no-finish"


def test_chunks_of_the_wire_and_of_others_stay() -> None:
    for value in ({"candidates": [], "usageMetadata": {"a_b": 1}}, {"choices": [{"finish_reason": "stop"}]}, {}):
        assert on_the_wire(value) == value
