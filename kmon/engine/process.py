"""The front end's side of the engine process: starts it, reads its events, sends it commands. An ``EventSource``."""

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
from kmon.engine.ipc import Do, Start, pack, read_up
from kmon.engine.plan import Keys
from kmon.logs import log
from kmon.process import spawn
from kmon.stream.events import Event, Notice
from kmon.stream.sanitize import Sanitizer

_log = logging.getLogger(__name__)
STDERR_LIMIT_BYTES = 4096


class EngineProcess:
    """A race hosted in a child process. Make one with :meth:`start`."""

    def __init__(self, process: asyncio.subprocess.Process, keys: Keys) -> None:
        self._process, self._keys = process, keys
        self._stderr = bytearray()
        self._draining = asyncio.create_task(self._drain_stderr())
        self._closing = False

    @classmethod
    async def start(cls, plan: Struct, keys: Keys) -> EngineProcess:
        """Start the engine and its race."""
        engine = cls(await spawn.measuring("kmon.hosts", os.environ, log.for_children()), keys)
        try:
            await engine._send(Start(msgspec.msgpack.encode(plan), keys, spawn.sent_by_pipe(os.environ)))
        except BaseException:  # nobody would have it to close
            engine._kill()
            raise
        return engine

    @property
    def pid(self) -> int:
        return self._process.pid

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        """Events in order; if the engine dies, a last notice says so and everything so far is kept."""
        assert self._process.stdout is not None
        while (batch := await read_up(self._process.stdout)) is not None:
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
        """End the engine and all its streams; kill it if it has not gone by then, or when there is no time to wait."""
        self._closing = True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    await process.wait()
        finally:  # when this is cancelled, too: it is the one that started it
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
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead engine is told of by batches()
            stdin.write(pack(message))
            await stdin.drain()

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(1024):
            self._stderr += data
            del self._stderr[:-STDERR_LIMIT_BYTES]
