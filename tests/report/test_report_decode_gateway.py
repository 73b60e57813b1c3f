"""``kmon decode`` of gateway recordings: one object per run, and refusals that say what a file is instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kmon.cli import main
from kmon.errors import UsageError
from kmon.recording import load
from tests.dialects.gateway_recordings import ALL, FOLDER, needs_recordings

FRAMES = [
    {"rel": 0, "dir": "in", "frame": {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n"}}},
    {"rel": 1, "dir": "in", "frame": {"type": "event", "event": "agent", "seq": 1, "payload": {
        "runId": "r1", "sessionKey": "s", "stream": "lifecycle", "seq": 1, "data": {"phase": "start"}}}},
    {"rel": 2, "dir": "in", "frame": {"type": "event", "event": "agent", "seq": 2, "payload": {
        "runId": "r1", "sessionKey": "s", "stream": "assistant", "seq": 2, "data": {"text": "\x1b[31mhi"}}}},
    {"rel": 3, "dir": "in", "frame": 7},
    {"rel": 20, "dir": "meta", "frame": {"closed": 1012}},
]  # fmt: skip


def decoded(capsys: pytest.CaptureFixture[str], *files: Path) -> list[dict[str, Any]]:
    assert main(["decode", "--json", *map(str, files)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_run_that_was_open_when_the_gateway_stopped_is_one_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = decoded(capsys, written(tmp_path / "g.jsonl", FRAMES))
    assert (run["dialect"], run["run"], run["text"], run["done"]) == ("openclaw", "r1", "\x1b[31mhi", False)
    assert run["signature"] == "gateway-stopped" and run["error"] is None
    assert [moment["name"] for moment in run["moments"]] == ["cannot-tell", "gateway-stopped"]


def test_no_byte_of_a_run_acts_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(written(tmp_path / "g.jsonl", FRAMES))]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "diagnosis gateway-stopped: the gateway stopped while run r1 was open, 19 s in" in out


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (FRAMES, "it holds a gateway's frames"),
        ([{"rel": 1, "lines": ["connected | idle"]}, {"rel": 2, "typed": "hi"}], "screen showed"),
        ([{"rel": 1, "dir": "in", "frame": {"type": "init"}}], "no runs from"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_what_it_is(
    tmp_path: Path, lines: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        load(written(tmp_path / "g.jsonl", lines))


@needs_recordings
def test_every_recording_decodes_to_its_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runs = decoded(capsys, *(FOLDER / name for name in ALL))
    assert {Path(run["file"]).name for run in runs} == set(ALL)
    slow = [run for run in runs if run["file"].endswith("ollama-slow.jsonl")]
    assert [run["origin"] for run in slow] == ["sent", "sent", "queue"]
    assert [(moment["name"], moment["claim"]) for moment in slow[0]["moments"]][-1] == (
        "queued-follow-up", "connected | idle",
    )  # fmt: skip
