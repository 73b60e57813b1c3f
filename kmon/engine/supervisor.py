"""The in-process ``EventSource``: starts the rounds of a race, carries out commands, and emits the end of the race."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import NamedTuple

from kmon.blame.adaptive_threshold import TargetGaps
from kmon.blame.canary import run_canary
from kmon.blame.local_monitor import read_clocks, watch_lag
from kmon.catalog.signatures import KMON_LATE
from kmon.engine.api import Command
from kmon.engine.event_queue import EventQueue
from kmon.engine.pacing import Now, Pacer
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.run import ALREADY_ENDED, Companion, PlannedRun, Run, RunSettings
from kmon.logs import log
from kmon.probe.registry import preload
from kmon.probe.send import Shared, prepare
from kmon.process.files import open_files_limit
from kmon.retry.sequence import Endpoint
from kmon.stats.alerts import AlertMonitor
from kmon.stream import events as ev
from kmon.stream.timeline import MS

_log = logging.getLogger(__name__)
FILES_WITHOUT_STREAMS = 16
"""Open files of a race besides one per stream: event loop, canary, resolver."""
FEW_FILES = (
    "{} streams at once need about {} open files, and this machine lets one program have {}: some may fail as "
    "out-of-files; race fewer at once (--concurrency), or raise the limit before kmon starts (ulimit -n 4096)"
)
RETRIES_AT_ONCE = 32
"""Least limit of open runs for manual retries; a larger limit of the plan replaces it."""


class EndedRun(NamedTuple):
    """The record of a run that has ended: what a retry and the totals of the race need."""

    row: Row
    place: int
    """Of the row in its round, from 0."""
    round: int
    attempts: int
    ok: bool
    disturbed: bool


class Supervisor:
    """Hosts a race on the running event loop. :meth:`start` begins the first round."""

    def __init__(self, plan: RacePlan, keys: Keys, *, companion: Companion | None = None) -> None:
        self._plan, self._keys = plan, keys
        self._companion = companion
        self._events = EventQueue()
        self._shared = Shared(keep_connections=plan.keep_connections)
        for target in plan.asked:
            preload(target, self._shared)
        self._limits = plan.policy.limits(plan.stall_s)
        self._target_gaps = {target.name: TargetGaps() for target in plan.asked} if plan.learn_stall else {}
        self._alerts = AlertMonitor(plan.alerts)
        self._runs: dict[str, Run] = {}
        """Runs that have not ended or whose nudge is open, by name."""
        self._ended: dict[str, EndedRun] = {}
        self._queued: list[Run] = []
        self._retries: deque[str] = deque()
        """Names of runs that have ended and wait for a retry."""
        self._open: dict[asyncio.Task[None], Run] = {}
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._announced = 0
        self._t_start = 0
        self._interrupted = self._broken = False
        self._stop = asyncio.Event()
        """Set when no further round may start: on the command ``enough`` and on an interrupt."""
        self._pacer = Pacer(rounds=plan.rounds, spacing_s=plan.spacing_s, over_s=plan.over_s, seed=plan.order_seed)
        self._closed = False

    def start(self) -> None:
        """Emit ``race_started``, begin and return at once."""
        plan = self._plan
        self._t_start = time.monotonic_ns()
        self._emit(
            ev.RaceStarted(
                self._t_start,
                plan.targets,
                plan.scenario,
                plan.rounds,
                plan.simulated,
                plan.stall_s * 1000,
                plan.policy.timeout_s * 1000,
                plan.policy.non_default(),
                plan.learn_stall,
            )
        )
        streams = min(plan.concurrency or len(plan.rows), len(plan.rows) * plan.rounds)
        if (allowed := open_files_limit()) < (needed := streams + FILES_WITHOUT_STREAMS):
            _log.warning("about %d open files are needed, and %d allowed", needed, allowed)
            self._emit(ev.Notice(self._t_start, "warning", FEW_FILES.format(streams, needed, allowed)))
        self._ending = self._spawn(self._race())
        self._shared.monitor.busy.set()
        self._spawn(watch_lag(self._shared.monitor, self._events.put, self._events.counts))
        self._spawn(run_canary(self._shared.monitor, self._shared.ssl_context))

    # -- EventSource ---------------------------------------------------------------------------------------------------

    def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        return self._events.batches()

    async def command(self, command: Command) -> None:
        """Carry out a command. One for an unknown run is ignored: the race may be closing."""
        if command.action == "enough":
            self._stop.set()
            self._freed.set()
            return
        run = self._runs.get(command.run)
        if self._closed:
            return
        if run is None or (command.action == "retry" and run not in self._queued and run not in self._open.values()):
            self._command_ended(command)
            return
        match command.action:
            case "nudge":
                run.nudge()
            case "cancel" if run in self._queued:
                self._queued.remove(run)
                self._skip(run)
            case "cancel":
                run.cancel()
            case "retry" if run in self._open.values():
                run.retry()

    def _command_ended(self, command: Command) -> None:
        """Carry out a command for a run that has ended. A retry begins when fewer runs are open than the limit."""
        ended = self._ended.get(command.run)
        if ended is None:
            return
        match command.action:
            case "nudge":
                self._emit(ev.Notice(time.monotonic_ns(), "info", ALREADY_ENDED.format(ended.row.target.name)))
            case "cancel" if command.run in self._retries:
                self._retries.remove(command.run)
            case "retry" if command.run not in self._retries:
                self._retries.append(command.run)
                self._shared.monitor.busy.set()
                self._begin_retries()
                if self._ending is None or self._ending.done():
                    self._ending = self._spawn(self._end_race())

    def _begin_retries(self) -> None:
        """Begin waiting retries up to the limit of open runs."""
        room = max(self._plan.concurrency or len(self._plan.rows), RETRIES_AT_ONCE)
        while self._retries and len(self._open) < room and not self._closed:
            name = self._retries.popleft()
            ended = self._ended[name]
            run = self._runs.get(name) or self._create_run(ended.row, ended.place, ended.round, ended.attempts)
            self._alerts.follow(name, run.target)
            self._begin(run)

    async def interrupt(self) -> None:
        """Cancel all runs that are open or waiting; ``race_ended`` follows."""
        self._interrupted = True
        self._stop.set()
        self._skip_queued()
        self._retries.clear()
        for run in self._runs.values():
            run.cancel()
        self._freed.set()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self.interrupt()
        if self._open:
            await asyncio.wait(self._open)
        for run in list(self._runs.values()):
            await run.settled()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._shared.close()
        self._events.close()

    # -- the race ------------------------------------------------------------------------------------------------------

    async def _race(self) -> None:
        """All rounds, then the end, which a front end waits for even if kmon itself fails between the runs."""
        try:
            for target in self._plan.asked:
                await prepare(target, self._keys.for_target(target.name), self._shared, self._limits.connect_timeout_s)
            await self._rounds()
        except Exception as error:
            _log.exception("kmon failed between the runs")
            self._tell_failure("kmon failed between the runs", error)
            self._broken = True
            self._skip_queued()
        await self._end_race()

    async def _rounds(self) -> None:
        for ordinal in range(self._plan.rounds):
            if self._stopping:
                break
            await self._round(ordinal)

    async def _round(self, ordinal: int) -> None:
        """Start one run per row together. Wait until the round fits; queue what never fits."""
        number = self._plan.first_round + ordinal
        limit = self._plan.concurrency or len(self._plan.rows)
        while not self._fits(limit) and not self._stopping:
            await self._wait_until_freed()
        await self._wait_for_its_time(ordinal)
        if self._stopping:
            return
        if late := self._pacer.begin(ordinal, clocks_now()):
            self._emit(ev.Notice(time.monotonic_ns(), "warning", late))
        order = shuffled(len(self._plan.rows), self._plan.order_seed, number)
        self._queued = [self._new_run(self._plan.rows[index], index, number) for index in order]
        while self._queued:
            if len(self._open) < limit:
                self._begin(self._queued.pop(0))
            else:
                await self._wait_until_freed()

    def _fits(self, limit: int) -> bool:
        """Whether a round may start now: it fits within the limits, or it never can and nothing else is open."""
        rows = self._plan.rows
        if len(self._open) + min(limit, len(rows)) > limit:
            return False
        if self._plan.per_target is None:
            return True
        wanted = Counter(row.target.name for row in rows)
        wanted_open = Counter(run.target for run in self._open.values())
        return all(
            not wanted_open[name] or wanted_open[name] + n <= self._plan.per_target for name, n in wanted.items()
        )

    async def _wait_for_its_time(self, ordinal: int) -> None:
        """Wait until the round may begin, or until no further one may."""
        if wait_s := self._pacer.wait_s(ordinal, time.monotonic_ns()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()

    @property
    def _stopping(self) -> bool:
        return self._stop.is_set()

    def _new_run(self, row: Row, index: int, number: int) -> Run:
        run = self._create_run(row, index, number)
        run.announce()
        self._announced += 1
        return run

    def _create_run(self, row: Row, index: int, number: int, attempts: int = 0) -> Run:
        plan = self._plan
        run = Run(
            PlannedRun(f"r{number}.{index + 1}", row, index, number, attempts),
            [Endpoint(to, self._keys.for_target(to.name)) for to in (row.target, *plan.policy.beside(row.target))],
            RunSettings(plan.policy, self._limits, plan.nonce, plan.session, plan.nudge_after_s, self._t_start),
            shared=self._shared,
            emit=self._emit,
            target_gaps=self._target_gaps,
            companion=self._companion,
        )
        self._runs[run.name] = run
        return run

    def _begin(self, run: Run) -> None:
        run.reopen()
        task = asyncio.create_task(self._host(run), name=run.name)
        self._open[task] = run
        task.add_done_callback(self._on_run_done)

    async def _host(self, run: Run) -> None:
        self._record_end(run, await run.go())

    def _skip_queued(self) -> None:
        for run in self._queued:
            self._skip(run)
        self._queued.clear()

    def _skip(self, run: Run) -> None:
        self._record_end(run, run.skip())
        del self._runs[run.name]

    def _record_end(self, run: Run, ended: ev.RunEnded) -> None:
        """Keep the record of a run that has ended, not the run."""
        self._ended[run.name] = EndedRun(
            run.row, run.index, ended.round, ended.attempts, ended.state == "done", ended.signature == KMON_LATE
        )

    def _on_run_done(self, task: asyncio.Task[None]) -> None:
        run = self._open.pop(task)
        self._freed.set()
        self._begin_retries()
        self._spawn(self._forget(run))
        self._report_failure(task, "kmon failed inside a run")

    def _report_failure(self, task: asyncio.Task[None], what: str) -> None:
        """Log an exception that ended a task and emit a notice of it."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s", what, exc_info=error)
            self._tell_failure(what, error)

    def _tell_failure(self, what: str, error: BaseException) -> None:
        self._emit(ev.Notice(time.monotonic_ns(), "error", log.failed(what, error)))

    def _on_work_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._report_failure(task, "kmon failed beside the runs")

    async def _forget(self, run: Run) -> None:
        """Remove a run that has ended after its nudge has ended, unless a retry has begun."""
        await run.settled()
        if run not in self._open.values() and self._runs.get(run.name) is run:
            del self._runs[run.name]

    async def _wait_until_freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()

    async def _end_race(self) -> None:
        """Wait for all open runs, then emit ``race_ended``. After a retry it is emitted again."""
        while self._open or self._retries:
            await self._wait_until_freed()
        ok = sum(ended.ok for ended in self._ended.values())
        now_ns = time.monotonic_ns()
        self._emit(
            ev.RaceEnded(
                now_ns,
                ok,
                self._announced - ok,
                (now_ns - self._t_start) / MS,
                interrupted=self._interrupted,
                broken=self._broken,
                disturbed=sum(ended.disturbed for ended in self._ended.values()),
            )
        )
        self._shared.monitor.busy.clear()

    def _emit(self, event: ev.Event) -> None:
        self._events.put(event)
        for derived in self._alerts.watch(event):
            self._events.put(derived)
        if isinstance(event, ev.RunEnded) and (run := self._runs.get(event.run)) is not None and run.restarting:
            self._alerts.follow(run.name, run.target)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_work_done)
        return task


def clocks_now() -> Now:
    """The clocks of this machine; without a boot clock the monotonic one stands in for it."""
    clocks = read_clocks()
    return Now(clocks.monotonic_ns, clocks.boot_ns or clocks.monotonic_ns)


def shuffled(count: int, seed: int | None, round_number: int) -> list[int]:
    """The order of ``count`` rows in a round: ascending without a seed, else fixed by seed and round."""
    order = list(range(count))
    if seed is not None:
        random.Random(f"{seed}:{round_number}").shuffle(order)
    return order
