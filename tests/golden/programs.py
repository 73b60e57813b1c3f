"""kmon as other programs meet it: started in a process of its own, in a folder and an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from kmon.dialects.registry import http_dialect
from kmon.model import DEFAULT_DIALECT
from tests.golden.normalise import Json, sentence

KMON = (sys.executable, "-m", "kmon")
LIMIT_S = 110
"""Longer than any of the cases takes on a busy machine."""


class Home:
    """A folder that is the home, the configuration and the current directory of every kmon that is started in it."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        home = str(folder)
        self._env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/config",
            "XDG_STATE_HOME": f"{home}/state",
            "PYTHONUNBUFFERED": "1",
            **env,
        }

    def configured(self, toml: str) -> None:
        """The user's own file, which may say where keys go."""
        file = self.folder / "config" / "kmon" / "kmon.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(toml)

    def run(self, *arguments: str, **env: str) -> Done:
        """Run ``kmon ARGUMENTS`` to its end."""
        done = subprocess.run(
            [*KMON, *arguments],
            cwd=self.folder,
            env={**self._env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def serving(self, *arguments: str) -> Iterator[Serving]:
        """``kmon ARGUMENTS`` until the block ends, then SIGTERM. It must print where it listens."""
        process = subprocess.Popen(
            [*KMON, *arguments],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        serving = Serving(process)
        try:
            yield serving
        finally:
            serving.end()


class Done:
    """What a kmon that has ended left behind."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def end(self) -> Json:
        """Its exit code and what it said on stderr."""
        return {"exit": self.code, "stderr": [sentence(line) for line in self.stderr.splitlines()]}

    @property
    def json(self) -> list[Json]:
        return [json.loads(line) for line in self.stdout.splitlines()]


class Serving:
    """A kmon that runs beside the test: its output is read as it comes, and all of it is there when it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (process.stdout, process.stderr)
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._more:
                    self._lines.append(line)
                    self._more.notify_all()

    def has(self, pattern: str, times: int = 1) -> list[str]:
        """The first groups of ``pattern`` in its output, once there are ``times`` of them."""
        with self._more:
            enough = self._more.wait_for(lambda: len(self._found(pattern)) >= times, LIMIT_S)
            assert enough, f"no {pattern!r} in {self._lines}"
            return self._found(pattern)

    def _found(self, pattern: str) -> list[str]:
        return [found[1] for line in self._lines if (found := re.search(pattern, line))]

    @property
    def port(self) -> str:
        return self.has(r"(?:127\.0\.0\.1):(\d+)")[0]

    def stop(self) -> list[Json]:
        """End it, and return the JSON it has printed."""
        self.end()
        return [json.loads(line) for line in self._lines if line.startswith("{")]

    def end(self) -> None:
        """SIGTERM, and wait until all it wrote was read. It does nothing once it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(LIMIT_S)
        for reader in self._readers:
            reader.join(LIMIT_S)

    @property
    def code(self) -> int | None:
        return self._process.returncode


def targets(port: str, entries: Sequence[Mapping[str, str]]) -> str:
    """A ``kmon.toml`` with a target for each entry (name, dialect, model, fault), all at a simulator at ``port``.

    Each has a provider of its own: what the simulator answers depends on how often it was asked the same there.
    """
    tables = []
    for entry in entries:
        name, dialect = entry["name"], entry.get("dialect", DEFAULT_DIALECT)
        spoken = http_dialect(dialect)
        signed = spoken.transport == "aws"  # its client sends no header of a target
        path = f"/{name}{spoken.base_path}"
        auth = 'auth = "aws"\n' if signed else ""
        fault = entry.get("fault", "")
        headers = f'headers = {{"x-kmon-fault" = "{fault}"}}\n' if fault and not signed else ""
        model = entry.get("model", "moonshotai/Kimi-K2.6") + (f"-{fault}" if fault and signed else "")
        tables.append(
            f'[targets.{name}]\nprovider = "{name}"\nmodel = "{model}"\ndialect = "{dialect}"\n{auth}{headers}'
            f'base_url = "http://127.0.0.1:{port}{path}"\n'
        )
    return "\n".join(tables)
