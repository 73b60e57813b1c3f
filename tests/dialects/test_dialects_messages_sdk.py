"""What kmon makes of a Messages stream is what Anthropic's own client accumulates of the same bytes."""

from __future__ import annotations

import asyncio
import json

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.messages import Messages
from kmon.simulator.server import Simulator
from tests.support.loopback import END, chunked, serving
from tests.support.talk import Body

pytestmark = pytest.mark.references
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CALL = {"type": "tool_use", "id": "t1", "name": "find", "input": {}}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def block(index: int, content: Body, *deltas: Body) -> bytes:
    pieces = b"".join(event("content_block_delta", index=index, delta=delta) for delta in deltas)
    stop = event("content_block_stop", index=index)
    return event("content_block_start", index=index, content_block=content) + pieces + stop


def text(words: str) -> Body:
    return {"type": "text_delta", "text": words}


def given(part: str) -> Body:
    return {"type": "input_json_delta", "partial_json": part}


def start(content: list[Body], **usage: int) -> bytes:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1, **usage},
    }  # fmt: skip
    return event("message_start", message=message)


def end(reason: str, **usage: int) -> bytes:
    told = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=told, usage={"output_tokens": 9, **usage}) + event("message_stop")


STREAMS = {
    "text in its start": start([]) + block(0, {"type": "text", "text": "He"}, text("llo")) + end("end_turn"),
    "a call in pieces": start([]) + block(0, CALL, given('{"q":'), given('"fox"}')) + end("tool_use"),
    "a call given at its start": start([]) + block(0, CALL | {"input": {"q": "fox"}}) + end("tool_use"),
    "a call given and streamed": start([]) + block(0, CALL | {"input": {"q": "fox"}}, given('{"q":1}'))
    + end("tool_use"),
    "a call without input": start([]) + block(0, CALL, given("")) + end("tool_use"),
    "a call in the message's start": start([CALL | {"input": {"q": "fox"}}]) + end("tool_use"),
    "a search": start([]) + block(0, SEARCH, given('{"query":"fox"}')) + block(1, FOUND)
    + block(2, {"type": "text", "text": ""}, text("A canid.")) + end("end_turn", input_tokens=70),
    "a pause": start([]) + block(0, SEARCH, given("{}")) + end("pause_turn"),
    "thinking": start([]) + block(
        0, {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "c2ln"},
    ) + block(1, {"type": "redacted_thinking", "data": "AA"}) + end("end_turn"),
    "a cache": start([], cache_read_input_tokens=40, cache_creation_input_tokens=2) + end("end_turn"),
    "a refusal": start([]) + end("refusal"),
}  # fmt: skip


def folded(body: bytes) -> Transcript:
    wire, said = Messages().decoder(), Transcript()
    for delta in wire.feed(body) + wire.end():
        said.add(delta)
    return said


@pytest.mark.parametrize("name", STREAMS)
async def test_the_accumulated_message_is_the_same(name: str) -> None:
    import anthropic  # here, since every process of the tests imports all of them

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(STREAMS[name]) + END)

    async with serving(script) as url, anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as ai:
        async with ai.beta.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        ) as stream:
            message = await stream.get_final_message()
    said, content, usage = folded(STREAMS[name]), message.content, message.usage
    assert said.text == "".join(part.text for part in content if part.type == "text")
    assert said.reasoning == "".join(part.thinking for part in content if part.type == "thinking")
    assert [(call.id, call.name, json.loads(call.arguments or "{}")) for call in said.tool_calls] == [
        (part.id, part.name, part.input) for part in content if part.type == "tool_use"
    ]
    assert [tool.name for tool in said.server_tools] == [
        part.name for part in content if part.type == "server_tool_use"
    ]
    assert (said.finish_reason, said.response_id, said.done) == (message.stop_reason, message.id, True)
    assert said.usage is not None
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (
        usage.input_tokens + cached,
        usage.output_tokens,
    )


async def test_the_client_reads_the_simulator_at_vertex_too(sim: Simulator) -> None:
    import anthropic

    base_url = f"{sim.origin}/v1"
    async with anthropic.AsyncAnthropicVertex(region="eu", project_id="p", access_token="t", base_url=base_url) as ai:
        asked = [{"role": "user", "content": "Write a Python class that caches values."}]
        async with ai.messages.stream(model="smooth@2025", max_tokens=900, messages=asked) as stream:  # type: ignore[arg-type]
            message = await stream.get_final_message()
    assert message.model == "smooth@2025"
    assert "class ExpiringCache" in message.content[0].text
