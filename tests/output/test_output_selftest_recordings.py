"""Recorded streams below a directory are replayed through the probe; each name is counted, with its streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.cli import main

SPEED = "20"


def sse(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def said(word: str, finish: str | None = None) -> object:
    return {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": finish}]}


HEALTHY = sse(said("Hel"), said("lo", "stop")) + b"data: [DONE]\n\n"
CUT = sse(said("Hel"))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two streams in a directory of its own, one cut, beside files that are no recordings."""
    inside = tmp_path / "recorded" / "deeper"
    inside.mkdir(parents=True)
    (inside / "healthy.sse").write_bytes(HEALTHY)
    (inside / "cut.sse").write_bytes(CUT)
    (inside / "expected.json").write_text('{"text": "Hello", "error": {"message": "none"}}')
    (inside / "README.md").write_text("Streams.")
    return tmp_path / "recorded"


def test_each_stream_is_named_and_each_name_has_its_streams(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    assert main(["selftest", "--recordings", str(recorded), "--speed", SPEED, "--output", str(kept)]) == 0
    printed = capsys.readouterr().out
    assert "truncated-no-finish  1\n  deeper/cut.sse#0: " in printed
    assert "2 recorded streams in 2 files; 2 other files without a stream that kmon can replay" in printed
    assert "named: 1 of 2 (50.0%, 95 % interval 1-99 %)" in printed
    result = json.loads(kept.read_text())
    assert (result["type"], result["streams"], result["named"]) == ("selftest_recordings", 2, 1)
    assert [row["stream"] for row in result["signatures"]["truncated-no-finish"]] == ["deeper/cut.sse#0"]


def test_json_is_one_object(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recorded / "deeper" / "cut.sse").unlink()
    assert main(["selftest", "--recordings", str(recorded), "--speed", SPEED, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["streams"], result["named"], result["signatures"]) == (1, 0, {})


def test_a_directory_without_recordings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text("none")
    assert main(["selftest", "--recordings", str(tmp_path)]) == 2
    assert "no file below it holds a stream that kmon can replay" in capsys.readouterr().err
    assert main(["selftest", "--recordings", str(tmp_path / "missing")]) == 2
    assert "no such directory" in capsys.readouterr().err
