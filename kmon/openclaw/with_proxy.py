"""Hosts a race or a watch of gateways together with the proxies in front of their providers.

Both sides of a gateway are seen, so a diagnosis can name the side on which a run hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from kmon.engine.api import Command, EventSource, Host
from kmon.engine.event_queue import EventQueue
from kmon.engine.plan import Keys, RacePlan
from kmon.engine.supervisor import Supervisor
from kmon.openclaw.host import GatewayHost
from kmon.openclaw.plan import GatewayWithProxyPlan
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.provider_side import CallLog, ProviderLookup, ProviderSide, provider_side
from kmon.openclaw.reporter import companion
from kmon.proxy.host import ProxyHost
from kmon.stream import events as ev

RACE_EVENTS = (ev.RaceStarted, ev.RaceEnded, ev.EngineHealth)
"""Events that only the host of the gateways may emit."""


class GatewayWithProxyHost:
    """A ``Host``. Create it on a running event loop."""

    def __init__(self, plan: GatewayWithProxyPlan, keys: Keys) -> None:
        self._plan = plan
        self._outbox = EventQueue()
        self._logs = {each.target: CallLog() for each in plan.proxies}
        self._proxies = {
            each.target: ProxyHost(each.proxy, on_call=self._logs[each.target].record) for each in plan.proxies
        }
        self._gateways = self._gateway_host(keys)
        self._pumps: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the proxies, then the gateways, which call their providers through them."""
        for proxy in self._proxies.values():
            proxy.start()
            self._pumps.append(asyncio.create_task(self._pump(proxy, of_proxy=True)))
        self._gateways.start()
        self._pumps.append(asyncio.create_task(self._pump(self._gateways, of_proxy=False)))

    # -- EventSource ---------------------------------------------------------------------------------------------------

    def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        return self._outbox.batches()

    async def command(self, command: Command) -> None:
        """Send a command for a provider call to its proxy, any other to the gateways."""
        for proxy in self._proxies.values() if self._plan.show_calls else ():
            if proxy.has(command.run):
                await proxy.command(command)
                return
        await self._gateways.command(command)

    async def interrupt(self) -> None:
        await self._gateways.interrupt()

    async def close(self) -> None:
        await self._gateways.close()
        for proxy in self._proxies.values():
            await proxy.close()
        if self._pumps:
            await asyncio.wait(self._pumps)
        self._outbox.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _gateway_host(self, keys: Keys) -> Host:
        lookups = {target: self._lookup(target) for target in self._proxies}
        plan = self._plan.gateways
        if isinstance(plan, RacePlan):
            return Supervisor(plan, keys, companion=companion(plan.stall_s, lookups))
        return GatewayHost(plan, keys, provider_lookup=next(iter(lookups.values()), None))

    def _lookup(self, target: str) -> ProviderLookup:
        proxy, log = self._proxies[target], self._logs[target]

        def look_up(tracker: Tracker, run: GatewayRun, now_ns: int) -> ProviderSide:
            for call in proxy.calls():
                log.record(call)
            return provider_side(run, tracker.runs.values(), log.calls, now_ns)

        return look_up

    async def _pump(self, source: EventSource, *, of_proxy: bool) -> None:
        async for batch in source.batches():
            for event in batch:
                if not of_proxy or self._is_shown(event):
                    self._outbox.put(event)

    def _is_shown(self, event: ev.Event) -> bool:
        """Of a proxy's events: its warnings always, its exchanges where the plan shows them."""
        if isinstance(event, RACE_EVENTS):
            return False
        if isinstance(event, ev.Notice):
            return self._plan.show_calls or event.level != "info"
        return self._plan.show_calls
