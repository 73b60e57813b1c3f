"""The simulated Bedrock is Bedrock to boto3: text, thinking, tools, usage, refusals."""

from __future__ import annotations

import json

import httpx
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from kmon.dialects.eventstream import EventStreamDecoder, Frame
from kmon.simulator.server import Simulator
from tests.support.aws import (
    KIMI,
    NOVA,
    TOOLS,
    converse,
    deltas,
    names,
    result,
    text,
    tokyo,
    used,
    user,
    with_boto3,
)
from tests.support.talk import Body, ledger

MISTRAL = "mistral.mistral-large-3-675b-instruct"


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.origin}/bedrock"


async def test_a_text_answer_is_start_deltas_stop_and_metadata(url: str) -> None:
    metadata, events = await converse(url, [user("Write a Python class that caches values.")], model=MISTRAL)
    assert names(events) == ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert "class ExpiringCache" in text(events)
    assert events[-2] == {"messageStop": {"stopReason": "end_turn"}}
    assert metadata["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"
    assert metadata["RetryAttempts"] == 0
    assert len(metadata["RequestId"]) == 36


async def test_usage_and_the_servers_own_time_are_in_the_metadata(url: str) -> None:
    _, events = await converse(url, [user("Write a Python class.")], model=MISTRAL)
    metadata = events[-1]["metadata"]
    usage = metadata["usage"]
    assert usage["outputTokens"] == len(deltas(events, "text"))
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert 20 < metadata["metrics"]["latencyMs"] < 2_000  # 10 to 20 s of answer, 200 times as fast


async def test_a_thinking_model_sends_a_block_of_reasoning_first(url: str) -> None:
    _, events = await converse(url, [user("Say hello.")], model=KIMI)
    assert len(deltas(events, "reasoningContent")) == 60
    assert [event["contentBlockStop"] for event in events if "contentBlockStop" in event] == [
        {"contentBlockIndex": 0},
        {"contentBlockIndex": 1},
    ]
    switched_off = {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}
    _, events = await converse(url, [user("Say hello.")], model=KIMI, **switched_off)
    assert not deltas(events, "reasoningContent")


@pytest.mark.parametrize(("model", "pieces"), [(KIMI, 6), (NOVA, 1)])
async def test_a_tool_call_comes_in_pieces_but_from_nova_in_one(model: str, pieces: int, url: str) -> None:
    _, events = await converse(url, [user("Weather for Tokyo?")], model=model, toolConfig=TOOLS)
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    assert len(starts) == 1  # text and reasoning begin without one
    assert starts[0]["start"]["toolUse"]["name"] == "get_weather"
    assert starts[0]["start"]["toolUse"]["toolUseId"].startswith("tooluse_")
    inputs = [piece["input"] for piece in deltas(events, "toolUse")]
    assert json.loads("".join(inputs)) == {"city": "Tokyo"}
    assert len(inputs) == pieces
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}


async def test_a_tool_result_is_answered_in_words_with_its_number(url: str) -> None:
    _, events = await converse(url, tokyo(), toolConfig=TOOLS)
    assert "22" in text(events)
    assert events[-2] == {"messageStop": {"stopReason": "end_turn"}}


async def test_a_tool_can_be_forced_and_the_output_be_capped(url: str) -> None:
    forced = TOOLS | {"toolChoice": {"tool": {"name": "get_weather"}}}
    _, events = await converse(url, [user("Tell me a story.")], toolConfig=forced)
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    _, events = await converse(url, [user("Tell me a story.")], inferenceConfig={"maxTokens": 9})
    assert events[-2] == {"messageStop": {"stopReason": "max_tokens"}}
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 9


async def test_content_of_other_kinds_is_accepted(url: str) -> None:
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}
    _, events = await converse(url, [user(image)])
    assert names(events)[-1] == "metadata"


async def test_the_origin_alone_is_bedrock_too(sim: Simulator, http: httpx.AsyncClient) -> None:
    await converse(sim.origin, [user("Say hello.")], model=NOVA)
    row = (await ledger(sim, http))["requests"][-1]
    assert (row["provider"], row["model"], row["dialect"], row["stream"]) == ("bedrock", NOVA, "converse", True)


async def test_boto3s_other_operation_gets_the_answer_whole(url: str) -> None:
    messages = [user("Weather for Tokyo?")]

    def call(client: BaseClient) -> Body:
        answer: Body = client.converse(modelId=KIMI, messages=messages, toolConfig=TOOLS)
        return answer

    answer = await with_boto3(url, call)
    thought, said, use = answer["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"]
    assert "get_weather" in said["text"]
    assert use["toolUse"]["input"] == {"city": "Tokyo"}
    assert answer["stopReason"] == "tool_use"
    assert answer["metrics"]["latencyMs"] > 0


async def test_frames_are_padded_by_chance_and_the_same_by_seed(url: str, http: httpx.AsyncClient) -> None:
    async def padding() -> list[str]:
        asked = {"messages": [user("Say hello.")]}
        answer = await http.post(f"{url}/model/x/converse-stream", json=asked)
        frames = EventStreamDecoder().feed(answer.content)
        return [json.loads(frame.payload)["p"] for frame in frames if isinstance(frame, Frame)]

    first = await padding()
    assert len({len(found) for found in first}) > 2
    assert all("abcdefghijklmnopqrstuvwxyzABC".startswith(found[:29]) for found in first)
    assert await padding() != first  # the second time of asking is another answer


@pytest.mark.parametrize(
    ("messages", "more", "sentence"),
    [
        ([user("Weather?"), used("a"), user(result("b"))], {"toolConfig": TOOLS}, "unexpected toolUseId b"),
        ([user("Weather?"), used("a"), user("And?")], {"toolConfig": TOOLS}, "Expected toolResult blocks .*: a"),
        (tokyo(), {}, "toolConfig field must be defined"),
        ([user("Hi"), user("Hi")], {}, "must alternate"),
        ([used()], {"toolConfig": TOOLS}, "must start with a user message"),
        ([user(" ")], {}, r"messages\.0\.content\.0 is blank"),
        ([{"role": "user", "content": []}], {}, r"messages\.0 is empty"),
    ],
)
async def test_a_conversation_that_makes_no_sense_is_a_validation_exception(
    messages: list[Body], more: Body, sentence: str, url: str
) -> None:
    with pytest.raises(ClientError, match=sentence) as refused:
        await converse(url, messages, **more)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":1}', b"\xff", b"[" * 100_000])
async def test_what_is_no_request_is_refused(body: bytes, url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{url}/model/x/converse-stream", content=body)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert "Malformed input request" in answer.json()["message"]
