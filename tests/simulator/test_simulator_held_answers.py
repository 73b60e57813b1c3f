"""An answer held until the next message: released by that message, and only by that one."""

from __future__ import annotations

import asyncio

import httpx

from kmon.simulator import profile
from kmon.simulator.held_answers import HeldAnswers, HeldConversation
from kmon.simulator.server import Simulator
from tests.support.talk import Body, answered, ended, events, raw_request, read_all, text

HELD = "held-until-next:after_tokens=20"


def follow_up(body: Body, so_far: str) -> Body:
    said = [{"role": "assistant", "content": so_far}, {"role": "user", "content": "are you still there?"}]
    return body | {"messages": [*body["messages"], *said]}


async def held_part(reader: asyncio.StreamReader, tokens: int = 20) -> bytes:
    received = b""
    while len(events(received)) < 1 + tokens:
        received += await reader.read(65_536)
    return received


async def test_the_next_message_of_the_conversation_lets_it_go_on(
    sim: Simulator, body: Body, http: httpx.AsyncClient
) -> None:
    whole = text(await answered(sim, body))
    async with raw_request(sim, body, HELD) as (reader, _):
        begun = await held_part(reader)
        assert whole.startswith(text(begun))
        nudge = await answered(sim, follow_up(body, text(begun)), HELD)
        assert text(nudge).startswith("Yes, still here")
        assert text(begun + await read_all(reader)) == whole
    rows = [await ended(sim, http, index) for index in (-1, -2)]
    assert {(row["fault"], row["released"]) for row in rows} == {("smooth", True), ("held-until-next", False)}


async def test_another_conversation_or_the_same_message_again_does_not(sim: Simulator, body: Body) -> None:
    async with raw_request(sim, body, HELD) as (reader, _):
        await held_part(reader)
        await answered(sim, body)
        other = body | {"messages": [{"role": "user", "content": "Say hello"}]}
        await answered(sim, follow_up(other, "Hello"))
        await answered(sim, follow_up(body, "x") | {"model": "another"})
        row = sim.request_log.report(stamps=False)["requests"][0]
        assert (row["fault"], row["ended"], row["chunks"]) == ("held-until-next", "open", 21)


def conversation(*messages: tuple[str, str]) -> HeldConversation:
    return HeldConversation("p", "m", tuple((role, said, "") for role, said in messages))


def test_of_several_held_the_one_whose_text_is_repeated_goes_on_else_the_oldest() -> None:
    answers = HeldAnswers()
    asked = ("user", "hi")
    with (
        answers.hold(conversation(asked), "one") as first,
        answers.hold(conversation(asked), "two ") as second,
        answers.hold(conversation(asked), "three") as third,
    ):
        assert answers.release(conversation(asked, ("assistant", "two"), ("user", "?")))
        assert (first.is_set(), second.is_set(), third.is_set()) == (False, True, False)
        assert answers.release(conversation(asked, ("user", "?")))
        assert (first.is_set(), third.is_set()) == (True, False)
    assert not answers.release(conversation(asked, ("user", "?")))


async def test_in_the_demo_a_nudge_wakes_mistral(body: Body) -> None:
    async with (
        Simulator(profile.load("demo"), speed=200) as sim,
        raw_request(sim, body, None, "mistral") as (reader, _),
    ):
        begun = await held_part(reader, tokens=60)
        nudge = await answered(sim, follow_up(body, text(begun)), None, provider="mistral")
        assert text(nudge).startswith("Yes, still here")
        assert b"data: [DONE]" in await read_all(reader)
