"""The command ``kmon doctor``: exit codes, JSON, which targets it examines, and a clean end by Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import clean_env, kmon
from tests.support.endpoints import free_port


def configured(directory: Path, port: int) -> None:
    (directory / "kmon.toml").write_text(
        f"[targets.house]\nbase_url = 'http://127.0.0.1:{port}/v1'\nmodel = 'm'\n[doctor]\nprograms = ['kmon-none']\n"
    )


def test_something_wrong_is_exit_code_1_in_text_and_json(tmp_path: Path) -> None:
    configured(tmp_path, free_port())
    done = kmon("doctor", "house", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "=> no address of 127.0.0.1 port" in done.stdout
    assert "chat programs    none running" in done.stdout
    done = kmon("doctor", "house", "--json", cwd=tmp_path, env={"HTTPS_PROXY": "http://user:hunter2@127.0.0.1:9"})
    target, machine = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (target["type"], target["target"], target["ok"]) == ("target", "house", False)
    assert target["addresses"][0]["error"].startswith("connection refused")
    assert machine.pop("log")["level"] == "warning"
    assert machine == {
        "type": "machine",
        "proxy_variables": {"HTTPS_PROXY": "http://127.0.0.1:9"},
        "processes": [],
    }


def test_without_a_key_the_local_servers_are_looked_at(tmp_path: Path) -> None:
    taken = {name: free_port() for name in ("ollama", "ollama-native", "vllm", "lm-studio")}
    text = "".join(f"[targets.{name}]\nbase_url = 'http://127.0.0.1:{port}/v1'\n" for name, port in taken.items())
    (tmp_path / "kmon.toml").write_text(text)
    done = kmon("doctor", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "no target was named and no key is set: looking at the local servers only" in done.stderr
    assert done.stdout.count("that server is not running") == len(taken)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "there is no target 'nope'"),
        (["--timeout", "0"], "--timeout must be above 0"),
        (["--timeout", "nan"], "--timeout must be above 0"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = kmon("doctor", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("kmon: ") and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_it_at_once_and_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        configured(tmp_path, server.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "kmon", "doctor", "house", "--timeout", "200"],
            cwd=tmp_path, env=clean_env(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            asked = b""
            while not asked:  # the first connections only knock; then comes a request, which is never answered
                connection, _ = server.accept()
                with connection:
                    asked = connection.recv(1024)
                    if asked:
                        process.send_signal(signal.SIGINT)
                        out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
            process.communicate()
    assert (process.returncode, out, errors) == (130, "", "")
