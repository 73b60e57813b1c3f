"""No input makes a decoder raise, and no split of the bytes changes what it says."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta
from kmon.dialects.registry import formats, wire_format
from kmon.simulator.dialects.registry import server_dialect
from tests.support.event_frames import frame
from tests.support.simulated_streams import CALL, stream

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.sampled_from(["error", "text", "thinking", "chunk", "message_start", "chat.completion.chunk", 0, 1e300])
)
KEYS = st.sampled_from([
    "choices", "delta", "index", "content", "text", "type", "thinking", "reasoning", "reasoning_content",
    "tool_calls", "function", "name", "arguments", "id", "finish_reason", "usage", "prompt_tokens",
    "completion_tokens", "total_tokens", "prompt_tokens_details", "error", "message", "code", "x_groq",
    "object", "model", "provider", "contentBlockIndex", "toolUse", "input", "start", "toolUseId", "stopReason",
    "metadata", "messageStop", "content_block", "status_code", "reasoningContent", "function_call", "outputs",
    "generations", "completion", "event_type", "partial_json", "content_block", "stop_reason", "input_tokens",
    "output_index", "item_id", "item", "part", "summary", "call_id", "response", "output", "status",
    "candidates", "parts", "functionCall", "args", "partialArgs", "jsonPath", "stringValue", "willContinue", "thought",
    "finishReason", "promptFeedback", "blockReason", "usageMetadata", "response", "inlineData", "executableCode",
    "output_tokens", "token", "details", "special", "generated_text", "num_input_tokens", "error_message", "error_type",
    "message", "done", "done_reason", "prompt_eval_count", "eval_count", "total_duration",
])  # fmt: skip
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
CHOICE = st.fixed_dictionaries({}, optional={"index": SCALARS, "delta": JSON, "finish_reason": SCALARS, "usage": JSON})
CHUNK = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE, max_size=2), "usage": JSON, "error": JSON})
PATH_PIECE = st.fixed_dictionaries(
    {"jsonPath": st.sampled_from(["$.a", "$.b", "$.a.b", "$.c[0]", "$.c[1].d", "$[0]", "$", "a"]) | SCALARS},
    optional={"stringValue": SCALARS, "numberValue": SCALARS, "willContinue": st.booleans()},
)
CALL_PART = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["f", "g"]) | SCALARS, "args": JSON, "willContinue": st.booleans(),
        "partialArgs": st.lists(PATH_PIECE, max_size=3) | JSON,
    },
)  # fmt: skip
PART = (
    st.fixed_dictionaries({}, optional={"text": SCALARS, "thought": SCALARS, "functionCall": CALL_PART | JSON}) | JSON
)
CANDIDATE = st.fixed_dictionaries(
    {"content": JSON | st.fixed_dictionaries({"parts": st.lists(PART, max_size=3)})},
    optional={"finishReason": SCALARS, "index": SCALARS},
)
CONTENT = JSON | st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATE, max_size=2)}, optional={"usageMetadata": JSON, "error": JSON}
)
EVENT_NAMES = st.sampled_from(
    ["chunk", "contentBlockDelta", "contentBlockStart", "messageStop", "metadata", "throttlingException"]
)
MESSAGE_TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "ping", "error"]
)
RESPONSE_TYPES = st.sampled_from([
    "response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta",
    "response.output_text.done", "response.content_part.done", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.reasoning_summary_text.delta", "response.completed",
    "response.failed", "error",
])  # fmt: skip
OUTPUT_ITEM = st.dictionaries(KEYS, JSON, max_size=5) | st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "web_search_call"])},
    optional={"id": SCALARS, "call_id": SCALARS, "name": SCALARS, "arguments": JSON, "content": JSON, "summary": JSON},
)
RESPONSE_EVENT = st.fixed_dictionaries(
    {"delta": st.text(max_size=3)},
    optional={
        "output_index": st.integers(-1, 2), "item_id": SCALARS, "item": OUTPUT_ITEM, "text": SCALARS, "arguments": JSON,
        "response": st.fixed_dictionaries({"output": st.lists(OUTPUT_ITEM, max_size=3) | JSON, "status": SCALARS}),
    },
)  # fmt: skip


def sse(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def named(value: dict[str, object], name: str) -> bytes:
    return b"event: " + name.encode() + b"\n" + sse({**value, "type": name})


def invoke(value: object) -> bytes:
    return frame("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()})


def converse(value: object, name: str, kind: str) -> bytes:
    return frame(name, json.dumps(value).encode(), kind=kind)


BODIES = {
    "chat": st.lists(
        st.builds(sse, JSON | CHUNK)
        | st.sampled_from([b"data: [DONE]\n\n", b": hi\r\n", b"event: error\n", b"data: {"]),
        max_size=4,
    ),
    "converse": st.lists(
        st.builds(converse, JSON, EVENT_NAMES, st.sampled_from(["event", "exception", "error"])), max_size=4
    ),
    "messages": st.lists(
        st.builds(named, st.dictionaries(KEYS, JSON, max_size=5), MESSAGE_TYPES)
        | st.sampled_from([b"event: ping\ndata: {}\n\n", b": hi\n"]),
        max_size=4,
    ),
    "responses": st.lists(
        st.builds(named, RESPONSE_EVENT | st.dictionaries(KEYS, JSON, max_size=5), RESPONSE_TYPES)
        | st.sampled_from([b"data: [DONE]\n\n", b": hi\n", b"event: error\ndata: {}\n\n"]),
        max_size=6,
    ),
    "deepinfra": st.lists(
        st.builds(sse, JSON | st.fixed_dictionaries({"token": JSON}, optional={"details": JSON}))
        | st.sampled_from([b"data: [DONE]\n\n", b"data: {"]),
        max_size=4,
    ),
    "ollama": st.lists(
        st.builds(line, JSON | st.fixed_dictionaries({"message": JSON, "done": SCALARS}, optional={"error": JSON}))
        | st.sampled_from([b"\r\n", b'{"done":']),
        max_size=4,
    ),
    "gemini": st.lists(st.builds(sse, CONTENT) | st.sampled_from([b"data: {", b": hi\r\n"]), max_size=4)
    | st.lists(CONTENT, max_size=4).map(
        lambda values: [b"[", *(json.dumps(v, indent=1).encode() + b"," for v in values)]
    ),
    "bedrock-invoke": st.lists(st.builds(invoke, JSON | CHUNK), max_size=4),
}
"""Bodies near to what each dialect sends."""
ANY_EVENTS = st.builds(sse, JSON) | st.sampled_from([b"data: [DONE]\n\n", b"data: {"])
ANY_LINES = st.builds(lambda value: json.dumps(value).encode() + b"\n", JSON)


def bodies(dialect: str) -> st.SearchStrategy[list[bytes]]:
    """Its bodies. Without an entry: JSON of any shape as events or lines, among pieces of the simulator's answers."""
    if dialect in BODIES:
        return BODIES[dialect]
    side = server_dialect(dialect)
    own = [chunk.data for chunk in stream(side, *CALL)] if side is not None else [b""]
    return st.lists(ANY_EVENTS | ANY_LINES | st.sampled_from(own), max_size=4)


def deltas(dialect: str, *pieces: bytes) -> list[Delta]:
    spoken = wire_format(dialect)
    assert spoken is not None
    wire = spoken.decoder()
    return [delta for piece in pieces for delta in wire.feed(piece)] + wire.end()


@pytest.mark.parametrize("dialect", [entry.name for entry in formats()])
@given(data=st.data())
def test_any_json_anywhere_in_any_split_gives_the_same_deltas(dialect: str, data: st.DataObject) -> None:
    body = b"".join(data.draw(bodies(dialect)))
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=6))
    edges = [0, *sorted(cuts), len(body)]
    whole = deltas(dialect, body)
    assert deltas(dialect, *(body[a:b] for a, b in pairwise(edges))) == whole
    folded = Transcript()
    for delta in whole:
        folded.add(delta)
    msgspec.json.encode((folded.text, folded.reasoning, folded.tool_calls, folded.finish_reason, folded.model))
    msgspec.json.encode((folded.refusal, folded.server_tools, folded.media))


@pytest.mark.parametrize("dialect", [entry.name for entry in formats()])
@given(body=st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(dialect: str, body: bytes) -> None:
    whole = deltas(dialect, body)
    assert deltas(dialect, *(bytes([byte]) for byte in body)) == whole
