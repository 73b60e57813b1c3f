"""kmon's own recordings come back as the streams they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kmon.errors import UsageError
from kmon.findings.recorded import decode
from kmon.recording import Interaction, load
from kmon.recording.decode import Decoded

MS = 1_000_000
END: dict[str, Any] = {
    "type": "run_ended", "t_ns": 400 * MS, "run": "r1", "target": "together/kimi", "attempts": 1, "state": "done",
    "signature": None, "error": None, "text": "hello", "reasoning": "hm",
    "tool_calls": [{"id": "c", "name": "w", "arguments": "{}"}], "finish_reason": "stop",
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "reasoning_tokens": 1},
}  # fmt: skip


def delta(t_ms: int, kind: str, text: str = "", **more: object) -> dict[str, Any]:
    return {"type": "delta", "run": "r1", "attempt": 1, "t_ns": t_ms * MS, "kind": kind, "text": text} | more


def recorded(tmp_path: Path, *lines: dict[str, Any]) -> list[Interaction]:
    path = tmp_path / "race.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load(path)


def only(tmp_path: Path, *lines: dict[str, Any]) -> Decoded:
    (interaction,) = recorded(tmp_path, {"type": "race_started", "t_ns": 0}, *lines)
    return decode("f", interaction)


def test_a_full_recording_is_the_stream_it_was(tmp_path: Path) -> None:
    lines = [
        {"type": "race_started", "t_ns": 0},
        {"type": "run_queued", "t_ns": 0, "run": "r1", "label": "together/moonshotai/Kimi"},
        {"type": "attempt_started", "t_ns": 100 * MS, "run": "r1", "attempt": 1, "url": "http://x/v1/chat/completions"},
        {"type": "headers", "t_ns": 150 * MS, "run": "r1", "attempt": 1, "status": 200},
        delta(200, "keepalive", chunk=False),
        delta(210, "reasoning", "hm"),
        delta(220, "text", "hel"),
        delta(250, "text", "lo"),
        delta(260, "tool", "{}", tools=[{"index": 0, "id": "c", "name": "w", "arguments": "{}"}]),
        delta(270, "finish", finish_reason="stop", usage=END["usage"]),
        delta(300, "other", done=True, chunk=False),
        END,
    ]
    (interaction,) = recorded(tmp_path, *lines)
    assert (interaction.request.model, interaction.status, interaction.streaming) == ("moonshotai/Kimi", 200, True)
    assert interaction.duration_ms == 200.0
    assert interaction.arrivals_ms == (0.0, 10.0, 20.0, 50.0, 60.0, 70.0, 100.0)
    got = decode("f", interaction)
    assert (got.text, got.reasoning, got.finish_reason, got.done, got.chunks) == ("hello", "hm", "stop", True, 5)
    assert [(call.id, call.name, call.arguments) for call in got.tool_calls] == [("c", "w", "{}")]
    assert got.usage is not None
    assert (got.usage.total_tokens, got.usage.reasoning_tokens, got.signature) == (3, 1, None)


def test_contract_only_lines_are_filled_in_from_the_end_of_the_run(tmp_path: Path) -> None:
    got = only(tmp_path, delta(1, "reasoning", "hm"), delta(2, "text", "hello"), delta(3, "tool", "{}"), END)
    assert (got.text, got.reasoning, got.finish_reason, got.done) == ("hello", "hm", "stop", True)
    assert [call.name for call in got.tool_calls] == ["w"]
    assert got.usage is not None


def test_a_run_known_only_by_its_end(tmp_path: Path) -> None:
    got = only(tmp_path, END)
    assert (got.text, got.reasoning, got.finish_reason, len(got.tool_calls)) == ("hello", "hm", "stop", 1)


def test_every_attempt_is_an_interaction_and_a_nudge_does_not_take_the_runs_end(tmp_path: Path) -> None:
    nudge = {"type": "attempt_started", "t_ns": 0, "run": "r1", "attempt": 2, "role": "nudge"}
    first, second = recorded(tmp_path, delta(1, "text", "hello"), nudge, delta(2, "text", "yes", attempt=2), END)
    assert decode("f", first).finish_reason == "stop"
    assert (decode("f", second).text, decode("f", second).finish_reason) == ("yes", None)


def test_errors_come_back_as_what_they_were(tmp_path: Path) -> None:
    in_stream = {"kind": "in-stream", "message": "busy", "status": 529}
    assert only(tmp_path, delta(1, "error", "", error=in_stream)).signature == "error-in-stream"
    malformed = {"kind": "malformed-frame", "message": "invalid JSON", "frame": '{"cho'}
    assert only(tmp_path, delta(1, "error", "", error=malformed)).signature == "malformed-frame"
    refused = END | {"state": "failed", "text": "", "error": {"kind": "http", "message": "slow down", "status": 429}}
    got = only(tmp_path, refused | {"tool_calls": [], "finish_reason": None, "usage": None, "reasoning": ""})
    assert (got.status, got.signature, got.error and got.error.message) == (429, "rate-limited", "slow down")


def test_a_race_that_was_cut_off_is_truncated(tmp_path: Path) -> None:
    assert only(tmp_path, delta(1, "text", "hel")).signature == "truncated-no-finish"


def test_a_recording_cut_in_its_last_line_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    lines = [json.dumps(line) for line in ({"type": "race_started", "t_ns": 0}, delta(1, "text", "hel"), END)]
    path.write_text("\n".join(lines)[:-40])
    (interaction,) = load(path)
    assert (decode("f", interaction).text, decode("f", interaction).signature) == ("hel", "truncated-no-finish")
    path.write_text("\n".join(lines[:2])[:-20])
    with pytest.raises(UsageError, match="it ends before any attempt began"):
        load(path)
