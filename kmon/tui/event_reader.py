"""From the source to the views: one reader, and one worker per open run that folds the run's events.

Nothing here touches a widget. The screen looks at ``race`` whenever it draws a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from kmon.engine.alert_hooks import NO_HOOKS, AlertHookRunner, AlertHooks
from kmon.engine.api import CLOSE_LIMIT_S, Command, EventSource
from kmon.logs import log
from kmon.stream import events as ev
from kmon.stream.target_events import Alert, TargetHealth
from kmon.stream.view import RaceView

_log = logging.getLogger(__name__)
SET_ASIDE_RUNS = 250
"""After so many ended runs the heap is frozen (``gc.freeze``), so that collections skip what ended runs hold.
Without it 5,000 small rounds cost a third more CPU (measured); one freeze takes 5 ms."""
QUEUED_BATCHES = 1_000
"""Batches waiting per run. Past it the reader waits, and with it the engine's own bounded queue."""

LAST_WORDS_S = 2.0
"""Seconds for which closing waits for events already sent, and then for the commands of alerts."""
CLOSING_S = CLOSE_LIMIT_S + 2 * LAST_WORDS_S

Spawn = Callable[[Coroutine[Any, Any, None], str], object]
"""Starts a worker task: the coroutine and a name (the run's id, or ``reader``)."""


class EventReader:
    """One race being watched, from its start until :meth:`close`."""

    def __init__(
        self,
        open_source: Callable[[], Awaitable[EventSource]],
        spawn: Spawn,
        judge: Callable[[ev.RunEnded], str | None] | None = None,
        alarm: AlertHooks = NO_HOOKS,
        on_ended: Callable[[ev.RunEnded], None] = lambda _: None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_ended`` is called for every end of a run, also before a retry; ``on_news`` after every change."""
        self.race = RaceView()
        self.engine_error: str | None = None
        self.heard_ns: int | None = None
        """The stamp of the engine's latest event, CLOCK_MONOTONIC ns."""
        self.broken: dict[str, str] = {}
        """Runs whose worker failed, with a sentence."""
        self.stalls: list[ev.StallStarted] = []
        self.failures: list[ev.RunEnded] = []
        self.notices: list[ev.Notice] = []
        self.alerts: list[Alert] = []
        self.endings = 0
        """How often a run has ended, those ends before a retry included."""
        self.enough = ""
        """What ``judge`` said when enough was measured."""
        self._judge, self._on_ended, self._on_news = judge, on_ended, on_news
        self._alarm = AlertHookRunner(alarm, self._notice)
        self._open_source = open_source
        self._spawn = spawn
        self._source: EventSource | None = None
        self._queues: dict[str, asyncio.Queue[Sequence[ev.Event]]] = {}
        self._closing = False
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Open the source and read it, in the background."""
        self._spawn(self._read(), "reader")

    @property
    def over(self) -> bool:
        """True when the race is over and no retry is running."""
        race = self.race
        return race.ended is not None and all(run.ended is not None for run in race.open.values())

    async def command(self, command: Command) -> bool:
        """Send a command to the engine; False when there is no engine."""
        if self._source is None or self.engine_error is not None:
            return False
        await self._source.command(command)
        return True

    async def close(self) -> None:
        """End every stream, fold the remaining events, and end the commands of alerts. Takes ``CLOSING_S`` at most."""
        self._closing = True
        gc.unfreeze()
        if self._source is None:
            return
        await self._source.close()  # it has a limit of its own
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._ended.wait()
                await self.folded()
        await self._alarm.close(LAST_WORDS_S)

    async def folded(self) -> None:
        """Wait until every event read so far is in the view."""
        for queue in list(self._queues.values()):
            await queue.join()

    async def _read(self) -> None:
        try:
            self._source = await self._open_source()
            if self._closing:
                await self._source.close()
            async for batch in self._source.batches():
                await self._take(batch)
            if not self._closing:
                self.engine_error = "the engine ended by itself"
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.exception("the engine was lost")
            what = "the engine was lost"
            if isinstance(error, OSError):  # the system's words; those of any other error may quote content
                self.engine_error = f"{what}: {error or type(error).__name__}; {log.whereabouts()}"
            else:
                self.engine_error = log.failed(what, error)
        finally:
            self._ended.set()
            if self._source is not None:  # after a failure of the screen nothing else closes it
                await self._source.close()

    async def _take(self, batch: Sequence[ev.Event]) -> None:
        by_run: dict[str, list[ev.Event]] = {}
        for event in batch:
            if not isinstance(event, ev.Notice):  # a notice may come from this process
                self.heard_ns = max(self.heard_ns or 0, event.t_ns)
            match event:
                case ev.RunQueued() | ev.RaceStarted() | ev.RaceEnded() | ev.EngineHealth() | TargetHealth():
                    self.race.apply(event)
                case ev.Notice():
                    self._notice(event)
                case Alert():
                    self.race.apply(event)
                    self.alerts.append(event)
                    self._alarm.start(event)
                case _:
                    self._alert(event)
                    by_run.setdefault(event.run, []).append(event)
        for run, events in by_run.items():
            if run in self.race.runs and run not in self.broken:
                await self._queue(run).put(events)
        self._on_news()

    def _queue(self, run: str) -> asyncio.Queue[Sequence[ev.Event]]:
        """What waits for the worker of a run; one is started for a run that has none, or none any more."""
        if run not in self._queues:
            self._queues[run] = asyncio.Queue(QUEUED_BATCHES)
            self._spawn(self._fold(run), run)
        return self._queues[run]

    def _notice(self, notice: ev.Notice) -> None:
        self.race.apply(notice)
        self.notices.append(notice)
        self._on_news()

    async def _ended_run(self, ended: ev.RunEnded) -> None:
        self.endings += 1
        if self.endings % SET_ASIDE_RUNS == 0:
            gc.collect()  # what is garbage now would be frozen, too
            gc.freeze()
        self._on_ended(ended)
        sentence = self._judge(ended) if self._judge is not None else None
        if sentence and not self.enough:
            self.enough = sentence
            await self.command(Command("enough"))

    def _alert(self, event: ev.Event) -> None:
        if isinstance(event, ev.StallStarted):
            self.stalls.append(event)
        elif isinstance(event, ev.RunEnded) and event.state in ("failed", "timed-out", "incomplete"):
            self.failures.append(event)

    async def _fold(self, run: str) -> None:
        """Fold the events of a run until it has settled."""
        queue = self._queues[run]
        while True:
            batch = await queue.get()
            try:
                for event in batch:
                    self.race.apply(event)
                    if isinstance(event, ev.RunEnded):
                        await self._ended_run(event)
            except Exception as error:
                _log.exception("run %s cannot be followed", run)
                self.broken[run] = log.failed("kmon could not follow this run", error)
                del self._queues[run]
                return
            finally:
                queue.task_done()
                self._on_news()
            if run in self.race.open or not queue.empty():
                continue
            await asyncio.sleep(0)  # the reader may wait for room in the queue
            if queue.empty():
                del self._queues[run]
                return
