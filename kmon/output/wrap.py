"""Runs a program behind a proxy of its own; prints a summary of its requests at the end and records the events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from kmon.catalog.clients import base_url_variables
from kmon.errors import UsageError
from kmon.output.headless import NOT_IN_JSON
from kmon.output.record import Record
from kmon.output.summary import table, totals
from kmon.process import spawn
from kmon.process.interrupts import handle_interrupts
from kmon.proxy.host import ProxyHost
from kmon.proxy.plan import ProxyPlan
from kmon.stream import events as ev

PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
"""Signals passed on besides those that ask kmon to end."""
FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
NO_SUCH_PROGRAM = "there is no program {!r}; check its name and PATH"
SUMMARY_RUNS = 200
"""The latest requests that the summary lists; all of them are counted."""


class Program:
    """The wrapped program, with kmon's terminal, signals and exit code. A second SIGTERM kills it.

    On Linux it gets SIGTERM if kmon itself is killed.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._early: list[int] = []
        self._asked_to_end = False

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it. Raises :class:`UsageError` if it cannot start. This process must have no other thread yet."""
        self._process = await _started(command, env)
        for number in self._early:
            self.signal(number)

    async def wait(self) -> int:
        """Its exit code, or 128 plus the number of the signal that ended it."""
        assert self._process is not None
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self._send(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Pass on a signal that kmon got."""
        if self._process is None:
            self._early.append(number)
        elif number in FROM_THE_KEYBOARD and _in_foreground():
            pass  # the terminal sent it to the program as well
        elif number == signal.SIGTERM and self._asked_to_end:
            self.kill()
        else:
            self._asked_to_end = self._asked_to_end or number == signal.SIGTERM
            self._send(number)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _started(command: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await spawn.wrapped(command, env)
    except FileNotFoundError:
        raise UsageError(NO_SUCH_PROGRAM.format(command[0])) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot run {command[0]!r}: {why}") from None


def _in_foreground() -> bool:
    """Whether Ctrl-C at the terminal goes to this process and its children."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:  # no terminal
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


async def wrapped(plan: ProxyPlan, command: Sequence[str], record: Record | None) -> int:
    """Run ``command`` with its base URL set to a proxy. Return its exit code. Raises UsageError if it cannot start."""
    host = ProxyHost(plan)
    host.start()
    traffic, program = _Traffic(), Program()
    reading: asyncio.Task[None] | None = None
    with handle_interrupts(program.signal, *PASSED_ON):
        try:
            await program.start(command, {**os.environ, **base_url_variables(host.url)})
            if record is not None:
                record.begin()
            reading = asyncio.create_task(traffic.read(host, record))
            code = await program.wait()
        finally:
            program.kill()
            await host.close()
            if reading is not None:
                await reading
            incomplete = "" if record is None else record.close()
        for words in (traffic.summary(host.url, plan.upstream), incomplete):
            _print_to_stderr(words)
    return code


def _print_to_stderr(words: str) -> None:
    """Print to stderr; errors are ignored, because the exit code is that of the program."""
    if words:
        with contextlib.suppress(OSError):
            print(f"kmon: {words}", file=sys.stderr)


class _Traffic:
    """Collects the last runs for the summary and passes all events to the record."""

    def __init__(self) -> None:
        self._ended: deque[ev.RunEnded] = deque(maxlen=SUMMARY_RUNS)
        self._notices: list[str] = []
        self._count = 0

    async def read(self, host: ProxyHost, record: Record | None) -> None:
        async for batch in host.batches():
            for event in batch:
                if isinstance(event, ev.RunEnded):
                    self._ended.append(msgspec.structs.replace(event, text="", reasoning="", tool_calls=()))
                    self._count += 1
                elif isinstance(event, ev.Notice) and event.level != "info":
                    self._notices.append(event.message)
            if record is not None:
                record.put([event for event in batch if not isinstance(event, NOT_IN_JSON)])

    def summary(self, url: str, upstream: str) -> str:
        """The requests of the program and their results, for the user."""
        if not self._count:
            sentence = f"the program asked nothing of {url} ({upstream}); it may take its base URL from elsewhere"
            return "; ".join([sentence, *self._notices])
        runs = list(self._ended)
        left_out = f" (the latest {len(runs)} of {self._count})" if self._count > len(runs) else ""
        notes = "".join(f"\nkmon: {notice}" for notice in dict.fromkeys(self._notices))
        return f"requests to {upstream}{left_out}\n{table(runs)}\n\n{totals(runs)}{notes}"
