"""kmon's commands: in this process where that proves the same, or in a process of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from kmon.cli import main

KMON = [sys.executable, "-m", "kmon"]
CLIENT = """
import json, os, sys, urllib.request
body = {"model": "kimi", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
headers = {"Authorization": "Bearer sk-0123456789", "Content-Type": "application/json"}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
request = urllib.request.Request(url, json.dumps(body).encode(), headers)
print(urllib.request.urlopen(request).read().decode()[-16:].strip(), sys.stdin.read())
sys.exit(7)
"""
"""A program that asks a provider once, as a wrapped one does."""


def kmon(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: its own directory, environment (:func:`clean_env`) and streams, no signals.

    An interpreter with all of kmon costs a third of a second to start. What is about the process itself (signals,
    closed or foreign streams, variables that kmon reads once) needs :func:`kmon_process`.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="") for _ in range(2))
    stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with (
        chdir(cwd),
        patch.dict(os.environ, clean_env(cwd, env), clear=True),
        patch.object(sys, "stdin", stdin),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            code = main(list(arguments))
        except SystemExit as ended:  # argparse's, after a help text
            code = ended.code if isinstance(ended.code, int) else 0
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode(encoding))
    return subprocess.CompletedProcess(arguments, code, *said)


def kmon_process(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, shell: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own; ``shell`` is what a shell does to it, such as ``2>&-``."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *KMON, *arguments] if shell else [*KMON, *arguments]
    return subprocess.run(command, cwd=cwd, env=clean_env(cwd, env), capture_output=True, text=True, timeout=100)


def clean_env(cwd: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """No keys, no proxies, no settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "XDG_CONFIG_HOME": str(cwd / "config"), **(more or {})}


def wrap(to: str, command: Sequence[str], *more: str, **options: object) -> subprocess.CompletedProcess[str]:
    """``kmon wrap`` of a program, in a process of its own and in this environment."""
    arguments = [*KMON, "wrap", "--to", to, *more, "--", *command]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]
