"""``kmon decode`` and ``kmon replay`` with several files, with pipes and standard input, and with recorded times."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from kmon.recording import load
from kmon.simulator.replay import recorded_script
from kmon.simulator.script import SendChunk, offsets
from tests.support.cli import KMON, clean_env, kmon
from tests.support.recorded_stream import EVENTS, HEAD, SSE, TEXT

pytestmark = pytest.mark.timeout(90)

GAPS_S = (0, 1, 8, 9, 10)
"""When each event came: the second silence is a stall."""
STAMPED = "".join(
    f"03:04:{at_s:02}.000 {line}\n"
    for at_s, event in zip(GAPS_S, EVENTS, strict=True)
    for line in event.split("\n")[:-1]
)

ASKED = {"url": "/chat/completions", "postData": {"text": '{"stream":true}'}}


def texts(out: str) -> list[str]:
    return [json.loads(line)["text"] for line in out.splitlines()]


def with_input(cwd: Path, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [*KMON, *arguments]
    return subprocess.run(command, cwd=cwd, env=clean_env(cwd), input=data, capture_output=True, timeout=80)


def test_the_other_files_are_decoded_and_each_bad_one_has_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.txt").write_text(HEAD + SSE)
    (tmp_path / "c.har").write_text('{"log": {"entries": []}}')
    (tmp_path / "d.sse").write_text(SSE)
    done = kmon("decode", "--json", "a.txt", "b.txt", "c.har", "d.sse", cwd=tmp_path)
    assert (done.returncode, texts(done.stdout)) == (2, [TEXT, TEXT])
    first, second = done.stderr.splitlines()
    assert first.startswith("kmon: a.txt is no recording that kmon reads: it is text, and no stream")
    assert second.startswith("kmon: c.har holds no recorded exchange")


@pytest.mark.parametrize(
    "data", [SSE.encode(), gzip.compress(SSE.encode()), SSE.encode("utf-16")], ids=["plain", "gzip", "utf-16"]
)
def test_standard_input_is_read(tmp_path: Path, data: bytes) -> None:
    done = with_input(tmp_path, data, "decode", "--json", "-")
    assert (done.returncode, texts(done.stdout.decode()), done.stderr) == (0, [TEXT], b"")
    assert json.loads(done.stdout)["file"] == "-"


def test_standard_input_that_is_no_recording_is_named(tmp_path: Path) -> None:
    done = with_input(tmp_path, b"hello", "decode", "-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"kmon: standard input is no recording that kmon reads")


def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [*KMON, "decode", "--json", "pipe"]
    with subprocess.Popen(command, cwd=tmp_path, env=clean_env(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        (tmp_path / "pipe").write_text(HEAD + SSE)
        out, _ = process.communicate(timeout=80)
    assert (process.returncode, texts(out)) == (0, [TEXT])


def test_decode_names_the_longest_gap_and_the_stall(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(STAMPED)
    done = kmon("decode", "a.log", cwd=tmp_path)
    assert "  longest gap 7.00 s, 1.00 s after the first event, after 2 chunks\n" in done.stdout
    assert "  signature stall-resumed\n" in done.stdout
    got = json.loads(kmon("decode", "--json", "a.log", cwd=tmp_path).stdout)
    assert (got["max_gap_ms"], got["max_gap_at_ms"], got["max_gap_after_chunks"]) == (7000, 1000, 2)
    (tmp_path / "b.log").write_text(STAMPED.replace("03:04:08", "03:04:02"))
    healthy = json.loads(kmon("decode", "--json", "b.log", cwd=tmp_path).stdout)
    assert (healthy["signature"], healthy["max_gap_ms"]) == (None, 1000)
    (tmp_path / "c.sse").write_text(SSE)
    assert "max_gap_ms" not in json.loads(kmon("decode", "--json", "c.sse", cwd=tmp_path).stdout)


def test_a_replay_keeps_the_recorded_times(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(STAMPED)
    script = recorded_script(load(path)[0])
    sends = [at_s for at_s, step in zip(offsets(script), script, strict=True) if isinstance(step, SendChunk)]
    assert sends == pytest.approx(GAPS_S)


def test_a_replay_finds_the_stall_and_plays_the_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(STAMPED)
    (tmp_path / "b.txt").write_text("hello")
    done = kmon("replay", "a.log", "b.txt", "--json", "--speed", "20", "--stall", "0.2", cwd=tmp_path)
    assert done.returncode == 2
    assert "b.txt is no recording that kmon reads" in done.stderr
    (ended,) = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "run_ended"]
    assert (ended["text"], ended["signature"]) == (TEXT, "stall-resumed")


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("-", "", "standard input cannot be replayed"),
        ("a.txt", "hello", "a.txt is no recording that kmon reads"),
        (
            "a.har",
            json.dumps({"log": {"entries": [{"request": ASKED, "response": {"status": 200, "content": {}}}]}}),
            "a.har: interaction 0 cannot be replayed: the HAR was saved without this answer's body",
        ),
    ],
)
def test_what_cannot_be_replayed_is_said(tmp_path: Path, file: str, content: str, sentence: str) -> None:
    (tmp_path / file).write_text(content)
    done = kmon("replay", file, "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
