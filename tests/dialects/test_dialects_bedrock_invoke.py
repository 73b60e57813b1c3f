"""Bedrock InvokeModel streams: every model family's own JSON in chunk frames."""

from __future__ import annotations

import base64
import json

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.bedrock_invoke import BedrockInvoke
from kmon.dialects.delta import ServerTool, ToolCall, Usage
from tests.support.event_frames import frame

METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 2}}


def answer(*payloads: object) -> Transcript:
    wire = BedrockInvoke().decoder()
    frames = [frame("chunk", {"bytes": base64.b64encode(json.dumps(p).encode()).decode(), "p": "ab"}) for p in payloads]
    folded = Transcript()
    for delta in wire.feed(b"".join(frames)) + wire.end():
        folded.add(delta)
    return folded


FAMILIES = {
    "claude": [
        {"type": "message_start", "message": {"id": "m1", "model": "claude", "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "stop"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"} | METRICS,
    ],
    "claude 2": [{"completion": "hello", "stop_reason": "stop", "stop": None} | METRICS],
    "nova": [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "hello"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "stop"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2}}} | METRICS,
    ],
    "titan": [{"outputText": "hello", "index": 0, "completionReason": "stop"} | METRICS],
    "llama": [{"generation": "hello", "stop_reason": None}, {"generation": "", "stop_reason": "stop"} | METRICS],
    "mistral": [{"outputs": [{"text": "hello", "stop_reason": "stop"}]} | METRICS],
    "mistral chat": [{"choices": [{"message": {"content": "hello"}, "stop_reason": "stop"}]} | METRICS],
    "cohere": [
        {"event_type": "text-generation", "text": "hello"},
        {"event_type": "stream-end", "finish_reason": "stop", "response": {"text": "hello"}} | METRICS,
    ],
    "cohere command": [{"generations": [{"text": "hello", "finish_reason": "stop"}]} | METRICS],
    "openai": [
        {"choices": [{"index": 0, "delta": {"content": "hello"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]} | METRICS,
    ],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_says_hello(family: str) -> None:
    folded = answer(*FAMILIES[family])
    assert (folded.text, folded.finish_reason, folded.usage) == ("hello", "stop", Usage(3, 2, None))
    assert (folded.done, folded.error) == (True, None)


def test_claude_thinks_and_calls_tools() -> None:
    folded = answer(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    )
    assert (folded.reasoning, folded.tool_calls) == ("hm", (ToolCall("t", "w", '{"a":1}'),))


def test_an_error_event_inside_a_chunk() -> None:
    folded = answer({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    assert folded.error is not None
    assert (folded.error.kind, folded.error.message) == ("in-stream", "busy")


@pytest.mark.parametrize("payload", [{"bytes": "!!"}, {"bytes": "AAAA"}, {}, {"bytes": "MQ=="}])
def test_a_chunk_that_is_no_json_object_is_malformed(payload: object) -> None:
    (delta,) = BedrockInvoke().decoder().feed(frame("chunk", payload))
    assert delta.error is not None
    assert delta.error.kind == "malformed-frame"


def test_the_blocks_of_claude_follow_the_rules_of_messages() -> None:
    begun = {"type": "content_block_start", "index": 0}
    folded = answer(
        begun | {"content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {"a": 1}}},
        {"type": "content_block_stop", "index": 0},
        begun | {"index": 1, "content_block": {"type": "server_tool_use", "id": "s", "name": "find", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    )
    assert folded.tool_calls == (ToolCall("t", "w", '{"a":1}'),)
    assert folded.server_tools == (ServerTool("server_tool_use", "find"),)


def test_the_models_own_counts_are_used_and_bedrocks_only_without_them() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40}
    begun = {"type": "message_start", "message": {"usage": usage}}
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
    stop = {"type": "message_stop"} | METRICS
    assert answer(begun, ended, stop).usage == Usage(43, 5, None, cached_tokens=40)
    assert answer(begun, stop).usage == Usage(3, 2, None)


def test_a_whole_message_is_read() -> None:
    delta = BedrockInvoke().whole(
        {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    )
    assert (delta.text, delta.finish_reason) == ("Hi", "end_turn")
