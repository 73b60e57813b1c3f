"""A server in a child process: its first line says where it listens, and it ends when its stdin is closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Self

from kmon.errors import UsageError
from kmon.logs import log
from kmon.process import spawn

START_LIMIT_S = 20.0
STOP_LIMIT_S = 3.0
ERROR_LIMIT_BYTES = 2_000


class SimulatorError(Exception):
    """The simulator's process did not start; the message holds its stderr."""


class Child:
    """``python -m MODULE ARGUMENTS`` while the context is open.

    It ends with the context, and by itself when this process dies in any way. On Linux it also ends with the thread
    that entered, which must be the main thread. Entering raises :class:`UsageError` for options that the child
    refuses and :class:`SimulatorError` when it does not start.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._module = module
        self._arguments = arguments
        self.ready: dict[str, Any] = {}
        """The object on the child's first line."""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        # Not in the other thread: on Linux a child ends with the thread that started it.
        with tempfile.TemporaryFile() as errors:
            self._spawn(errors)
            try:
                await asyncio.to_thread(self._wait_until_ready, errors)
            except asyncio.CancelledError:
                self._process.kill()  # this also ends the wait of the other thread for the first line
                raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """The same context for callers without an event loop."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        with tempfile.TemporaryFile() as errors:
            self._spawn(errors)
            self._wait_until_ready(errors)

    def _spawn(self, errors: IO[bytes]) -> None:
        self._process = spawn.serving(self._module, self._arguments, errors, os.environ, log.for_children())

    def _wait_until_ready(self, errors: IO[bytes]) -> None:
        try:
            self.ready = json.loads(self._ready_line())
        except ValueError:
            self.stop()
            errors.seek(0)
            text = errors.read(ERROR_LIMIT_BYTES).decode("utf-8", "replace").strip()
            if self._process.returncode == 2:
                raise UsageError(text) from None
            raise SimulatorError(f"the simulator did not start: {text or 'it said nothing'}") from None
        except BaseException:
            self.stop()
            raise

    def _ready_line(self) -> bytes:
        """The child's first line; empty when it ends or writes none in time."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_LIMIT_S)
        return self._process.stdout.readline() if ready else b""

    def stop(self) -> None:
        """End the child; kill it if it has not ended after 3 s, or when the wait is cancelled."""
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
