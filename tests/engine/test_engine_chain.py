"""Promises of a chain: tools are run here, their results go back, and where it ends is told."""

from __future__ import annotations

import asyncio
import json

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ToolFragment
from kmon.engine.conversation import next_turn
from kmon.engine.plan import RacePlan, Row
from kmon.engine.selection import one_call_at_a_time
from kmon.model import Message, Target
from kmon.retry.policy import Policy
from kmon.simulator import profile
from kmon.simulator.server import Simulator
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.racing import outcome, sse, target

SCENARIO = resolve_scenario(load_catalog(), "tool-chain:3")
ASKED = SCENARIO.messages


def answer(*calls: tuple[str, str]) -> Transcript:
    transcript = Transcript()
    fragments = tuple(ToolFragment(i, f"id{i}", name, arguments) for i, (name, arguments) in enumerate(calls))
    transcript.add(Delta(tools=fragments))
    return transcript


def onward(*calls: tuple[str, str], messages: tuple[Message, ...] = ASKED) -> tuple[Message, ...] | None:
    assert SCENARIO.chain is not None
    return next_turn(SCENARIO.chain, messages, answer(*calls))


def test_a_call_is_carried_out_and_its_result_goes_back() -> None:
    messages = onward(("follow_clue", '{"clue":"start"}'))
    assert messages is not None
    assert [m.role for m in messages] == ["user", "assistant", "tool"]
    assert messages[1].tool_calls[0].arguments == {"clue": "start"}
    assert (messages[2].content, messages[2].tool_call_id) == ('{"clue": "1"}', "id0")


def test_parallel_calls_are_all_answered_in_order() -> None:
    messages = onward(("follow_clue", '{"clue":"a"}'), ("follow_clue", '{"clue":"b"}'))
    assert messages is not None
    assert [m.content for m in messages if m.role == "tool"] == ['{"clue": "1"}', '{"clue": "2"}']


def test_one_call_at_a_time_answers_the_first_as_if_it_were_the_only_one() -> None:
    assert SCENARIO.chain is not None
    both = answer(("follow_clue", '{"clue":"a"}'), ("follow_clue", '{"clue":"b"}'))
    messages = next_turn(SCENARIO.chain, ASKED, both, one_call=True)
    assert messages is not None
    assert [use.arguments for use in messages[1].tool_calls] == [{"clue": "a"}]
    assert [m.content for m in messages if m.role == "tool"] == ['{"clue": "1"}']


def test_text_an_unknown_tool_or_broken_arguments_end_the_chain() -> None:
    assert onward() is None
    assert onward(("rm_rf", "{}")) is None
    assert onward(("follow_clue", '{"clue"')) is None
    assert onward(("follow_clue", "[1]")) is None


def test_a_model_that_never_stops_calling_is_stopped() -> None:
    messages: tuple[Message, ...] | None = ASKED
    turns = 0
    while messages is not None and turns < 100:
        messages = onward(("follow_clue", '{"clue":"x"}'), messages=messages)
        turns += 1
    assert turns == 7


async def test_sequential_tools_never_send_two_results_at_once() -> None:
    parallel = resolve_scenario(load_catalog(), "tool-chain-parallel:3")
    async with Simulator(profile.load("smooth"), speed=50) as sim:
        aimed = Target(name="one", provider="one", model="kimi", base_url=sim.base_url("one"))
        told = []
        for tools in ("parallel", "sequential"):
            row = Row(aimed, parallel)
            row = one_call_at_a_time(row) if tools == "sequential" else row
            results, _ = await outcome(RacePlan(rows=(row,), stall_s=30, policy=Policy(timeout_s=30, tools=tools)))  # type: ignore[arg-type]
            told.append((results[0].state, results[0].turns, results[0].tool_results))
    assert told == [("done", 2, 3), ("done", 4, 3)]


async def test_a_chain_runs_its_tools_over_the_wire_and_tells_where_it_died() -> None:
    bodies: list[bytes] = []
    call = {"index": 0, "id": "c", "function": {"name": "follow_clue", "arguments": '{"clue":"x"}'}}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    calling = HEAD + chunked(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n") + END

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        results = sum(m["role"] == "tool" for m in json.loads(bodies[-1].partition(b"\r\n\r\n")[2])["messages"])
        writer.write(calling if results < 2 else HEAD + sse("cut off") + END)

    async with serving(script, requests=bodies) as url:
        plan = RacePlan(rows=(Row(target(url), SCENARIO),), stall_s=30, policy=Policy(timeout_s=30))
        results, events = await outcome(plan)
    ended = results[0]
    assert (ended.state, ended.turns, ended.tool_results, ended.attempts) == ("incomplete", 3, 2, 3)
    assert [event.role for event in events if hasattr(event, "url")] == ["first", "turn", "turn"]  # type: ignore[union-attr]
