"""A race whose rounds the front end sends one by one, each after it has seen how the last came out."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter, deque

from kmon.engine.api import Command
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.run import Companion, Run
from kmon.engine.supervisor import Supervisor


class FedSupervisor(Supervisor):
    """Runs the rounds of the command ``round``, until ``enough`` or the limit of the plan. Within a round a run begins
    as soon as its target may be asked: ``per_target`` and ``spacing_s`` hold for each target by itself."""

    def __init__(self, plan: RacePlan, keys: Keys, *, limit: int, companion: Companion | None = None) -> None:
        super().__init__(plan, keys, companion=companion)
        self._limit = limit
        self._waiting: deque[tuple[Row, ...]] = deque()
        """Rounds that were sent and have not begun."""
        self._begun_ns: dict[str, int] = {}
        """When a run at each target last began."""

    async def command(self, command: Command) -> None:
        """Carry out a command."""
        if command.action != "round":
            await super().command(command)
            return
        self._waiting.append(command.rows)
        self._freed.set()

    async def _rounds(self) -> None:
        number = 0
        while not self._stopping and self._announced < self._limit:
            if not self._waiting:
                await self._wait_until_freed()
                continue
            number += 1
            rows = self._waiting.popleft()[: self._limit - self._announced]
            self._queued = [self._new_run(row, index, number) for index, row in enumerate(rows)]
            while self._queued:
                await self._begin_next()

    async def _begin_next(self) -> None:
        """Begin the first queued run whose target may be asked now, or wait until one may be."""
        opened = Counter(run.target for run in self._open.values())
        waits_s = [self._wait_s(run, opened[run.target]) for run in self._queued]
        shortest_s = min(waits_s)
        if shortest_s == 0 and (self._plan.concurrency is None or len(self._open) < self._plan.concurrency):
            run = self._queued.pop(waits_s.index(0))
            self._begun_ns[run.target] = time.monotonic_ns()
            self._begin(run)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(shortest_s if 0 < shortest_s < math.inf else None):
                await self._wait_until_freed()

    def _wait_s(self, run: Run, opened: int) -> float:
        """Seconds until the target of ``run``, at which ``opened`` runs are open, may be asked; inf until one ends."""
        if self._plan.per_target is not None and opened >= self._plan.per_target:
            return math.inf
        begun_ns = self._begun_ns.get(run.target)
        spacing_ns = int(self._plan.spacing_s * 1e9)
        return 0.0 if begun_ns is None else max(0, begun_ns + spacing_ns - time.monotonic_ns()) / 1e9
