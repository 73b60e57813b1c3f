"""A simulator on a free port, fast enough for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from kmon.simulator import profile
from kmon.simulator.server import Simulator
from tests.simulator.talk import Body

SPEED = 200.0


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Smooth unless told otherwise, 200 times as fast as life."""
    async with Simulator(profile.load("smooth"), speed=SPEED) as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


@pytest.fixture
def body() -> Body:
    """A request for a code sample."""
    return {
        "model": "moonshotai/kimi-k2-0905",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "Write a Python class that caches values."}],
    }


@pytest.fixture
def weather() -> Body:
    """A tool to offer."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "get_weather", "description": "Get the current weather of a city.", "parameters": parameters}
    return {"type": "function", "function": function}
