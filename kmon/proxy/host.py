"""Hosts a recording proxy: every exchange is a run, with the same events as a race."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

from kmon.address import host_and_port, is_loopback
from kmon.blame.local_monitor import watch_lag
from kmon.catalog.habits import habits_of
from kmon.catalog.signatures import KMON_LATE
from kmon.dialects.registry import formats
from kmon.engine.api import Command
from kmon.engine.event_queue import EventQueue
from kmon.errors import UsageError
from kmon.probe.request_secrets import signed_host
from kmon.probe.send import Shared
from kmon.proxy.exchange import ProxiedExchange
from kmon.proxy.plan import ProxyPlan
from kmon.proxy.provider_call import OnCall, ProviderCall
from kmon.proxy.proxied_run import ProxiedRun, RunSettings
from kmon.proxy.relay.head import RequestHead
from kmon.proxy.relay.observer import Abort, ExchangeObserver
from kmon.proxy.relay.server import Server, listener
from kmon.proxy.relay.upstream import Upstream
from kmon.stream import events as ev
from kmon.stream.timeline import MS
from kmon.transport.proxy import proxy_for

NOT_HERE = "{} is not possible here: the request is another program's, which must ask again itself"
IN_THE_CLEAR = "what programs send goes on to {} in the clear, with their keys; use https:// if it can be had there"
SIGNED = (
    "requests are signed with SigV4, which covers the Host header: {} will refuse them with 403, "
    "because they are signed for this proxy's address; use a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK) instead"
)


class ProxyHost:
    """A ``Host``. Create it on a running event loop. ``on_call`` gets a snapshot of every exchange at its steps."""

    def __init__(self, plan: ProxyPlan, *, on_call: OnCall | None = None) -> None:
        self._plan = plan
        self._upstream = Upstream.of(plan.base_url)
        self._outbox = EventQueue()
        self._shared = Shared()
        self._settings = RunSettings(
            plan.upstream,
            f"{self._upstream.scheme}://{self._upstream.authority}",
            plan.stall_s,
            self._shared.monitor,
            self._emit,
            self._next_number,
            self._opened,
            self._over,
            on_call,
            habits_of(f"https://{self._upstream.authority}"),
        )
        self._server: Server | None = None
        self._exchanges: set[ProxiedExchange] = set()
        self._open: dict[str, ProxiedRun] = {}
        self._ended: deque[str] = deque()
        self._counted = {"ok": 0, "failed": 0, "disturbed": 0}
        self._runs = 0
        self._warned_signed = False
        self._t_start = 0
        self._lag: asyncio.Task[None] | None = None
        self._closed = False
        formats()  # imports them now: that opens files, which may be impossible later

    @property
    def url(self) -> str:
        """The base URL for programs: this proxy's address with the path of the upstream's."""
        return listening_url(self._plan, self._server.port if self._server is not None else self._plan.port)

    def calls(self) -> list[ProviderCall]:
        """A snapshot of every open run."""
        return [run.call() for run in self._open.values()]

    def has(self, run: str) -> bool:
        """Whether the request shown as ``run`` is open here."""
        return run in self._open

    def start(self) -> None:
        """Listen. An address that cannot be used ends the race at once, with a notice."""
        plan = self._plan
        self._t_start = time.monotonic_ns()
        self._emit(ev.RaceStarted(self._t_start, (plan.upstream,), "proxied", 1, plan.simulated, plan.stall_s * 1000))
        try:
            sock = listener(plan.host, plan.port)
        except UsageError as error:
            self._say("error", str(error))
            self._end()
            return
        self._server = Server(
            sock,
            self._upstream,
            host=plan.host,
            context=self._shared.ssl_context,
            connect_timeout_s=plan.connect_timeout_s,
            observe=self._observe,
            complain=lambda sentence: self._say("warning", sentence),
        )
        self._lag = asyncio.create_task(watch_lag(self._shared.monitor, self._outbox.put, self._outbox.counts))
        host = host_and_port(plan.base_url)
        self._say("info", f"listening on {self.url} for {plan.upstream}{'' if plan.upstream == host else f' ({host})'}")
        if plan.base_url.startswith("http:") and not is_loopback(plan.base_url):
            self._say("warning", IN_THE_CLEAR.format(host))
        if proxy_for(plan.base_url) is not None:
            self._say("warning", "the proxy that the environment names is not used: the upstream is asked directly")

    # -- EventSource -------------------------------------------------------------------------------------------------

    def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        return self._outbox.batches()

    async def command(self, command: Command) -> None:
        """Only ``cancel`` is possible; for nudge and retry a notice says why not."""
        run = self._open.get(command.run)
        if command.action == "cancel" and run is not None:
            run.cancel()
        elif command.action in ("nudge", "retry"):
            self._say("info", NOT_HERE.format(command.action))

    async def interrupt(self) -> None:
        """Close: a proxy has no end of its own."""
        await self.close()

    async def close(self) -> None:
        """Close every exchange on both sides and stop listening."""
        if self._closed:
            return
        self._closed = True
        if self._server is not None:
            await self._server.close()
        for exchange in tuple(self._exchanges):
            await exchange.settled()
        if self._lag is not None:
            self._lag.cancel()
            await asyncio.wait([self._lag])
        self._end()
        self._outbox.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _observe(self, t_ns: int, head: RequestHead, abort: Abort) -> ExchangeObserver:
        if not self._warned_signed and signed_host(head.headers, head.target.partition("?")[2]):
            self._warned_signed = True
            self._warn_signed(head)
        exchange = ProxiedExchange(t_ns, head, abort, self._settings, self._exchanges.discard)
        self._exchanges.add(exchange)
        return exchange

    def _next_number(self) -> int:
        self._runs += 1
        return self._runs

    def _opened(self, run: ProxiedRun) -> None:
        self._open[run.name] = run
        self._shared.monitor.busy.set()

    def _warn_signed(self, head: RequestHead) -> None:
        if head.headers.get("host", "") != self._upstream.authority and self._upstream.host.endswith("amazonaws.com"):
            self._say("warning", SIGNED.format(self._upstream.authority))

    def _over(self, run: ProxiedRun) -> None:
        self._open.pop(run.name, None)
        if not self._open:
            self._shared.monitor.busy.clear()
        ended = run.ended
        if ended is None:
            return
        self._counted["ok" if ended.state == "done" else "failed"] += 1
        self._counted["disturbed"] += ended.signature == KMON_LATE
        self._ended.append(run.name)
        while len(self._ended) > self._plan.keep:
            self._emit(ev.RunForgotten(time.monotonic_ns(), self._ended.popleft()))

    def _end(self) -> None:
        now_ns = time.monotonic_ns()
        ok, failed, disturbed = (self._counted[name] for name in ("ok", "failed", "disturbed"))
        self._emit(ev.RaceEnded(now_ns, ok, failed, (now_ns - self._t_start) / MS, disturbed=disturbed))

    def _say(self, level: Literal["info", "warning", "error"], message: str) -> None:
        self._emit(ev.Notice(time.monotonic_ns(), level, message))

    def _emit(self, event: ev.Event) -> None:
        self._outbox.put(event)


def listening_url(plan: ProxyPlan, port: int) -> str:
    """The base URL with which a program reaches ``plan``'s upstream through the proxy on ``port``."""
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    return f"http://{host}:{port}{urlsplit(plan.base_url).path.rstrip('/')}"
