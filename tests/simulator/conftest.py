"""A simulator on a free port, fast enough for tests."""

from __future__ import annotations

import os
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
    async with httpx.AsyncClient(timeout=30, verify=False) as client:  # without TLS; authorities are slow to read
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


@pytest.fixture(autouse=True)
def no_aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own AWS settings change what the SDKs send; a bearer token even wins over keys that are given."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
