"""A proxy in this process before a simulator, watched."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from kmon.proxy.host import ProxyHost
from kmon.proxy.plan import ProxyPlan
from kmon.proxy.provider_call import OnCall
from kmon.simulator import profile
from kmon.simulator.server import Simulator
from tests.support.racing import Watched

SPEED = 200.0


@dataclass
class Middle:
    """``url`` is the base URL that stands for the simulator's ``/v1``."""

    host: ProxyHost
    watched: Watched
    url: str

    @property
    def origin(self) -> str:
        return self.url.removesuffix("/v1")


@contextlib.asynccontextmanager
async def proxying(base_url: str, *, on_call: OnCall | None = None, **options: object) -> AsyncIterator[Middle]:
    """A proxy to ``base_url``, called ``test``."""
    host = ProxyHost(ProxyPlan(upstream="test", base_url=base_url, **options), on_call=on_call)  # type: ignore[arg-type]
    host.start()
    watched = Watched(host)
    try:
        yield Middle(host, watched, host.url)
    finally:
        await watched.finish()


@contextlib.asynccontextmanager
async def before_simulator(speed: float = SPEED, **options: object) -> AsyncIterator[Middle]:
    async with Simulator(profile.load("smooth"), speed=speed) as simulator:
        async with proxying(f"{simulator.origin}/v1", **options) as middle:  # type: ignore[arg-type]
            yield middle
