"""Promises about repeated requests: an order that can be repeated, no two alike, spaced, stopped when enough."""

from __future__ import annotations

import asyncio
import re

from kmon.engine.conversation import with_nonce
from kmon.engine.supervisor import shuffled
from kmon.model import Message
from kmon.stream import events as ev
from tests.support.loopback import serving
from tests.support.racing import GOOD, Held, good, is_text, outcome, plan, racing, target


def test_the_same_seed_gives_the_same_order_and_rounds_differ() -> None:
    assert [shuffled(6, 7, r) for r in (1, 2, 3)] == [shuffled(6, 7, r) for r in (1, 2, 3)]
    assert len({tuple(shuffled(6, 7, r)) for r in range(1, 30)}) > 20
    assert shuffled(4, None, 9) == [0, 1, 2, 3]


def test_a_nonce_changes_the_first_message_only_and_keeps_its_words() -> None:
    asked = (Message(role="user", content="a"), Message(role="assistant", content="b"))
    marked = with_nonce(asked, "f00d")
    assert marked[0].content == "[request f00d]\na"
    assert marked[1:] == asked[1:]


async def test_every_request_of_a_race_with_nonce_is_unique_on_the_wire() -> None:
    bodies: list[bytes] = []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD)

    async with serving(script, requests=bodies) as url:
        await outcome(plan(target(url, "a"), target(url, "b"), rounds=3, nonce=True))
    marks = {re.search(rb"\[request ([0-9a-f]{8})\]", body)[1] for body in bodies}  # type: ignore[index]
    assert len(bodies) == len(marks) == 6


async def test_enough_lets_the_open_round_end_and_starts_no_other() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url), rounds=50)) as race:
        await race.until(is_text)
        await race.do("enough")
        held.release.set()
        end = await race.until(lambda e: isinstance(e, ev.RaceEnded))
    assert isinstance(end, ev.RaceEnded)
    assert (held.requests, end.ok, end.interrupted) == (1, 1, False)


async def test_rounds_that_may_overlap_still_keep_the_limit_per_target() -> None:
    held = Held()
    async with serving(held) as url, racing(plan(target(url), rounds=4, concurrency=9, per_target=2)) as race:
        await race.until(is_text, 2)
        held.release.set()
        await race.until(lambda e: isinstance(e, ev.RaceEnded))
    assert (held.requests, held.most_open) == (4, 2)


async def test_spacing_is_kept_between_rounds() -> None:
    async with serving(good) as url:
        _, events = await outcome(plan(target(url), rounds=3, spacing_s=0.2))
    (began_ns,) = [event.t_ns for event in events if isinstance(event, ev.RaceStarted)]
    starts = [event.t_ns for event in events if isinstance(event, ev.AttemptStarted)]
    assert all(start - began_ns >= at * 0.2e9 for at, start in enumerate(starts))  # however late each attempt begins
