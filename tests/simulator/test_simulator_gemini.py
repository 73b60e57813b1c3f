"""The simulated Gemini API: both framings, strict turns, errors, the list of models."""

from __future__ import annotations

import json

import httpx
import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.gemini import Gemini
from kmon.simulator.server import Simulator
from tests.support.talk import Body

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
