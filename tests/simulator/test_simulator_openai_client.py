"""An ordinary client, openai-python, reads the simulator like any provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kmon.simulator.server import Simulator
from tests.support.talk import Body

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionChunk

pytestmark = pytest.mark.references


def client(sim: Simulator, provider: str = "together") -> openai.AsyncOpenAI:
    import openai  # here, since every process of the tests imports all of them

    return openai.AsyncOpenAI(base_url=sim.base_url(provider), api_key="none", max_retries=0, timeout=20)


async def streamed(sim: Simulator, body: Body, fault: str = "smooth") -> list[ChatCompletionChunk]:
    import openai

    async with client(sim) as ai:
        answer = await ai.chat.completions.create(**body, extra_headers={"x-kmon-fault": fault})
        assert isinstance(answer, openai.AsyncStream)
        return [chunk async for chunk in answer]


async def test_text_finish_and_usage_are_read(sim: Simulator, body: Body) -> None:
    chunks = await streamed(sim, body)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.startswith("Here is a small, dependable LRU cache")
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_tool_call_is_put_together(sim: Simulator, body: Body, weather: Body) -> None:
    asked = body | {"tools": [weather], "messages": [{"role": "user", "content": "The weather in Oslo?"}]}
    deltas = [chunk.choices[0].delta for chunk in await streamed(sim, asked) if chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.function and call.function.name] == ["get_weather"]
    assert calls[0].id == "functions.get_weather:0"
    arguments = "".join(call.function.arguments or "" for call in calls if call.function)
    assert json.loads(arguments) == {"city": "Oslo"}


async def test_its_own_accumulator_agrees(sim: Simulator, body: Body, weather: Body) -> None:
    asked = body | {"tools": [weather], "messages": [{"role": "user", "content": "The weather in Oslo?"}]}
    del asked["stream"]
    async with client(sim) as ai, ai.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls is not None


async def test_a_plain_answer_is_read(sim: Simulator, body: Body) -> None:
    async with client(sim) as ai:
        answer = await ai.chat.completions.create(**{**body, "stream": False, "stream_options": None})
    assert "ExpiringCache" in answer.choices[0].message.content


async def test_an_error_inside_a_200_is_raised(sim: Simulator, body: Body) -> None:
    import openai

    with pytest.raises(openai.APIError, match="upstream overloaded"):
        await streamed(sim, body, "error-in-200")


async def test_http_errors_are_raised_by_their_status(sim: Simulator, body: Body) -> None:
    import openai

    with pytest.raises(openai.RateLimitError) as limited:
        await streamed(sim, body, "rate-limited")
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.InternalServerError):
        await streamed(sim, body, "http-500")
    with pytest.raises(openai.BadRequestError, match="hang-mid-stream"):
        await streamed(sim, body, "nonsense")


async def test_models_are_listed(sim: Simulator) -> None:
    async with client(sim, "groq") as ai:
        assert "sim/smooth" in [model.id async for model in await ai.models.list()]
