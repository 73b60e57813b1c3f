"""What kmon prints arrives, whatever the encoding of stdout and whatever has become of stderr."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal.provider import chunk, provider
from tests.test_cli import clean_env

SAID = "hé, 日本, 😀"
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
PRINTED = {
    "targets": ["targets"],
    "scenarios": ["scenarios"],
    "signatures": ["signatures"],
    "numbers": ["signatures", "--numbers"],
    "explain": ["explain", "seed-001"],
    "config": ["config"],
    "help": ["--help"],
    "help of a command": ["proxy", "--help"],
    "decode": ["decode", "body.sse"],
    "decode as JSON": ["decode", "body.sse", "--json"],
}


def kmon(here: Path, *arguments: str, redirected: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "kmon", *arguments]
    return subprocess.run(command, cwd=here, env=clean_env(here, env), capture_output=True, timeout=100)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    said = {"choices": [{"index": 0, "delta": {"content": SAID}, "finish_reason": "stop"}]}
    (tmp_path / "body.sse").write_text(f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n")
    (tmp_path / "kmon.toml").write_text('[scenarios.greeting]\ntitle = "日本"\nlike = "minimal"\n')
    return tmp_path


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("case", PRINTED)
def test_what_stdout_cannot_encode_is_escaped_and_all_of_it_is_there(case: str, encoding: str, here: Path) -> None:
    whole = kmon(here, *PRINTED[case], PYTHONIOENCODING="utf-8")
    escaped = kmon(here, *PRINTED[case], **ENCODINGS[encoding])
    assert (whole.returncode, escaped.returncode) == (0, 0), escaped.stderr
    expected = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in whole.stdout.decode())
    assert escaped.stdout == expected.encode("ascii")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_stays_json_and_race_ended_stays_last(encoding: str, here: Path) -> None:
    with provider(chunk(SAID), chunk(SAID, "stop")) as server:
        arguments = ("run", "--base-url", server.url, "--model", "m", "--json")
        done = kmon(here, *arguments, **ENCODINGS[encoding])
    events = [json.loads(line.decode("utf-8")) for line in done.stdout.splitlines()]
    assert events[-1]["type"] == "race_ended"
    assert next(event for event in events if event["type"] == "run_ended")["text"] == SAID * 2
    assert done.returncode == 0


def test_lines_and_the_table_reach_an_ascii_stdout(here: Path) -> None:
    with provider(chunk(SAID), chunk(SAID, "stop")) as server:
        done = kmon(here, "run", "--base-url", server.url, "--model", "m", **ENCODINGS["C"])
    assert done.returncode == 0, done.stderr
    assert b"\\u2714 done" in done.stdout
    assert b"1 of 1 run ended well" in done.stdout


def test_a_doctor_and_a_test_reach_an_ascii_stdout(here: Path) -> None:
    tested = kmon(here, "test", "--demo", "groq", "--count", "1", "--scenario", "minimal", **ENCODINGS["ascii"])
    assert tested.returncode == 0, tested.stderr
    assert b"\\u2705 OK" in tested.stdout and b"pass rate" in tested.stdout
    examined = kmon(here, "doctor", "vllm", "--timeout", "2", **ENCODINGS["ascii"])
    assert examined.returncode == 1, examined.stderr
    assert b"=> " in examined.stdout


def test_a_name_that_is_no_text_is_told_as_it_is(here: Path) -> None:
    done = kmon(here, "decode", os.fsdecode(b"no\xff.sse"))
    assert done.returncode == 2
    assert done.stderr.startswith(b"kmon: cannot read no")


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2</dev/null", "2>&- <&-"])
def test_a_stderr_that_takes_nothing_changes_neither_output_nor_exit_code(redirected: str, here: Path) -> None:
    arguments = ("decode", "none.sse", "body.sse", "--json")
    usual, done = kmon(here, *arguments), kmon(here, *arguments, redirected=redirected)
    assert (done.stdout, done.returncode) == (usual.stdout, 2)
    assert json.loads(done.stdout)["text"] == SAID
    assert b"none.sse" in usual.stderr
    assert done.stderr == b""


def test_a_closed_stderr_is_not_the_number_of_a_socket(here: Path) -> None:
    with provider(chunk("hi", "stop")) as server:
        arguments = ("run", "--base-url", server.url, "--model", "m", "--json")
        done = kmon(here, *arguments, redirected="2>&- <&-")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "race_ended"
