"""A program run behind a proxy of its own: what it asked and got is said at the end, and recorded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Sequence

import msgspec

from kmon.catalog.clients import base_url_variables
from kmon.output.headless import NOT_IN_JSON
from kmon.output.program import PASSED_ON, Program
from kmon.output.record import Record
from kmon.output.summary import table, totals
from kmon.process.interrupts import handle_interrupts
from kmon.proxy.host import ProxyHost
from kmon.proxy.plan import ProxyPlan
from kmon.stream import events as ev

SUMMARY_RUNS = 200
"""The latest requests that the summary lists; all of them are counted."""


async def wrapped(plan: ProxyPlan, command: Sequence[str], record: Record | None) -> int:
    """Run ``command`` with its base URL set to a proxy. Returns its exit code; raises UsageError where none starts."""
    host = ProxyHost(plan)
    host.start()
    seen, program = _Seen(), Program()
    reading: asyncio.Task[None] | None = None
    with handle_interrupts(program.signal, *PASSED_ON):
        try:
            await program.start(command, {**os.environ, **base_url_variables(host.url)})
            if record is not None:
                record.begin()
            reading = asyncio.create_task(seen.read(host, record))
            code = await program.wait()
        finally:
            program.kill()
            await host.close()
            if reading is not None:
                await reading
            incomplete = "" if record is None else record.close()
        for words in (seen.summary(host.url, plan.upstream), incomplete):
            _say(words)
    return code


def _say(words: str) -> None:
    """On stderr, if it can be: the program's exit code does not depend on it."""
    if words:
        with contextlib.suppress(OSError):
            print(f"kmon: {words}", file=sys.stderr)


class _Seen:
    """What passed: the latest ends for the summary, every event for the record."""

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
        """What the program asked and got, for the person who ran it."""
        if not self._count:
            said = f"the program asked nothing of {url} ({upstream}); it may take its base URL from elsewhere"
            return "; ".join([said, *self._notices])
        runs = list(self._ended)
        left_out = f" (the latest {len(runs)} of {self._count})" if self._count > len(runs) else ""
        notes = "".join(f"\nkmon: {notice}" for notice in dict.fromkeys(self._notices))
        return f"requests to {upstream}{left_out}\n{table(runs)}\n\n{totals(runs)}{notes}"
