"""The simulated Gemini API: both framings, strict turns, errors, the list of models; and google-genai reads it."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator

import httpx
import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.gemini import Gemini
from kmon.simulator.server import Simulator
from tests.support.talk import Body

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports what its own dependencies deprecate
    from google import genai
    from google.genai import errors, types

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")  # google-genai's own
MODEL = "gemini-2.5-flash"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"functionDeclarations": [{"name": "get_weather", "description": "Current weather.", "parameters": SCHEMA}]}]
CALL = {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}}]}
RESULT = {
    "role": "user",
    "parts": [{"functionResponse": {"name": "get_weather", "response": {"result": '{"temp":22}'}}}],
}


def asked(text: str = "Weather in Oslo?", *more: Body, **members: object) -> Body:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}, *more], **members}


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.origin}/v1beta/models/{MODEL}:streamGenerateContent"


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[genai.Client]:
    options = types.HttpOptions(base_url=sim.origin, api_version="v1beta", timeout=20_000)
    ai = genai.Client(api_key="none", http_options=options)
    yield ai
    await ai.aio.aclose()


def config(fault: str = "smooth", **members: object) -> types.GenerateContentConfig:
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
    with pytest.raises(errors.ServerError) as refused:
        await streamed(client, "Hi", config("http-500"))
    assert (refused.value.code, refused.value.status) == (500, "INTERNAL")
    with pytest.raises(errors.APIError) as broken:
        await streamed(client, "Tell me how rivers find the sea.", config("error-in-200"))
    assert (broken.value.code, broken.value.status) == (502, "UNAVAILABLE")


async def test_the_sdk_lists_the_models(client: genai.Client) -> None:
    names = [model.name async for model in await client.aio.models.list()]
    assert "models/sim/smooth" in names


@pytest.mark.parametrize(
    "fault", ["smooth", "split-anywhere", "crlf", "error-in-200", "error-first", "truncated-no-finish"]
)
async def test_without_alt_sse_the_same_answer_is_one_array(url: str, http: httpx.AsyncClient, fault: str) -> None:
    found = []
    for query, media_type in (("", "application/json"), ("?alt=sse", "text/event-stream")):
        body = asked("Tell me how rivers find the sea.", generationConfig={"maxOutputTokens": 80})
        answer = await http.post(url + query, json=body, headers={"x-kmon-fault": fault})
        assert answer.headers["content-type"].startswith(media_type)
        transcript, decoder = Transcript(), Gemini().decoder()
        for delta in decoder.feed(answer.content) + decoder.end():
            transcript.add(delta)
        error = transcript.error and (transcript.error.message, transcript.error.code)
        found.append((len(transcript.text), transcript.finish_reason, transcript.done, transcript.usage, error))
    assert found[0] == found[1]
    assert found[0][2] is (fault in ("smooth", "split-anywhere", "crlf"))


async def test_a_whole_array_is_json_and_white_space_in_it_keeps_it_alive(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(url, json=asked("Say hello."), headers={"x-kmon-fault": "keepalives-then-content"})
    assert json.loads(answer.content)[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_an_answer_that_the_limit_cut_says_so(url: str, http: httpx.AsyncClient) -> None:
    body = asked("Tell me how rivers find the sea.", generationConfig={"maxOutputTokens": 20})
    last = (await http.post(url, json=body, headers={"x-kmon-fault": "smooth"})).json()[-1]
    assert last["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert last["usageMetadata"]["candidatesTokenCount"] + last["usageMetadata"].get("thoughtsTokenCount", 0) == 20


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "Hi"}]}]}, "Please use a valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        (asked("Hi", RESULT), "comes immediately after a function call turn"),
        (asked("Hi", CALL, {"role": "user", "parts": [{"text": "And?"}]}), "is equal to the number of function call"),
    ],
)
async def test_what_google_refuses_is_refused(url: str, http: httpx.AsyncClient, body: Body, sentence: str) -> None:
    answer = await http.post(url, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert sentence in answer.json()["error"]["message"]


async def test_results_of_calls_are_answered_in_text_and_snake_case_is_read(url: str, http: httpx.AsyncClient) -> None:
    declared = [{"function_declarations": TOOLS[0]["functionDeclarations"]}]
    body = asked("Weather in Oslo?", CALL, RESULT, tools=declared, system_instruction={"parts": [{"text": "Short."}]})
    answer = await http.post(url, json=body, headers={"x-kmon-fault": "smooth"})
    said = "".join(part.get("text", "") for one in answer.json() for part in one["candidates"][0]["content"]["parts"])
    assert "22" in said


async def test_vertex_paths_are_served(sim: Simulator, http: httpx.AsyncClient) -> None:
    path = f"/v1beta1/projects/p/locations/l/publishers/google/models/{MODEL}:generateContent"
    answer = await http.post(sim.origin + path, json=asked("Say hello."), headers={"x-kmon-fault": "smooth"})
    assert answer.json()["modelVersion"] == MODEL
