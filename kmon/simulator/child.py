"""A server in a child process: it says on its first line where it listens, and lives as long as its stdin is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Any, Self

from kmon import spawn
from kmon.errors import UsageError

START_LIMIT_S = 20.0
STOP_LIMIT_S = 3.0
ERROR_LIMIT_BYTES = 2_000


class SimulatorError(Exception):
    """The simulator's process did not start; the message holds what it said on stderr."""


class Child:
    """``python -m MODULE ARGUMENTS`` for as long as the context is open.

    It ends with the context, and by itself when this process dies in any way; on Linux even with the thread that
    entered, which must be the main thread. Entering raises :class:`UsageError` for options it refuses and
    :class:`SimulatorError` when it does not come up.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._module = module
        self._arguments = arguments
        self.ready: dict[str, Any] = {}
        """What the child said when it was up."""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        # Not in the other thread: on Linux a child ends with the thread that started it.
        with tempfile.TemporaryFile() as complaints:
            self._spawn(complaints)
            try:
                await asyncio.to_thread(self._come_up, complaints)
            except asyncio.CancelledError:
                self._process.kill()  # the thread that waits for its first line is then free, too
                raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def start(self) -> None:
        with tempfile.TemporaryFile() as complaints:
            self._spawn(complaints)
            self._come_up(complaints)

    def _spawn(self, complaints: IO[bytes]) -> None:
        self._process = spawn.serving(self._module, self._arguments, complaints, os.environ)

    def _come_up(self, complaints: IO[bytes]) -> None:
        try:
            self.ready = json.loads(self._ready_line())
        except ValueError:
            self.stop()
            complaints.seek(0)
            said = complaints.read(ERROR_LIMIT_BYTES).decode("utf-8", "replace").strip()
            if self._process.returncode == 2:
                raise UsageError(said) from None
            raise SimulatorError(f"the simulator did not start: {said or 'it said nothing'}") from None
        except BaseException:
            self.stop()
            raise

    def _ready_line(self) -> bytes:
        """What the child says first; empty when it ends or stays silent instead."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_LIMIT_S)
        return self._process.stdout.readline() if ready else b""

    def stop(self) -> None:
        """End it; kill it if it does not go, or when there is no time to wait for it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_LIMIT_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
