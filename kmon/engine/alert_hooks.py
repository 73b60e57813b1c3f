"""The actions of the user on an alert: starts a program, and sends a POST request to a URL.

This runs in the front end, not in the engine: starting a program blocks its process for some milliseconds, and the
front end of the screen measures nothing. Without a screen both share a process; there the kernel stamps arrivals.

The time, the stderr that is read, and the numbers of hooks that run and wait are bounded. An error becomes a notice and
never stops a race.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kmon.address import host_and_port
from kmon.dialects.text import clean
from kmon.process import spawn
from kmon.stream.events import Notice
from kmon.stream.target_events import Alert

LIMIT_S = 10.0
"""Longest duration of one program or one request, in s."""
AT_ONCE = 4
WAITING = 32
"""Hooks that run or wait at most; one more is dropped with a notice."""
STDERR_LIMIT_BYTES = 4096
STDERR_LIMIT_CHARS = 160


@dataclass(frozen=True)
class AlertHooks:
    """What to do on an alert. ``command`` is an argument list, not a shell command line.

    ``webhook`` may hold a secret in its path, as URLs of chat services do: only its host is shown.
    """

    command: Sequence[str] = ()
    webhook: str = ""
    limit_s: float = LIMIT_S

    def __repr__(self) -> str:
        return f"AlertHooks({' '.join(self.command[:1])!r}, {host_and_port(self.webhook)!r})"


NO_HOOKS = AlertHooks()


class AlertHookRunner:
    """Runs the hooks for every alert. Create it on the event loop; each error is passed to ``notify``."""

    def __init__(self, hooks: AlertHooks, notify: Callable[[Notice], None]) -> None:
        self._hooks, self._notify = hooks, notify
        self._running = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, alert: Alert) -> None:
        """Start the hooks for ``alert``, which get it as one line of JSON, and return at once."""
        body = msgspec.json.encode(alert) + b"\n"
        if self._hooks.command:
            self._spawn(self._run(body))
        if self._hooks.webhook:
            self._spawn(self._post(body))

    async def close(self, patience_s: float | None = None) -> None:
        """Wait for the hooks that run, at most ``patience_s``, then kill the rest."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=patience_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        if len(self._tasks) >= WAITING:
            work.close()
            self._warn("too many alerts at once: one was not passed on")
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, body: bytes) -> None:
        async with self._running:
            name = Path(self._hooks.command[0]).name
            try:
                process = await spawn.notifying(self._hooks.command, os.environ)
            except OSError as error:
                self._warn(f"the alert command {name!r} cannot be started: {error.strerror}")
                return
            try:
                async with asyncio.timeout(self._hooks.limit_s):
                    code, stderr = await _exchange(process, body)
            except TimeoutError:
                await _kill(process)
                self._warn(f"the alert command {name!r} had not ended after {self._hooks.limit_s:g} s and was killed")
                return
            except asyncio.CancelledError:
                await _kill(process)
                raise
            if code:
                how = f"exit code {code}" if code > 0 else f"signal {-code}"
                self._warn(f"the alert command {name!r} ended with {how}" + (f": {stderr}" if stderr else ""))

    async def _post(self, body: bytes) -> None:
        from kmon.engine.webhook import UnreachableError, status_of

        async with self._running:
            url = self._hooks.webhook
            where = f"the alert webhook at {host_and_port(url)}"
            try:
                async with asyncio.timeout(self._hooks.limit_s):
                    status = await status_of(url, body)
            except TimeoutError:
                self._warn(f"{where} had not answered after {self._hooks.limit_s:g} s")
            except UnreachableError as error:
                self._warn(f"{where} could not be reached: {error}")
            else:
                if not 200 <= status < 300:
                    self._warn(f"{where} answered HTTP {status}")

    def _warn(self, sentence: str) -> None:
        self._notify(Notice(time.monotonic_ns(), "warning", clean(sentence)))


async def _exchange(process: asyncio.subprocess.Process, body: bytes) -> tuple[int, str]:
    """Write ``body`` to stdin and wait for the end: the exit code and the last line of stderr."""
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the program may not read its stdin
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    stderr = bytearray()
    while data := await process.stderr.read(1024):
        stderr += data
        del stderr[:-STDERR_LIMIT_BYTES]
    lines = clean(stderr.decode("utf-8", "replace")).split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return await process.wait(), last[:STDERR_LIMIT_CHARS]


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the program and its children, which share its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
