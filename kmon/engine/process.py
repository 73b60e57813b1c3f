"""The parent side of the engine process: starts it, reads its events and sends it commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec import Struct

from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS
from kmon.engine.api import CLOSE_LIMIT_S, Command
from kmon.engine.ipc import Do, Start, pack, read_events
from kmon.engine.plan import Keys
from kmon.logs import log
from kmon.process import spawn
from kmon.stream.events import Event, Notice
from kmon.stream.sanitize import Sanitizer

_log = logging.getLogger(__name__)
STDERR_LIMIT_BYTES = 4096


class EngineProcess:
    """An ``EventSource`` over a race in a child process. Create it with :meth:`start`."""

    def __init__(self, process: asyncio.subprocess.Process, keys: Keys) -> None:
        self._process, self._keys = process, keys
        self._stderr = bytearray()
        self._draining = asyncio.create_task(self._drain_stderr())
        self._closing = False

    @classmethod
    async def start(cls, plan: Struct, keys: Keys) -> EngineProcess:
        """Start the engine process and its race. Raises OSError if the process cannot start."""
        engine = cls(await spawn.measuring("kmon.hosts", os.environ, log.for_children()), keys)
        try:
            await engine._send(Start(msgspec.msgpack.encode(plan), keys, spawn.sent_by_pipe(os.environ)))
        except BaseException:  # the caller gets no object to close
            engine._kill()
            raise
        return engine

    @property
    def pid(self) -> int:
        return self._process.pid

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        """Events in order. If the engine ends by itself, a last notice has its exit code and last line of stderr."""
        assert self._process.stdout is not None
        while (batch := await read_events(self._process.stdout)) is not None:
            yield batch
        if not self._closing:
            code = await self._process.wait()
            _log.error("the engine ended by itself with code %d", code)
            await self._draining
            last = self._stderr.decode("utf-8", "replace").strip().splitlines()
            safe = Sanitizer("", 0, secrets=self._keys.secrets)
            why = f": {safe.redacted(last[-1], MESSAGE_LIMIT_CHARS)}" if last else ""
            yield [
                Notice(
                    time.monotonic_ns(), "error", f"the engine ended with code {code}{why}; what it had told is kept"
                )
            ]

    async def command(self, command: Command) -> None:
        await self._send(Do(command))

    async def close(self) -> None:
        """End the engine and all its streams. It is killed after ``CLOSE_LIMIT_S``, or when this call is cancelled."""
        self._closing = True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    await process.wait()
        finally:  # also when cancelled: no other code ends this process
            self._kill()
        await process.wait()
        await self._draining

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _send(self, message: Start | Do) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # batches() reports an engine that has ended
            stdin.write(pack(message))
            await stdin.drain()

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(1024):
            self._stderr += data
            del self._stderr[:-STDERR_LIMIT_BYTES]
