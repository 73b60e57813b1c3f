"""Promises of kmon proxy and kmon wrap as commands: what they print, what they set, and how they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from kmon.catalog.clients import base_url_variables
from tests.support.cli import CLIENT, KMON, kmon, wrap
from tests.support.threaded_provider import chunk, provider

pytestmark = pytest.mark.slow


def test_a_wrapped_program_keeps_its_streams_and_its_exit_code(upstream: str, tmp_path: Path) -> None:
    record = tmp_path / "events.jsonl"
    done = wrap(upstream, [sys.executable, "-c", CLIENT], "--json", str(record), input="what came by stdin")
    assert done.returncode == 7
    assert done.stdout == "data: [DONE] what came by stdin\n"
    assert "/kimi" in done.stderr
    assert "1 of 1 run ended well" in done.stderr
    events = [json.loads(line) for line in record.read_text().splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["race_started", "race_ended"]
    assert [event["state"] for event in events if event["type"] == "run_ended"] == ["done"]
    assert "0123456789" not in record.read_text() + done.stderr


def test_a_program_that_asks_nothing_is_told_of(upstream: str) -> None:
    done = wrap(upstream, ["true"])
    assert (done.returncode, done.stdout) == (0, "")
    assert "the program asked nothing of http://127.0.0.1:" in done.stderr


def test_a_signal_goes_to_the_program_and_its_end_comes_back(upstream: str) -> None:
    waits = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [*KMON, "wrap", "--to", upstream, "--", sys.executable, "-c", waits],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["wrap", "--to", "together", "--", "no-such-program"], "there is no program 'no-such-program'"),
        (["wrap", "--to", "together"], "no program was named"),
        (["wrap", "--", "true"], "--to"),
        (["wrap", "--to", "together", "--json", "/no/such/dir/x", "--", "true"], "cannot be written"),
        (["proxy"], "--to"),
        (["proxy", "--to", "nobody"], "there is no target 'nobody'"),
        (["proxy", "--to", "ftp://x"], "must begin with http"),
        (["proxy", "--to", "together", "--host", "0.0.0.0"], "loopback only"),
        (["proxy", "--to", "together", "--port", "70000"], "0 to 65535"),
        (["proxy", "--to", "together", "--keep", "0"], "--keep"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], why: str, tmp_path: Path) -> None:
    done = kmon(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert why in done.stderr


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = str(taken.getsockname()[1])
        done = kmon("proxy", "--to", "together", "--port", taken_port, "--headless", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is in use; choose another --port" in done.stderr


@pytest.mark.parametrize("flag", ["--headless", "--json"])
def test_a_proxy_without_a_screen_prints_what_passes_until_it_is_stopped(upstream: str, flag: str) -> None:
    process = subprocess.Popen(
        [*KMON, "proxy", "--to", upstream, "--port", "0", flag],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("kmon: listening on http://127.0.0.1:")
    with urllib.request.urlopen(f"{said.split()[3]}/models") as answer:
        assert json.load(answer)["data"]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    if flag == "--json":
        kinds = [json.loads(line)["type"] for line in out.splitlines()]
        assert (kinds[0], kinds[-1]) == ("race_started", "race_ended")
        assert "run_ended" in kinds
    else:
        assert "started by Python-urllib" in out
        assert out.endswith("1 request ended well, 0 did not\n")


def test_every_program_gets_the_base_url_it_wants() -> None:
    found = base_url_variables("http://127.0.0.1:1/v1")
    assert found["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert found["ANTHROPIC_BASE_URL"] == found["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "http://127.0.0.1:1"
    assert found["OLLAMA_HOST"] == "http://127.0.0.1:1"
    assert base_url_variables("http://127.0.0.1:1/anthropic/v1")["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1/anthropic"


def test_a_proxy_without_files_says_so_to_the_client_and_goes_on_when_there_are_some_again(tmp_path: Path) -> None:
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    with provider(chunk("hi"), hold=True) as server, (tmp_path / "events.jsonl").open("wb") as record:
        command = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *KMON, "proxy", "--port", "0", "--json"]
        process = subprocess.Popen([*command, "--to", f"{server.url}/v1"], stdout=record, stderr=subprocess.PIPE)
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().decode().partition("127.0.0.1:")[2].partition("/")[0])
            clients = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(30)]
            for client in clients:
                client.sendall(request)
            answers = [client.recv(4096) for client in clients]
            refused = [answer for answer in answers if b"502" in answer[:12]]
            assert refused and all(b'"code": "out-of-files"' in answer for answer in refused)
            assert len(refused) + sum(b"200 OK" in answer[:15] for answer in answers) == len(answers)
            for client in clients:
                client.close()
            answer = b"502"
            while b"502" in answer[:12]:  # until the proxy has noticed that the others are gone
                with socket.create_connection(("127.0.0.1", port), 60) as client:
                    client.sendall(request)
                    answer = client.recv(4096)
            assert b"200 OK" in answer[:15]
        finally:
            process.terminate()
            said = process.communicate(timeout=60)[1]
    assert b"kmon itself failed" not in said
    ended = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines() if "run_ended" in line]
    failed = [event for event in ended if event["signature"] == "out-of-files"]
    assert len(failed) >= len(refused)
    assert {event["blame"]["name"] for event in failed} == {"us"}
