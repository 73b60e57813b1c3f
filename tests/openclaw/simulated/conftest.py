"""A gateway of either protocol over a simulated provider, fast enough for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.server import Gateway
from kmon.simulator import profile
from kmon.simulator.server import Simulator

SPEED = 200.0
Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a gateway with the given options; it stops with the test."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(profile.load("smooth"), speed=SPEED))

        async def started(**options: object) -> Gateway:
            asked = replace(GatewayOptions(simulator.base_url("gateway"), speed=SPEED), **options)
            return await stack.enter_async_context(Gateway(asked))

        yield started
