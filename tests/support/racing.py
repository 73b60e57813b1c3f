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
from kmon.model import PromptMessage, Scenario, Target
from kmon.retry.policy import Policy
from kmon.stream import events as ev
from kmon.stream.view import RaceView
from tests.support.loopback import END, HEAD, chunked

ASK = Scenario(name="code", messages=(PromptMessage(role="user", content="write code"),))


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

    def __init__(self, source: EventSource, patience_s: float = 60.0) -> None:
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
        async with asyncio.timeout(60):
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


GOOD = HEAD + sse("Hello", finish="stop", done=True) + END


async def good(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD)


class Held:
    """A server whose answers hang after a word, until released; it counts what is open."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.closed = asyncio.Event()
        self.requests = 0
        self.open = 0
        self.most_open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        writer.write(HEAD + sse("one "))
        await writer.drain()
        gone = asyncio.create_task(reader.read())
        released = asyncio.create_task(self.release.wait())
        await asyncio.wait([gone, released], return_when=asyncio.FIRST_COMPLETED)
        self.open -= 1
        if gone.done() and not self.release.is_set():
            self.closed.set()
        writer.write(sse("two", finish="stop", done=True) + END)
        gone.cancel()
        released.cancel()


def is_text(event: ev.Event) -> bool:
    return isinstance(event, ev.DeltaArrived) and event.kind == "text"
