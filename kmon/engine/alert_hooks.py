"""What an alert sets off outside of kmon: a program of the user's, and a POST to a URL of the user's.

This runs in the front end, not in the engine: starting a program stops the process that does it for a moment, and the
front end of the screen measures nothing. Without a screen both share a process, where arrivals are stamped by the
kernel (elsewhere the moment lasts a few milliseconds), and no alert waits for another's program to end.

Everything is bounded: the time, what is read of a program's last words, how many run at once and how many wait. What
goes wrong becomes a notice and never stops a race.
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

import httpx
import msgspec

from kmon.address import host_and_port
from kmon.dialects.text import clean
from kmon.process import spawn
from kmon.stream.events import Alert, Notice
from kmon.transport.proxy import proxy_for
from kmon.transport.tls import authorities

LIMIT_S = 10.0
"""How long one program or one request may take."""
AT_ONCE = 4
WAITING = 32
"""Alerts under way or waiting for their turn; one more is let go, and said."""
LAST_WORDS_BYTES = 4096
LAST_WORDS_CHARS = 160


@dataclass(frozen=True)
class AlarmPlan:
    """What to do on an alert. ``command`` is an argument list, never a shell line.

    ``webhook`` may hold a secret in its path, as chat services have it: only its host is ever shown.
    """

    command: Sequence[str] = ()
    webhook: str = ""
    limit_s: float = LIMIT_S

    def __repr__(self) -> str:
        return f"AlarmPlan({' '.join(self.command[:1])!r}, {host_and_port(self.webhook)!r})"


NOTHING = AlarmPlan()


class Alarm:
    """Carries out a plan for every alert. Make it on the event loop; ``say`` is told what went wrong."""

    def __init__(self, plan: AlarmPlan, say: Callable[[Notice], None]) -> None:
        self._plan, self._say = plan, say
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def ring(self, alert: Alert) -> None:
        """Begin, and return at once."""
        body = msgspec.json.encode(alert) + b"\n"
        if self._plan.command:
            self._begin(self._run(body))
        if self._plan.webhook:
            self._begin(self._post(body))

    async def close(self, patience_s: float | None = None) -> None:
        """Wait for what is under way, for at most ``patience_s``; what is not done then is killed."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=patience_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        if len(self._tasks) >= WAITING:
            work.close()
            self._complain("too many alerts at once: one was not passed on")
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, body: bytes) -> None:
        async with self._turn:
            name = Path(self._plan.command[0]).name
            try:
                process = await spawn.notifying(self._plan.command, os.environ)
            except OSError as error:
                self._complain(f"the alert command {name!r} cannot be started: {error.strerror}")
                return
            try:
                async with asyncio.timeout(self._plan.limit_s):
                    code, said = await _exchange(process, body)
            except TimeoutError:
                await _kill(process)
                self._complain(
                    f"the alert command {name!r} had not ended after {self._plan.limit_s:g} s and was killed"
                )
                return
            except asyncio.CancelledError:
                await _kill(process)
                raise
            if code:
                how = f"exit code {code}" if code > 0 else f"signal {-code}"
                self._complain(f"the alert command {name!r} ended with {how}" + (f": {said}" if said else ""))

    async def _post(self, body: bytes) -> None:
        async with self._turn:
            url = self._plan.webhook
            where = f"the alert webhook at {host_and_port(url)}"
            try:
                async with asyncio.timeout(self._plan.limit_s):
                    status = await _status_of(url, body)
            except TimeoutError:
                self._complain(f"{where} had not answered after {self._plan.limit_s:g} s")
            except (httpx.HTTPError, OSError) as error:
                self._complain(f"{where} could not be reached: {type(error).__name__}")
            else:
                if not 200 <= status < 300:
                    self._complain(f"{where} answered HTTP {status}")

    def _complain(self, sentence: str) -> None:
        self._say(Notice(time.monotonic_ns(), "warning", clean(sentence)))


async def _exchange(process: asyncio.subprocess.Process, body: bytes) -> tuple[int, str]:
    """Hand over the alert and wait for the end: exit code and the last line of stderr."""
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read what it is told
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    said = bytearray()
    while data := await process.stderr.read(1024):
        said += data
        del said[:-LAST_WORDS_BYTES]
    lines = clean(said.decode("utf-8", "replace")).split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return await process.wait(), last[:LAST_WORDS_CHARS]


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End it and its own children, which share its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _status_of(url: str, body: bytes) -> int:
    """POST, and read no further than the status: redirects are not followed, and nothing of ``.netrc`` is sent."""
    async with httpx.AsyncClient(
        trust_env=False, proxy=proxy_for(url), follow_redirects=False, timeout=None, verify=authorities()
    ) as client:
        headers = {"Content-Type": "application/json"}
        async with client.stream("POST", url, content=body, headers=headers) as answer:
            return answer.status_code
