"""A race that this machine cannot make says so, and holds nothing of it against the targets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import clean_env
from tests.support.threaded_provider import chunk, provider

pytestmark = pytest.mark.slow

FILES, STREAMS = 30, 60


def kmon(here: Path, *arguments: str, files: int = FILES) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "kmon", *arguments]
    return subprocess.run(command, cwd=here, env=clean_env(here), capture_output=True, text=True, timeout=100)


def test_streams_without_a_file_are_told_beforehand_and_counted_as_this_machines(tmp_path: Path) -> None:
    arguments = ("--scenario", "minimal", "--count", str(STREAMS), "--concurrency", str(STREAMS), "--json")
    done = kmon(tmp_path, "run", "--demo", "groq", *arguments)
    assert done.returncode == 1, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["type"] == "race_ended"
    notice = next(event for event in events if event["type"] == "notice")
    assert "60 streams at once need about 76 open files, and this machine lets one program have 30" in notice["message"]
    ended = [event for event in events if event["type"] == "run_ended"]
    failed = [event for event in ended if event["state"] == "failed"]
    assert len(ended) == STREAMS and failed
    assert {event["signature"] for event in failed} == {"out-of-files"}
    assert {(event["blame"]["name"], event["blame"]["certainty"]) for event in failed} == {("us", "certain")}
    assert failed[0]["evidence"].startswith("this machine lets one program open 30 files at once")
    assert not [event for event in events if event["type"] == "alert"]
    health = [event for event in events if event["type"] == "target_health"]
    assert all(event["streams"] == event["ok"] for event in health)


def test_as_many_streams_as_there_are_files_for_go_well_without_a_word(tmp_path: Path) -> None:
    done = kmon(tmp_path, "run", "--demo", "groq", "--scenario", "minimal", "--count", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert '"notice"' not in done.stdout


def test_a_soft_limit_is_raised_as_far_as_the_machine_allows(tmp_path: Path) -> None:
    arguments = ("run", "--demo", "groq", "--scenario", "minimal", "--count", str(STREAMS), "--json")
    command = ["sh", "-c", f'ulimit -S -n {FILES}; exec "$@"', "sh", sys.executable, "-m", "kmon", *arguments]
    concurrency = ("--concurrency", str(STREAMS))
    env = clean_env(tmp_path)
    done = subprocess.run([*command, *concurrency], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-500:]
    assert '"notice"' not in done.stdout


@pytest.mark.parametrize("files", [7, 9])
def test_too_few_files_to_begin_with_are_one_sentence(files: int, tmp_path: Path) -> None:
    with provider(chunk("hi", "stop")) as server:
        done = kmon(tmp_path, "run", "--base-url", server.url, "--model", "m", files=files)
    assert "internal error" not in done.stderr
    if done.returncode == 3:
        assert done.stderr.startswith(f"kmon: this machine lets one program open {files} files at once")
    else:
        assert "out-of-files" in done.stdout
