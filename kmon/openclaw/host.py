"""A passive watch: every run of every session of a gateway, seen with the scope ``operator.read``.

It only reads. A lost connection is opened again 1 to 30 s later, and missed text is read from the history. A first
connection that is refused ends the watch with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Container, Coroutine, Sequence
from typing import Literal

import httpcore

from kmon.blame.local_monitor import watch_lag
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS
from kmon.engine.api import Command
from kmon.engine.event_queue import EventQueue
from kmon.engine.plan import Keys
from kmon.openclaw.attempt import access_of, own_device
from kmon.openclaw.link import Link, LinkClosed, Received, Unreadable, backoff_s, open_link
from kmon.openclaw.plan import GatewayPlan
from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.frames import GatewayEvent, GatewayRequest, GatewayResponse
from kmon.openclaw.protocol.handshake import READ, is_hello
from kmon.openclaw.protocol.liveness import Gap
from kmon.openclaw.protocol.tracker import Change, Tracker, history_texts, in_flight
from kmon.openclaw.provider_side import ProviderLookup
from kmon.openclaw.watched_run import WatchedRun
from kmon.probe.send import Shared
from kmon.stream import events as ev
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import MS
from kmon.transport.errors import ExchangeError, stream_error

_log = logging.getLogger(__name__)
ONLY_WATCHED = "kmon only watches this gateway; {} what it runs from its own client"
REPORT_EVERY_S = 1.0
HISTORY_LIMIT = 10
PANES_LIMIT = 200
SESSIONS_LIMIT = 500
WARNINGS_LIMIT = 20
"""Warnings per connection about its frames; a broken gateway may send every frame wrong."""


class GatewayHost:
    """A ``Host`` of one watch. Create it on a running event loop."""

    def __init__(self, plan: GatewayPlan, keys: Keys, *, provider_lookup: ProviderLookup | None = None) -> None:
        self._plan, self._provider_lookup = plan, provider_lookup
        self._credential = keys.for_target(plan.name)
        self._safe = Sanitizer("gateway", 1, secrets=self._credential.secrets)
        self._shared = Shared()
        self._outbox = EventQueue()
        self._tracker = Tracker()
        self._statuses: dict[str, ClientStatus] = {}
        """By session."""
        self._panes: dict[str, WatchedRun] = {}
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._t_start = 0
        self._counted = {"ok": 0, "failed": 0}
        """Ended runs whose panes were removed."""
        self._warnings = 0
        self._reloading: asyncio.Task[None] | None = None
        self._hello: tuple[int, GatewayResponse] | None = None
        """The latest one, for the client status of sessions that appear later."""
        self._failed = False
        self._lost = False
        self._interrupted = False

    def start(self) -> None:
        self._t_start = time.monotonic_ns()
        self._emit(ev.RaceStarted(self._t_start, (self._plan.name,), "watched", 1, stall_ms=self._plan.stall_s * 1000))
        self._watching = self._spawn(self._watch())
        self._spawn(self._report_every_second())
        self._shared.monitor.busy.set()
        self._spawn(watch_lag(self._shared.monitor, self._outbox.put, self._outbox.counts))

    # -- EventSource ---------------------------------------------------------------------------------------------------

    def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        return self._outbox.batches()

    async def command(self, command: Command) -> None:
        """A watch carries out no command: another program started these runs."""
        if command.action != "enough":
            self._say("info", ONLY_WATCHED.format(command.action))

    async def interrupt(self) -> None:
        self._interrupted = True
        if self._watching is not None:
            self._watching.cancel()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for pane in self._panes.values():
            pane.stop()
        self._outbox.close()

    # -- the watch -----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(self._plan.watch_s):
                await self._connections()
        except TimeoutError:
            pass
        finally:
            now_ns = time.monotonic_ns()
            for pane in self._panes.values():
                self._count(pane)
            ok, failed = self._counted["ok"], self._counted["failed"] + self._failed
            took_ms = (now_ns - self._t_start) / MS
            self._emit(ev.RaceEnded(now_ns, ok, failed, took_ms, interrupted=self._interrupted))

    async def _connections(self) -> None:
        failures, before = 0, False
        while True:
            try:
                async with open_link(
                    self._plan.url,
                    access=access_of(self._credential, self._plan.url),
                    scopes=(READ,),
                    device=own_device,
                    ssl_context=self._shared.ssl_context,
                    open_timeout_s=self._plan.connect_timeout_s,
                    on_phase=lambda *_: None,
                ) as link:
                    failures, self._lost, self._warnings = 0, False, 0
                    self._say("info", self._welcome(link, again=before))
                    if before:
                        self._catch_up(link)
                    before = True
                    lost = await self._listen(link)
            except (
                ExchangeError,
                OSError,
                httpcore.NetworkError,
                httpcore.TimeoutException,
                httpcore.ProtocolError,
            ) as exc:
                error = exc.error if isinstance(exc, ExchangeError) else stream_error(exc)
                lost = error.message
                if not before:
                    self._failed = True
                    self._say("error", f"{self._plan.url}: {lost}")
                    return
            failures, self._lost = failures + 1, True
            wait_s = backoff_s(failures)
            _log.warning("the connection to the gateway was lost, for the %d. time in a row", failures)
            self._say("warning", f"{lost}; connecting again in {wait_s:g} s")
            for status in self._statuses.values():
                status.disconnected(time.monotonic_ns(), lost)
            await asyncio.sleep(wait_s)

    async def _listen(self, link: Link) -> str:
        """Follow the link until it closes; why it did."""
        async for t_ns, received in link.received():
            if isinstance(received, LinkClosed):
                if self._tracker.connection.t_shutdown_ns is not None:  # it stopped: no event will end these runs
                    for pane in self._panes.values():
                        pane.lost(t_ns, f"the gateway stopped while the run was open; {received.sentence}")
                return received.sentence
            self._receive(t_ns, received, link)
        return "the connection ended"

    def _receive(self, t_ns: int, received: Received, link: Link) -> None:
        match received:
            case Gap():
                if link.hello.protocol >= 4:  # 2026.2 counts events of other clients too: a gap is no proof of loss
                    self._warn(f"{received.lost} event(s) of the gateway never came; reading the history instead")
                self._catch_up(link)
            case Unreadable(error=error):
                self._warn(error.message)
            case GatewayEvent() | GatewayResponse():
                changes = self._tracker.feed(t_ns, received)
                for change in changes:
                    self._change(t_ns, change)
                self._feed_statuses(t_ns, received)
                self._report(t_ns, {change.run.session for change in changes if change.run is not None})
                if isinstance(received, GatewayEvent) and received.event == "shutdown":
                    self._warn("the gateway is shutting down")
            case GatewayRequest():
                self._tracker.feed(t_ns, received, "out")

    def _change(self, t_ns: int, change: Change) -> None:
        run = change.run
        if run is None:
            if change.delta is not None:
                for pane in self._panes.values():
                    pane.keepalive(t_ns, change.delta)
            return
        found = self._panes.get(run.id)
        if found is None:
            if len(self._panes) >= PANES_LIMIT:
                gone = next((one for one in self._panes.values() if not one.open), None)
                if gone is None:
                    return
                del self._panes[gone.run.id]
                self._count(gone)
                self._emit(ev.RunForgotten(t_ns, gone.name))
            self._numbers += 1
            found = self._panes[run.id] = WatchedRun(
                f"g{self._numbers}",
                run,
                self._plan.url,
                self._plan.stall_s,
                self._shared.monitor,
                self._emit,
                t_ns,
                secrets=self._credential.secrets,
            )
        found.changed(t_ns, change.kinds, change.delta)
        if run.origin == "queue" and "dequeued" in change.kinds and (waited := self._panes.get(run.behind)) is not None:
            waited.end(t_ns)

    def _count(self, pane: WatchedRun) -> None:
        if pane.ended is not None:
            self._counted["ok" if pane.ended.state == "done" else "failed"] += 1

    def _feed_statuses(self, t_ns: int, frame: GatewayEvent | GatewayResponse) -> None:
        if isinstance(frame, GatewayResponse) and is_hello(frame):
            self._hello = (t_ns, frame)
        for run in self._tracker.runs.values():
            if run.session and run.session not in self._statuses:
                status = self._statuses[run.session] = ClientStatus(run.session, inferred=True)
                if self._hello is not None:
                    status.feed(*self._hello)
        while len(self._statuses) > SESSIONS_LIMIT:
            del self._statuses[next(iter(self._statuses))]
        for status in self._statuses.values():
            status.feed(t_ns, frame)

    def _report(self, t_ns: int, sessions: Container[str] | None = None) -> None:
        """Report claim and diagnosis of the open panes of ``sessions``; None: of all."""
        for pane in self._panes.values():
            if sessions is not None and pane.run.session not in sessions:
                continue
            if pane.open and (status := self._statuses.get(pane.run.session)) is not None:
                look_up = self._provider_lookup
                provider = None if look_up is None else look_up(self._tracker, pane.run, t_ns)
                pane.report(t_ns, self._tracker, status, provider, closed=self._lost)

    async def _report_every_second(self) -> None:
        """Claims and diagnoses also change without a frame."""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            self._report(time.monotonic_ns())

    # -- the history ---------------------------------------------------------------------------------------------------

    def _sessions(self) -> list[str]:
        return list(dict.fromkeys(pane.run.session for pane in self._panes.values() if pane.open and pane.run.session))

    def _catch_up(self, link: Link) -> None:
        """Read the history, one reading at a time: a gateway that loses one event may lose thousands."""
        if self._reloading is None or self._reloading.done():
            self._reloading = self._spawn(self._reload(link, self._sessions()))

    async def _reload(self, link: Link, sessions: Sequence[str]) -> None:
        """Read what was missed: the text of an open run, or the end of a run."""
        for session in sessions:
            with contextlib.suppress(ExchangeError, httpcore.NetworkError, httpcore.TimeoutException):
                _, answer = await link.request("chat.history", {"sessionKey": session, "limit": HISTORY_LIMIT})
                if answer.ok:
                    self._caught_up(session, answer)

    def _caught_up(self, session: str, answer: GatewayResponse) -> None:
        now_ns = time.monotonic_ns()
        running, texts = in_flight(answer.payload).get("runId"), history_texts(answer.payload)
        for pane in self._panes.values():
            if not pane.open or pane.run.session != session or pane.run.id == running:
                continue
            if texts and texts[-1].startswith(pane.run.answer.text) and self._tracker.connection.protocol >= 4:
                pane.caught_up(now_ns, texts[-1])

    def _welcome(self, link: Link, *, again: bool) -> str:
        hello = link.hello
        return f"{'connected again' if again else 'watching'}: gateway {hello.server}, protocol {hello.protocol}"

    def _warn(self, message: str) -> None:
        self._warnings += 1
        if self._warnings <= WARNINGS_LIMIT:
            self._say("warning", message)
            if self._warnings == WARNINGS_LIMIT:
                self._say("warning", "what else is wrong with this connection's frames is not told any more")

    def _say(self, level: Literal["info", "warning", "error"], message: str) -> None:
        self._emit(ev.Notice(time.monotonic_ns(), level, self._safe.redacted(message, MESSAGE_LIMIT_CHARS)))

    def _emit(self, event: ev.Event) -> None:
        self._outbox.put(event)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
