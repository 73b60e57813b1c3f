"""Hosts a race or a watch of gateways together with the proxies before their providers: both sides of a gateway.

What only both sides can tell, on which of them a run hangs, becomes part of the gateway runs' events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from kmon.engine.api import Command, EventSource, Host
from kmon.engine.event_queue import EventQueue
from kmon.engine.plan import Keys, RacePlan
from kmon.engine.supervisor import Supervisor
from kmon.openclaw.claim_reporter import companion
from kmon.openclaw.host import GatewayHost
from kmon.openclaw.plan import GatewayPlan
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.runs import Tracker
from kmon.openclaw.provider_side import CallLog, Sighting, provider_side
from kmon.openclaw.snapshot import ProviderSide
from kmon.openclaw.with_proxy_plan import Side, SidesPlan
from kmon.proxy.host import ProxyHost
from kmon.stream import events as ev

FLOWING_NS = 2_000_000_000
"""A provider that sent anything within this flows."""
FRAMING = (ev.RaceStarted, ev.RaceEnded, ev.EngineHealth)
"""What only one of the hosts may say."""


class GatewayWithProxy:
    """A ``Host``. Create it on a running event loop."""

    def __init__(self, plan: SidesPlan, keys: Keys) -> None:
        self._plan = plan
        self._outbox = EventQueue()
        self._logs = {side.target: CallLog() for side in plan.sides}
        self._proxies = {
            side.target: ProxyHost(side.proxy, on_call=self._logs[side.target].hear) for side in plan.sides
        }
        self._gateways = self._host(plan.gateways, keys, {side.target: self._sighting(side) for side in plan.sides})
        self._pumps: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Listen before anyone asks, then begin with the gateways."""
        for proxy in self._proxies.values():
            proxy.start()
            self._pumps.append(asyncio.create_task(self._pump(proxy, beside=True)))
        self._gateways.start()
        self._pumps.append(asyncio.create_task(self._pump(self._gateways, beside=False)))

    # -- EventSource ---------------------------------------------------------------------------------------------------

    def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        return self._outbox.batches()

    async def command(self, command: Command) -> None:
        """A command for a request is its proxy's, any other the gateways'."""
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

    def _host(self, plan: RacePlan | GatewayPlan, keys: Keys, sightings: Mapping[str, Sighting]) -> Host:
        if isinstance(plan, RacePlan):
            return Supervisor(plan, keys, companion=companion(plan.stall_s, sightings))
        return GatewayHost(plan, keys, sighting=next(iter(sightings.values()), None))

    def _sighting(self, side: Side) -> Sighting:
        def look(tracker: Tracker, run: GatewayRun, now_ns: int) -> ProviderSide:
            log = self._logs[side.target]
            for call in self._proxies[side.target].calls():
                log.hear(call)
            return provider_side(run, tracker.runs.values(), log.calls, now_ns, FLOWING_NS)

        return look

    async def _pump(self, source: EventSource, *, beside: bool) -> None:
        async for batch in source.batches():
            for event in batch:
                if not beside or self._of_interest(event):
                    self._outbox.put(event)

    def _of_interest(self, event: ev.Event) -> bool:
        """Of a proxy: its complaints always, its requests where they are shown."""
        if isinstance(event, FRAMING):
            return False
        if isinstance(event, ev.Notice):
            return self._plan.show_calls or event.level != "info"
        return self._plan.show_calls
