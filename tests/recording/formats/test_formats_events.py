"""Events that a program wrote down become streams: JSON, boto3, envelopes, Claude Code, Python's print."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import CHUNKS, MESSAGES, TEXT, decoded, recorded

BOTO3: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": TEXT}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 9}}},
]
STREAMS = {"chat": CHUNKS, "messages": MESSAGES, "converse": BOTO3}


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


LAYOUTS = {
    "list": json.dumps,
    "indented list": lambda values: json.dumps(values, indent=1),
    "lines": lines,
    "one after the other": lambda values: "\n".join(json.dumps(value, indent=2) for value in values),
    "in a member": lambda values: json.dumps({"ResponseMetadata": {"HTTPStatusCode": 200}, "stream": values}, indent=1),
    "Python's dictionaries": lambda values: "".join(f"{value!r}\n" for value in values),
}


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_events_of_a_stream_in_every_layout(tmp_path: Path, dialect: str, layout: str) -> None:
    (only,) = recorded(tmp_path, LAYOUTS[layout](STREAMS[dialect]))
    got = decoded(only)
    assert (got.dialect, got.text, got.error, got.signature) == (dialect, TEXT, None, None)
    assert got.finish_reason in ("stop", "end_turn")
    assert got.done is (dialect != "chat")  # nothing writes down the sentinel of chat


def test_payloads_of_boto3_for_other_models(tmp_path: Path) -> None:
    packed = [{"chunk": {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}} for event in MESSAGES]
    plain = [{"chunk": {"bytes": json.dumps(event)}} for event in MESSAGES]
    printed = "".join(f"{ ({'chunk': {'bytes': json.dumps(event).encode()}})!r}\n" for event in MESSAGES)
    for content in (lines(packed), json.dumps(plain), printed):
        (only,) = recorded(tmp_path, content)
        assert (decoded(only).dialect, decoded(only).text) == ("bedrock-invoke", TEXT)


def test_an_exception_in_the_events_of_boto3(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, lines([*BOTO3[:2], {"throttlingException": {"message": "slow down"}}]))
    got = decoded(only)
    assert got.error is not None
    assert (got.error.code, got.signature) == ("throttlingException", "error-in-stream")


@pytest.mark.parametrize(
    "envelope",
    [
        lambda n, event: {"event": event["type"], "data": event, "t": 6.0 * n},
        lambda n, event: {"event": event["type"], "data": json.dumps(event), "elapsed_ms": 6000 * n},
        lambda n, event: {"timestamp": f"2026-01-02T03:04:{6 * n:02}Z", "chunk": event},
        lambda n, event: {"ts": 1767000000000 + 6000 * n, "line": f"data: {json.dumps(event)}"},
    ],
)
def test_envelopes_with_times(tmp_path: Path, envelope: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    (only,) = recorded(tmp_path, lines([envelope(n, event) for n, event in enumerate(MESSAGES)]))
    got = decoded(only)
    assert (got.text, got.finish_reason, got.done) == (TEXT, "end_turn", True)
    assert only.arrivals_ms == pytest.approx((0, 6000, 12000, 18000, 24000, 30000))


def test_the_sentinel_in_an_envelope_ends_the_stream(tmp_path: Path) -> None:
    rows = [{"data": json.dumps(chunk)} for chunk in CHUNKS]
    assert decoded(recorded(tmp_path, lines([*rows, {"data": "[DONE]"}]))[0]).done
    assert not decoded(recorded(tmp_path, lines(rows))[0]).done


def test_answers_one_after_the_other_are_told_apart(tmp_path: Path) -> None:
    second = [{**chunk, "id": "c2"} for chunk in CHUNKS]
    assert [decoded(one).text for one in recorded(tmp_path, lines(CHUNKS + second))] == [TEXT, TEXT]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}]),
        json.dumps({"id": "x", "object": "chat.completion", "choices": [{"message": {"content": "hi"}}]}, indent=1),
        json.dumps({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}]}),
    ],
)
def test_a_whole_answer_is_no_stream(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match='a whole answer, not a stream; ask with "stream": true'):
        recorded(tmp_path, content)


@pytest.mark.parametrize("content", ['[{"op": 1}, {"op": 2}]', '{"a": {"b": 1}}', '{"a": {}}\n{"b": {}}\n'])
def test_other_json_is_described_by_its_keys(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match=r"it is a JSON (list of objects|object) with '(op|a)'"):
        recorded(tmp_path, content)


def test_an_error_in_a_list_is_the_answer(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, '[{"error": {"code": 400, "message": "bad key", "status": "INVALID_ARGUMENT"}}]')
    assert only.streaming
    assert only.status is None


def session(**row: object) -> dict[str, Any]:
    return {"session_id": "s", "parent_tool_use_id": None, **row}


def test_claude_code_with_partial_messages(tmp_path: Path) -> None:
    rows = [session(type="system", subtype="init"), *(session(type="stream_event", event=one) for one in MESSAGES)]
    again = [session(type="stream_event", event=one) for one in MESSAGES]
    inner = [session(type="stream_event", event=one) | {"parent_tool_use_id": "toolu_1"} for one in MESSAGES]
    mixed = [row for pair in zip(again, inner, strict=True) for row in pair]
    found = recorded(tmp_path, lines([*rows, session(type="assistant", message={}), *mixed, session(type="result")]))
    assert [(one.index, decoded(one).text, decoded(one).done) for one in found] == [(n, TEXT, True) for n in range(3)]


def test_claude_code_with_whole_messages_only(tmp_path: Path) -> None:
    said = {"id": "m1", "type": "message", "role": "assistant", "model": "c", "stop_reason": None}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weigh", "input": {"kg": 2}}
    rows = [
        session(type="assistant", message={**said, "content": [{"type": "thinking", "thinking": "hm"}]}),
        session(type="assistant", message={**said, "content": [{"type": "text", "text": TEXT}]}),
        session(type="assistant", message={**said, "content": [call], "stop_reason": "tool_use"}),
        session(type="user", message={"role": "user", "content": []}),
        session(type="assistant", message={**said, "id": "m2", "content": [{"type": "text", "text": "22"}]}),
    ]
    first, second = recorded(tmp_path, lines(rows))
    got = decoded(first)
    assert (got.reasoning, got.text, got.finish_reason, got.done) == ("hm", TEXT, "tool_use", True)
    assert [(one.name, json.loads(one.arguments)) for one in got.tool_calls] == [("weigh", {"kg": 2})]
    assert (decoded(second).text, decoded(second).signature) == ("22", None)
    with pytest.raises(UsageError, match="record with --include-partial-messages"):
        recorded(tmp_path, lines(rows[3:4]))


PRINTED = (
    "ChatCompletionChunk(id='c', choices=[Choice(delta=ChoiceDelta(content='two ', function_call=None, refusal=None, "
    "tool_calls=None), finish_reason=None, index=0)], created=1, model='m', usage=None)\n"
    "ChatCompletionChunk(id='c', choices=[Choice(delta=ChoiceDelta(content=\"w\\xf6rds\", tool_calls=None), "
    "finish_reason=<Reason.STOP: 'stop'>, index=0)], created=-1.5e3, model='m', usage=None)\n"
)


def test_objects_that_python_printed(tmp_path: Path) -> None:
    got = decoded(recorded(tmp_path, PRINTED)[0])
    assert (got.text, got.finish_reason, got.signature) == (TEXT, "stop", None)
    bare = "\n".join(line.removeprefix("ChatCompletionChunk(").removesuffix(")") for line in PRINTED.splitlines())
    assert decoded(recorded(tmp_path, bare.replace(", created", " created"))[0]).text == TEXT


def test_objects_that_are_no_chunks_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"they are no chunks; save chunk.model_dump_json\(\), one per line"):
        recorded(tmp_path, "Response(status=200, text='hi')\n")


NOTE = {
    "request": {"url": "https://x/v1/chat/completions"},
    "http_status": 200,
    "text": "hi",
    "chunks": 4,
    "done": True,
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"error": {"message": "no", "status": 403}},
        {"choices": {"0": {"text": "hi", "finish_reason": "stop"}}},
    ],
    ids=["with a count of chunks", "with an error", "with choices by number"],
)
def test_a_note_about_an_exchange_is_no_recording(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is no recording that kmon reads: it is a JSON object with 'request'"):
        recorded(tmp_path, json.dumps(NOTE | more), "note.json")


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "no", "code": 401}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "no"}, "request_id": "r1"},
        {"error": "no", "status": 500, "messages": [], "metadata": {}},
        [{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}],
    ],
)
def test_an_error_that_was_answered_instead_of_a_stream_is_read(tmp_path: Path, answer: object) -> None:
    (only,) = recorded(tmp_path, json.dumps(answer), "answer.json")
    assert (got := decoded(only).error) is not None
    assert got.message == "no"


def test_a_dialect_is_recognised_wherever_it_would_be_in_the_body(tmp_path: Path) -> None:
    """Only as many events are written for it as are looked at, which is more where they are small."""
    noise: list[dict[str, Any]] = [{"n": number} for number in range(150)]
    (only,) = recorded(tmp_path, lines([*noise, *CHUNKS]))
    assert (decoded(only).text, decoded(only).chunks) == (TEXT, len(noise) + len(CHUNKS))


def test_what_only_pythons_encoder_writes_is_kept(tmp_path: Path) -> None:
    half = json.loads(json.dumps(CHUNKS))
    half[1]["choices"][0]["delta"]["content"] = "\ud83d"
    half[2]["choices"][0]["delta"]["content"] = "\ude00 " + TEXT
    (only,) = recorded(tmp_path, lines(half))
    assert decoded(only).text.endswith(TEXT)
