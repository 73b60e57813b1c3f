"""A program run behind a proxy of its own: its terminal, its signals and its exit code stay its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from kmon import spawn
from kmon.catalog.clients import base_url_variables
from kmon.catalog.errors import UsageError
from kmon.probe import events as ev
from kmon.race.proxy_plan import ProxyPlan
from kmon.race.proxy_watch import ProxyWatch
from kmon.report.headless import NOT_IN_JSON
from kmon.report.summary import table, totals

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SUMMARY_RUNS = 200
"""The latest requests that the summary lists; all of them are counted."""
NO_SUCH_PROGRAM = "there is no program {!r}; check its name and PATH"


def main(plan: ProxyPlan, command: Sequence[str], json_file: str | None) -> int:
    """Run ``command``; the exit code is its own, 128 and the signal's number when one ended it."""
    with _opened(json_file) as record:
        return asyncio.run(_run(plan, command, record))


async def _run(plan: ProxyPlan, command: Sequence[str], record: TextIO | None) -> int:
    host = ProxyWatch(plan)
    host.start()
    seen = _Seen(record)
    reading = asyncio.create_task(seen.read(host))
    loop = asyncio.get_running_loop()
    try:
        process = await _started(command, {**os.environ, **base_url_variables(host.url)})
        for number in FORWARDED:
            loop.add_signal_handler(number, process.send_signal, number)
        # A terminal gives Ctrl-C to the program as well; from anywhere else only kmon has it.
        heed = (lambda: None) if sys.stdin.isatty() else (lambda: process.send_signal(signal.SIGINT))
        loop.add_signal_handler(signal.SIGINT, heed)
        loop.add_signal_handler(signal.SIGQUIT, lambda: None)
        code = await process.wait()
    finally:
        await host.close()
        await reading
    print(f"kmon: {seen.summary(host.url, plan.upstream)}", file=sys.stderr)
    return code if code >= 0 else 128 - code


async def _started(command: Sequence[str], env: dict[str, str]) -> asyncio.subprocess.Process:
    try:
        return await spawn.wrapped(command, env)
    except FileNotFoundError:
        raise UsageError(NO_SUCH_PROGRAM.format(command[0])) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot run {command[0]!r}: {why}") from None


@contextlib.contextmanager
def _opened(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"--json {path}: cannot be written ({error.strerror}); name another file") from None
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # each batch was flushed, and what could not be written was said then
            file.close()


class _Seen:
    """What passed: the latest ends for the summary, every event for the record."""

    def __init__(self, record: TextIO | None) -> None:
        self._record = record
        self._ended: deque[ev.RunEnded] = deque(maxlen=SUMMARY_RUNS)
        self._notices: list[str] = []
        self._count = 0

    async def read(self, host: ProxyWatch) -> None:
        async for batch in host.batches():
            for event in batch:
                if isinstance(event, ev.RunEnded):
                    self._ended.append(msgspec.structs.replace(event, text="", reasoning="", tool_calls=()))
                    self._count += 1
                elif isinstance(event, ev.Notice) and event.level != "info":
                    self._notices.append(event.message)
            self._keep([event for event in batch if not isinstance(event, NOT_IN_JSON)])

    def _keep(self, batch: Sequence[ev.Event]) -> None:
        """Write down a batch. A disk that is full ends the record, not the program that is watched."""
        if self._record is None:
            return
        try:
            self._record.writelines(msgspec.json.encode(event).decode() + "\n" for event in batch)
            self._record.flush()
        except OSError as error:
            self._notices.append(f"--json {self._record.name}: nothing more could be written ({error.strerror})")
            self._record = None

    def summary(self, url: str, upstream: str) -> str:
        """What the program asked and got, for the person who ran it."""
        if not self._count:
            said = f"the program asked nothing of {url} ({upstream}); it may take its base URL from elsewhere"
            return "; ".join([said, *self._notices])
        runs = list(self._ended)
        left_out = f" (the latest {len(runs)} of {self._count})" if self._count > len(runs) else ""
        notes = "".join(f"\nkmon: {notice}" for notice in dict.fromkeys(self._notices))
        return f"requests to {upstream}{left_out}\n{table(runs)}\n\n{totals(runs)}{notes}"
