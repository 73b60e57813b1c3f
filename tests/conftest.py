"""What all tests share: a calm environment, directories, a simulated provider and a simulated gateway."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from msgspec.structs import replace

from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.server import Gateway
from kmon.simulator import profile
from kmon.simulator.embedded import Embedded
from kmon.simulator.server import Simulator
from tests.support.gateway_client import Start
from tests.support.talk import Body

SPEED = 200.0
"""Simulators of one test run this many times as fast as life."""

REFERENCES = ("openai", "anthropic", "ollama", "google-genai", "scipy")
"""What kmon is held against; not in the extra ``test``, because they take as long to install as all the rest."""

# A property that holds, holds on a busy machine too: no deadline. CI runs the full profile, by KMON_HYPOTHESIS.
settings.register_profile("small", deadline=None, max_examples=25)
settings.register_profile("full", deadline=None, max_examples=100)
settings.load_profile(os.environ.get("KMON_HYPOTHESIS", "small"))


def pytest_configure() -> None:
    gc.disable()  # what is imported and collected stays to the end


def pytest_collection_finish() -> None:
    """Let the garbage collections of the tests skip modules and test items, which are a million objects."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("references"):
        for name in REFERENCES:
            try:
                distribution(name)
            except PackageNotFoundError:
                pytest.skip(f"the extra 'references' is not installed: there is no {name}")


@pytest.fixture(scope="session", autouse=True)
def calm_environment() -> Iterator[None]:
    """A developer's own AWS settings change what the SDKs send, and NO_COLOR what is drawn."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, os.devnull)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.delenv("NO_COLOR", raising=False)
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty directory for what a cloned repository holds."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """An empty directory for the user's own files."""
    (tmp_path / "user").mkdir()
    return tmp_path / "user"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that the test runs in: what a program writes lands there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def provider_process() -> Iterator[Embedded]:
    """A simulated provider in a process of its own, 50 times as fast as life, for the whole session."""
    with Embedded(speed=50).running() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def upstream(provider_process: Embedded) -> str:
    """Its base URL for OpenAI clients."""
    return f"{provider_process.origin}/v1"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A smooth simulated provider in this process."""
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


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a simulated gateway with the given options; it stops with the test."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(profile.load("smooth"), speed=SPEED))

        async def started(**options: object) -> Gateway:
            asked = replace(GatewayOptions(simulator.base_url("gateway"), speed=SPEED), **options)
            return await stack.enter_async_context(Gateway(asked))

        yield started
