"""An ordinary client, google-genai, reads the simulated Gemini API."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from kmon.simulator.server import Simulator

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

pytestmark = [
    pytest.mark.references,
    pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning"),  # google-genai's own
]
MODEL = "gemini-2.5-flash"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"functionDeclarations": [{"name": "get_weather", "description": "Current weather.", "parameters": SCHEMA}]}]


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[genai.Client]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports what its own dependencies deprecate
        from google import genai  # here, since every process of the tests imports all of them
        from google.genai import types

    options = types.HttpOptions(base_url=sim.origin, api_version="v1beta", timeout=20_000)
    ai = genai.Client(api_key="none", http_options=options)
    yield ai
    await ai.aio.aclose()


def config(fault: str = "smooth", **members: object) -> types.GenerateContentConfig:
    from google.genai import types

    options = {"headers": {"x-kmon-fault": fault}}
    return types.GenerateContentConfig.model_validate({"http_options": options, **members})


async def streamed(
    client: genai.Client, text: str, asks: types.GenerateContentConfig
) -> list[types.GenerateContentResponse]:
    answer = await client.aio.models.generate_content_stream(model=MODEL, contents=text, config=asks)
    return [chunk async for chunk in answer]


def parts(chunks: list[types.GenerateContentResponse]) -> list[types.Part]:
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    return [part for one in candidates if one.content for part in one.content.parts or ()]


async def test_the_sdk_reads_thoughts_text_finish_and_usage(client: genai.Client) -> None:
    from google.genai import types

    chunks = await streamed(client, "Say hello.", config("long-reasoning"))
    found = parts(chunks)
    assert "".join(part.text or "" for part in found if part.thought)
    assert "".join(part.text or "" for part in found if not part.thought)
    last = chunks[-1]
    assert last.candidates is not None and last.candidates[0].finish_reason == types.FinishReason.STOP
    usage = last.usage_metadata
    assert usage is not None and usage.thoughts_token_count
    assert usage.total_token_count == sum(
        count or 0 for count in (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
    )


async def test_the_sdk_reads_a_call_and_sends_its_result(client: genai.Client) -> None:
    from google.genai import types

    chunks = await streamed(client, "Weather in Oslo?", config(tools=TOOLS))
    (call,) = [part.function_call for part in parts(chunks) if part.function_call]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo"})
    answer = types.FunctionResponse(id=call.id, name=call.name, response={"result": '{"temp":22}'})
    talk = [
        types.Content(role="user", parts=[types.Part(text="Weather in Oslo?")]),
        types.Content(role="model", parts=[types.Part(function_call=call)]),
        types.Content(role="user", parts=[types.Part(function_response=answer)]),
    ]
    whole = await client.aio.models.generate_content(model=MODEL, contents=talk, config=config(tools=TOOLS))
    assert whole.text is not None and "22" in whole.text


async def test_the_sdk_raises_what_the_simulator_refuses_and_what_breaks_in_the_stream(client: genai.Client) -> None:
    from google.genai import errors

    with pytest.raises(errors.ServerError) as refused:
        await streamed(client, "Hi", config("http-500"))
    assert (refused.value.code, refused.value.status) == (500, "INTERNAL")
    with pytest.raises(errors.APIError) as broken:
        await streamed(client, "Tell me how rivers find the sea.", config("error-in-200"))
    assert (broken.value.code, broken.value.status) == (502, "UNAVAILABLE")


async def test_the_sdk_lists_the_models(client: genai.Client) -> None:
    names = [model.name async for model in await client.aio.models.list()]
    assert "models/sim/smooth" in names
