"""A race against scripted loopback servers, and its events as a list."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

from kmon.catalog.environment import Environment
from kmon.catalog.trust import Trust
from kmon.engine.api import Command, EventSource
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.selection import keys_for
from kmon.hosts import host
from kmon.model import Message, Scenario, Target
from kmon.retry.policy import Policy
from kmon.stream import events as ev
from kmon.stream.view import RaceView
from tests.transport.loopback import chunked

ASK = Scenario(name="code", messages=(Message(role="user", content="write code"),))


def sse(*words: str, finish: str | None = None, done: bool = False) -> bytes:
    """Chat chunks with these words, each an HTTP chunk of its own; then a finish reason and the sentinel if asked."""
    out = b"".join(chunked(_event({"content": word}, None)) for word in words)
    if finish:
        out += chunked(_event({}, finish))
    return out + (chunked(b"data: [DONE]\n\n") if done else b"")


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    chunk = {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def target(url: str, name: str = "here", **options: object) -> Target:
    return Target(name=name, provider="test", model="m", base_url=url, **options)  # type: ignore[arg-type]


def plan(*targets: Target, **options: object) -> RacePlan:
    """Rows for the targets; ``options`` are of the plan or of its policy."""
    limits = {name: options.pop(name) for name in tuple(options) if name in Policy.__struct_fields__}
    options = {"stall_s": 30.0, "policy": Policy(**{"timeout_s": 30.0, **limits}), **options}  # type: ignore[arg-type]
    return RacePlan(rows=tuple(Row(aim, ASK) for aim in targets), **options)  # type: ignore[arg-type]


class Watched:
    """Events of a source as they come, with waiting for the one a test needs."""

    def __init__(self, source: EventSource, patience_s: float = 20.0) -> None:
        self.source = source
        self._patience_s = patience_s
        self.events: list[ev.Event] = []
        self.view = RaceView()
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for batch in self.source.batches():
            for event in batch:
                self.events.append(event)
                self.view.apply(event)
            self._changed.set()
        self._changed.set()

    async def until(self, wanted: Callable[[ev.Event], bool], count: int = 1) -> ev.Event:
        """The ``count``-th event that is wanted; fails when patience is at its end."""
        async with asyncio.timeout(self._patience_s):
            while True:
                found = [event for event in self.events if wanted(event)]
                if len(found) >= count:
                    return found[count - 1]
                self._changed.clear()
                await self._changed.wait()

    async def ended(self, count: int = 1) -> ev.RunEnded:
        event = await self.until(lambda e: isinstance(e, ev.RunEnded), count)
        assert isinstance(event, ev.RunEnded)
        return event

    async def do(self, action: str, run: str = "r1.1") -> None:
        await self.source.command(Command(action, run))  # type: ignore[arg-type]

    async def finish(self) -> None:
        await self.source.close()
        async with asyncio.timeout(20):
            await self._task


def keys_of(race: RacePlan, by_env: dict[str, str]) -> Keys:
    """What the targets of ``race`` are asked with where the environment holds these variables."""
    return keys_for(race, Environment(by_env), Trust()) if by_env else Keys({})


@contextlib.asynccontextmanager
async def racing(race: RacePlan, keys: dict[str, str] | None = None) -> AsyncIterator[Watched]:
    """A race in this process, watched."""
    source = host(race, keys_of(race, keys or {}))
    source.start()
    watched = Watched(source)
    try:
        yield watched
    finally:
        await watched.finish()


async def outcome(race: RacePlan, keys: dict[str, str] | None = None) -> tuple[list[ev.RunEnded], list[ev.Event]]:
    """Run a race to its end."""
    async with racing(race, keys) as watched:
        await watched.until(lambda event: isinstance(event, ev.RaceEnded))
        return [event for event in watched.events if isinstance(event, ev.RunEnded)], watched.events
