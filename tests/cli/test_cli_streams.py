"""What kmon prints arrives, whatever the encoding of stdout and whatever has become of stderr."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import KMON, clean_env
from tests.support.cli import kmon as in_process
from tests.support.threaded_provider import chunk, provider

pytestmark = pytest.mark.slow

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
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", *KMON, *arguments]
    return subprocess.run(command, cwd=here, env=clean_env(here, env), capture_output=True, timeout=100)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Files with words in other scripts."""
    said = {"choices": [{"index": 0, "delta": {"content": SAID}, "finish_reason": "stop"}]}
    (tmp_path / "body.sse").write_text(f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n")
    (tmp_path / "kmon.toml").write_text('[scenarios.greeting]\ntitle = "日本"\nlike = "minimal"\n')
    return tmp_path


def escaped(text: str) -> str:
    return "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("case", PRINTED)
def test_what_stdout_cannot_encode_is_escaped_and_all_of_it_is_there(case: str, encoding: str, here: Path) -> None:
    whole = in_process(*PRINTED[case], cwd=here)
    printed = in_process(*PRINTED[case], cwd=here, encoding=encoding)
    assert (whole.returncode, printed.returncode) == (0, 0), printed.stderr
    assert printed.stdout == escaped(whole.stdout)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_so_it_is_in_a_process_whose_stdout_has_that_encoding(encoding: str, here: Path) -> None:
    whole = in_process("scenarios", cwd=here)
    assert not whole.stdout.isascii()
    assert kmon(here, "scenarios", **ENCODINGS[encoding]).stdout == escaped(whole.stdout).encode("ascii")


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
    usual, done = in_process(*arguments, cwd=here), kmon(here, *arguments, redirected=redirected)
    assert (done.stdout.decode(), done.returncode) == (usual.stdout, 2)
    assert json.loads(done.stdout)["text"] == SAID
    assert "none.sse" in usual.stderr
    assert done.stderr == b""


def test_a_closed_stderr_is_not_the_number_of_a_socket(here: Path) -> None:
    with provider(chunk("hi", "stop")) as server:
        arguments = ("run", "--base-url", server.url, "--model", "m", "--json")
        done = kmon(here, *arguments, redirected="2>&- <&-")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "race_ended"
