"""Anthropic Messages: what each event means, and that a ping is life and never progress."""

from __future__ import annotations

import json

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ToolCall, Usage
from kmon.dialects.messages import Messages


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def start(**usage: int) -> bytes:
    return event("message_start", message={"id": "msg_1", "model": "k3", "role": "assistant", "usage": usage})


def piece(index: int, kind: str, **delta: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **delta})


def block(index: int, **content: object) -> bytes:
    return event("content_block_start", index=index, content_block=content)


STOP = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7})
END = event("message_stop")


def deltas(body: bytes) -> list[Delta]:
    wire = Messages().decoder()
    return wire.feed(body) + wire.end()


def only(body: bytes) -> Delta:
    (delta,) = deltas(body)
    return delta


def folded(body: bytes) -> Transcript:
    transcript = Transcript()
    for delta in deltas(body):
        transcript.add(delta)
    return transcript


def test_a_whole_answer_with_thoughts_text_and_a_tool_call() -> None:
    said = folded(
        start(input_tokens=12, output_tokens=1)
        + event("ping")
        + block(0, type="thinking", thinking="")
        + piece(0, "thinking_delta", thinking="hm")
        + piece(0, "signature_delta", signature="c2ln")
        + event("content_block_stop", index=0)
        + block(1, type="text", text="")
        + piece(1, "text_delta", text="Okay")
        + block(2, type="tool_use", id="toolu_1", name="get_weather", input={})
        + piece(2, "input_json_delta", partial_json="")
        + piece(2, "input_json_delta", partial_json='{"city":')
        + piece(2, "input_json_delta", partial_json='"Tokyo"}')
        + STOP
        + END
    )
    assert (said.reasoning, said.text, said.finish_reason, said.done) == ("hm", "Okay", "tool_use", True)
    assert said.tool_calls == (ToolCall("toolu_1", "get_weather", '{"city":"Tokyo"}'),)
    assert (said.response_id, said.model, said.error) == ("msg_1", "k3", None)


def test_input_tokens_come_first_output_tokens_last_and_both_are_kept() -> None:
    said = folded(start(input_tokens=12, output_tokens=1, cache_read_input_tokens=3) + STOP)
    assert said.usage == Usage(15, 7, None, cached_tokens=3)
    repeated = event("message_delta", delta={}, usage={"input_tokens": 13, "output_tokens": 8})
    assert folded(start(input_tokens=12) + STOP + repeated).usage == Usage(13, 8, None)


def test_prompt_tokens_include_what_was_read_from_a_cache_and_written_to_it() -> None:
    counts = {"input_tokens": 12, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 5}
    repeated = event("message_delta", delta={}, usage={"input_tokens": 13, "output_tokens": 8})
    expected = Usage(48, 8, None, cached_tokens=30, cache_write_tokens=5)
    assert folded(start(**counts) + repeated).usage == expected
    assert folded(start(input_tokens=12) + repeated).usage == Usage(13, 8, None)


def test_a_ping_is_life_and_not_progress() -> None:
    ping = only(event("ping"))
    assert (ping.kind, ping.keepalive, ping.progress, ping.done) == ("keepalive", True, False, False)


def test_events_that_say_nothing_are_chunks_without_progress() -> None:
    for body in (block(0, type="text", text=""), event("content_block_stop", index=0), event("surprise")):
        assert (only(body).kind, only(body).progress) == ("other", False)


def test_the_stop_reason_is_kept_as_it_is_and_is_not_the_end() -> None:
    delta = only(event("message_delta", delta={"stop_reason": "model_context_window_exceeded"}, usage={}))
    assert (delta.finish_reason, delta.done) == ("model_context_window_exceeded", False)
    assert only(END).done


@pytest.mark.parametrize(
    ("kind", "status"), [("overloaded_error", 529), ("rate_limit_error", 429), ("new_error", None)]
)
def test_an_error_event_is_an_error_with_its_type_words_and_status(kind: str, status: int | None) -> None:
    error = only(event("error", error={"type": kind, "message": "Overloaded"})).error
    assert error is not None
    assert (error.kind, error.code, error.message, error.status) == ("in-stream", kind, "Overloaded", status)
    assert error.frame is not None and kind in error.frame


def test_an_event_without_a_type_is_told_by_its_name() -> None:
    assert only(b"event: message_stop\ndata: {}\n\n").done
    assert only(b'event: error\ndata: {"error":{"message":"no"}}\n\n').error is not None


def test_a_frame_that_cannot_be_read_is_an_error_and_decoding_goes_on() -> None:
    bad, good = deltas(b'event: content_block_delta\ndata: {"type":\n\n' + piece(0, "text_delta", text="on"))
    assert bad.error is not None and bad.error.kind == "malformed-frame"
    assert good.text == "on"
