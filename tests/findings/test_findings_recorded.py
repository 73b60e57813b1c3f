"""A recording is judged like a run: its content, its silences and what was asked, as far as the file holds it."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from kmon.dialects.eventstream_writer import event as frame
from kmon.findings.recorded import decode
from kmon.recording import Interaction, Request
from kmon.recording.decode import Decoded

CHAT, INVOKE = "chat", "bedrock-invoke"
ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
}  # fmt: skip


def chunk(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"model": "gpt-4o", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def said(*chunks: dict[str, Any], finish: str = "stop", usage: dict[str, int] | None = None) -> bytes:
    values = [*chunks, chunk(finish), *([{"choices": [], "usage": usage}] if usage is not None else [])]
    return b"".join(f"data: {json.dumps(value)}\n\n".encode() for value in values) + b"data: [DONE]\n\n"


def judged(body: bytes, asked: dict[str, Any] | None = None, **more: object) -> Decoded:
    request = Request(body=b"" if asked is None else json.dumps(asked).encode())
    headers = {"content-type": "text/event-stream"}
    return decode("f", msgspec.structs.replace(Interaction(0, request, 200, headers, body, CHAT, True), **more))


def calls(arguments: str, name: str = "weather") -> dict[str, Any]:
    return chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": name, "arguments": arguments}}])


LOOP = chunk(content="the same thing again and again, " * 60)
WORDS = " ".join(f"word{number}" for number in range(99))
COUNTED = {"prompt_tokens": 9, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("body", "name", "evidence"),
    [
        (said(LOOP), "repetition-loop", "the text ends in"),
        (said(chunk(content="a, b, c")), None, ""),
        (said(), "empty-answer", "no text, no tool call"),
        (said(chunk(content="<|im_end|>")), "tool-markers-leaked", "<|im_end|> (ChatML) in the text"),
        (said(chunk(content="write `<|im_end|>`")), None, ""),
        (
            said(chunk(content=" ".join(f"word{n}" for n in range(99))), usage=COUNTED),
            "usage-mismatch",
            "usage counts 3",
        ),
        (said(chunk(content="yes"), usage=COUNTED), None, ""),
        (said(chunk(reasoning_content="hm")), "only-reasoning", "2 characters of reasoning"),
    ],
)
def test_the_content_of_a_recording_has_its_name_and_evidence(body: bytes, name: str | None, evidence: str) -> None:
    got = judged(body)
    assert got.signature == name
    assert str(got.evidence or "").startswith(evidence)


def test_the_answer_is_held_against_the_request_where_the_file_has_it() -> None:
    right, other = said(calls('{"city":"Oslo"}'), finish="tool_calls"), said(calls("{}", "clock"), finish="tool_calls")
    assert judged(right, ASKED).signature is None
    assert judged(other, ASKED).signature == "tool-not-offered"
    assert judged(said(calls("{}"), finish="tool_calls"), ASKED).signature == "tool-arguments-misfit"
    assert judged(said(chunk(content="hi")), {**ASKED, "model": "claude-sonnet-4-5"}).signature == "wrong-model"


@pytest.mark.parametrize("asked", [None, {"stream": True}, {"model": "gpt-4o", "messages": [], "stream": True}])
def test_a_tool_may_have_been_offered_in_a_request_that_was_not_recorded(asked: dict[str, Any] | None) -> None:
    assert judged(said(calls("{}", "clock"), finish="tool_calls"), asked).signature is None
    assert judged(said(calls('{"ci'), finish="tool_calls"), asked).signature == "tool-arguments-unfinished"


def test_token_counts_are_missed_where_they_were_asked_for() -> None:
    body = said({**chunk(content="hi"), "usage": None})
    options = {"stream_options": {"include_usage": True}}
    assert judged(body, {**ASKED, **options}).signature == "usage-missing"
    assert judged(body, ASKED).signature is judged(body).signature is None


@pytest.mark.parametrize(
    ("arrivals_s", "name"),
    [
        ((0, 1, 8, 9, 10), "stall-resumed"),
        ((0, 1, 2, 9, 10), None),
        ((0, 9, 10, 11, 12), None),
        ((0, 1, 4, 7, 8), None),
        ((), None),
    ],
    ids=["between two words", "before the finish reason", "before the first word", "pauses", "no times"],
)
def test_a_silence_that_interrupted_the_output_is_a_stall(arrivals_s: tuple[int, ...], name: str | None) -> None:
    body = said(chunk(role="assistant"), chunk(content="a"), chunk(content="b"))
    assert judged(body, arrivals_ms=tuple(at_s * 1000.0 for at_s in arrivals_s)).signature == name


def test_three_silences_are_repeated_ones() -> None:
    body = said(*(chunk(content=word) for word in "abcd"))
    got = judged(body, arrivals_ms=(0.0, 6000.0, 12_000.0, 18_000.0, 18_001.0, 18_002.0))
    assert (got.signature, got.max_gap_ms) == ("repeated-stalls", 6000)


def test_arguments_that_a_server_held_back_are_no_stall() -> None:
    body = said(chunk(content="a"), calls('{"city":"Oslo"}'), finish="tool_calls")
    assert judged(body, arrivals_ms=(0.0, 9000.0, 9001.0, 9002.0)).signature is None


def test_a_status_that_was_not_recorded_is_not_told() -> None:
    refused = judged(b'{"error":{"message":"no"}}', status=None, headers={})
    assert (refused.signature, refused.evidence) == ("http-error", msgspec.UNSET)


def invoked(*payloads: dict[str, Any]) -> Decoded:
    packed = [{"bytes": base64.b64encode(json.dumps(one).encode()).decode()} for one in payloads]
    return judged(b"".join(frame("chunk", json.dumps(one).encode()) for one in packed), dialect=INVOKE)


def test_an_answer_that_a_stop_sequence_ended_at_once_may_be_empty() -> None:
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 25, "outputTokenCount": 4}}
    assert invoked({"completion": "", "stop_reason": "stop_sequence"} | metrics).signature is None
    assert invoked({"completion": "", "stop_reason": "end_turn"} | metrics).signature == "empty-answer"


@pytest.mark.parametrize(("reason", "name"), [("stop_sequence", None), ("end_turn", "empty-answer")])
def test_and_so_may_one_of_converse(reason: str, name: str | None) -> None:
    events = {"messageStart": {"role": "assistant"}, "messageStop": {"stopReason": reason}, "metadata": {}}
    body = b"".join(frame(kind, json.dumps(members).encode()) for kind, members in events.items())
    assert judged(body, dialect="converse").signature == name


@pytest.mark.parametrize(("caller", "name"), [("code_execution_20250825", None), ("direct", "usage-zero")])
def test_a_call_that_a_program_makes_has_no_tokens_of_its_own(caller: str, name: str | None) -> None:
    call = {"type": "tool_use", "id": "t1", "name": "roll", "input": {"sides": 6}, "caller": {"type": caller}}
    message = {"content": [call], "stop_reason": "tool_use", "usage": {"input_tokens": 0, "output_tokens": 0}}
    events = ({"type": "message_start", "message": message}, {"type": "message_stop"})
    got = judged(b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events), dialect="messages")
    assert got.signature == name
    assert [one.from_code for one in got.tool_calls] == [name is None]
