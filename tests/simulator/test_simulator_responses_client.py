"""An ordinary client, openai-python, reads the simulated Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kmon.simulator.server import Simulator

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.references
MODEL = "kimi-k2.5"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "description": "Current weather of a city.", "parameters": SCHEMA}


def client(sim: Simulator) -> openai.AsyncOpenAI:
    import openai  # here, since every process of the tests imports all of them

    return openai.AsyncOpenAI(base_url=sim.base_url("openai"), api_key="none", max_retries=0, timeout=20)


async def test_its_own_accumulator_agrees(sim: Simulator) -> None:
    async with client(sim) as ai:
        smooth = {"x-kmon-fault": "smooth"}
        async with ai.responses.stream(
            model=MODEL, input="Weather for Oslo?", tools=[WEATHER], extra_headers=smooth
        ) as stream:
            deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
    assert "".join(deltas) == final.output_text
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage is not None
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


async def test_a_plain_answer_is_read(sim: Simulator) -> None:
    async with client(sim) as ai:
        answer = await ai.responses.create(model=MODEL, input="Say hello.", extra_headers={"x-kmon-fault": "smooth"})
    assert answer.status == "completed"
    assert answer.output_text


async def test_an_error_event_is_an_event_of_its_own(sim: Simulator) -> None:
    async with client(sim) as ai:
        stream = await ai.responses.create(
            model=MODEL, input="Hi", stream=True, extra_headers={"x-kmon-fault": "error-first"}
        )
        assert [(event.type, event.message) async for event in stream] == [
            ("error", "Failed to call a function. Please adjust your prompt."),
        ]
