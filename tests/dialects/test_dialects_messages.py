"""Anthropic Messages: what each event means, and that a ping is life and never progress."""

from __future__ import annotations

import json

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ServerTool, ToolCall, Usage
from kmon.dialects.dialect import Route
from kmon.dialects.messages import Messages
from kmon.model import PromptMessage, Scenario, Target
from kmon.recording.sniff import dialect_of


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


def called(index: int, kind: str, *pieces: str, **content: object) -> bytes:
    streamed = b"".join(piece(index, "input_json_delta", partial_json=part) for part in pieces)
    return block(index, type=kind, **content) + streamed + event("content_block_stop", index=index)


FOX = {"id": "t1", "name": "find"}


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [
        ({}, ['{"q":', '"fox"}'], '{"q":"fox"}'),
        ({"q": "fox"}, [], '{"q":"fox"}'),
        ({"q": "fox"}, ["", '{"q":"fox"}'], '{"q":"fox"}'),
        ({"q": "fox"}, [""], '{"q":"fox"}'),
        ({}, [""], ""),
    ],
    ids=["streamed", "at its start", "both", "an empty piece", "none"],
)
def test_the_input_of_a_call_is_streamed_or_given_at_its_start_and_never_twice(
    given: dict[str, str], pieces: list[str], arguments: str
) -> None:
    whole = called(0, "tool_use", *pieces, **FOX, input=given)
    assert folded(start() + whole + STOP + END).tool_calls == (ToolCall("t1", "find", arguments),)
    unstopped = whole.removesuffix(event("content_block_stop", index=0))
    assert folded(start() + unstopped + STOP + END).tool_calls == (ToolCall("t1", "find", arguments),)


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use", "new_tool_use"])
def test_a_tool_that_runs_at_the_provider_is_no_call_and_its_input_is_no_output(kind: str) -> None:
    body = called(0, kind, '{"q":"fox"}', **FOX, input={})
    assert not any(delta.progress for delta in deltas(body))
    result = block(1, type="web_search_tool_result", tool_use_id="t1", content=[{"type": "text", "text": "a canid"}])
    said = folded(start() + body + result + block(2, type="text", text="A fox.") + STOP + END)
    assert (said.tool_calls, said.server_tools) == ((), (ServerTool(kind, "find"),))
    assert said.text == "A fox."


def test_a_call_of_the_client_beside_one_of_the_provider_is_kept() -> None:
    body = called(0, "server_tool_use", "{}", **FOX) + called(1, "tool_use", '{"a":1}', id="t2", name="weigh")
    assert folded(body).tool_calls == (ToolCall("t2", "weigh", '{"a":1}'),)


def hidden(body: bytes) -> list[str]:
    return [delta.hidden_work for delta in deltas(body) if delta.hidden_work is not None]


def test_the_provider_is_at_work_from_the_use_of_its_tools_until_all_their_results() -> None:
    uses = called(0, "server_tool_use", "{}", **FOX) + called(1, "server_tool_use", "{}", id="t3", name="find")
    results = [
        block(n, type="web_search_tool_result", tool_use_id=use, content=[]) for n, use in ((2, "t3"), (3, "t1"))
    ]
    assert hidden(uses + results[0]) == ["server-tool"]
    assert hidden(uses + b"".join(results)) == ["server-tool", "none"]
    assert hidden(uses + block(2, type="text", text="")) == ["server-tool", "none"]
    assert hidden(uses + STOP) == ["server-tool", "none"]
    assert hidden(called(0, "tool_use", "{}", **FOX)) == []


def test_thinking_is_hidden_until_words_of_it_come() -> None:
    begun = block(0, type="thinking", thinking="")
    assert hidden(begun + piece(0, "signature_delta", signature="c2ln")) == ["reasoning"]
    assert hidden(begun + piece(0, "thinking_delta", thinking="hm")) == ["reasoning", "none"]
    assert hidden(begun + event("content_block_stop", index=0)) == ["reasoning", "none"]
    assert folded(block(0, type="redacted_thinking", data="AA")).reasoning == ""


def test_citations_and_compaction_are_no_text() -> None:
    cited = piece(0, "citations_delta", citation={"type": "char_location", "cited_text": "fox"})
    assert folded(block(0, type="text", text="A") + cited + piece(0, "text_delta", text=" fox")).text == "A fox"
    assert folded(block(0, type="compaction", content="sum") + piece(0, "compaction_delta", content="sum")).text == ""


def test_a_message_may_be_whole_in_its_start() -> None:
    content = [{"type": "text", "text": "On it."}, {"type": "tool_use", **FOX, "input": {"q": "fox"}}]
    message = {"id": "msg_1", "model": "k3", "content": content, "stop_reason": "tool_use", "usage": {}}
    said = folded(event("message_start", message=message) + END)
    assert (said.text, said.finish_reason, said.done) == ("On it.", "tool_use", True)
    assert said.tool_calls == (ToolCall("t1", "find", '{"q":"fox"}'),)


def test_a_message_in_one_event_was_not_streamed() -> None:
    whole = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    body = f"data: {json.dumps(whole | {'stop_reason': 'end_turn'})}\n\n".encode()
    said = folded(body)
    assert (said.text, said.finish_reason, said.done, said.unstreamed) == ("Hi", "end_turn", True, True)


def test_the_dialect_is_known_by_the_names_of_the_events_alone() -> None:
    assert dialect_of("", b'event: content_block_delta\ndata: {"index":0,"delta":{"text":"a"}}\n\n') == "messages"
    assert dialect_of("", b'event: content_block_delta\ndata: {"type":"x","choices":[]}\n\n') == "chat"


def test_a_refusal_has_its_explanation_apart_from_the_text() -> None:
    told = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Not this."}}
    said = folded(start() + event("message_delta", delta=told, usage={}) + END)
    assert (said.text, said.refusal, said.finish_reason) == ("", "Not this.", "refusal")


def test_an_error_without_a_type_is_an_error_and_an_event_without_one_is_none() -> None:
    error = only(b'data: {"error":{"type":"api_error","message":"lost"}}\n\n').error
    assert error is not None and (error.message, error.status) == ("lost", 500)
    assert only(b'data: {"error":null}\n\n').error is None


def test_reasoning_is_counted_where_the_provider_counts_it() -> None:
    counts = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    assert folded(start(input_tokens=3) + event("message_delta", delta={}, usage=counts)).usage == Usage(3, 9, None, 4)


def test_a_whole_answer_is_read_by_the_same_rules() -> None:
    content = [{"type": "server_tool_use", **FOX, "input": {}}, {"type": "text", "text": "A fox."}]
    usage = {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 5}
    delta = Messages().whole({"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage})
    assert (delta.text, delta.tools, delta.server_tools) == ("A fox.", (), (ServerTool("server_tool_use", "find"),))
    assert delta.usage == Usage(5, 5, None, cached_tokens=2)


VERTEX = "https://eu-aiplatform.googleapis.com/v1/projects/p/locations/eu/publishers/anthropic/models"


def test_the_model_and_the_operation_are_in_the_path_at_vertex() -> None:
    path = VERTEX.partition(".com")[2]
    assert Messages().route(f"{path}/claude-x%4020250101:streamRawPredict") == Route("claude-x@20250101", True)
    assert Messages().route(f"{path}/claude-x:rawPredict") == Route("claude-x", False)
    assert Messages().route(path.replace("anthropic", "mistralai") + "/m:streamRawPredict") is None
    asked = Scenario(name="s", messages=(PromptMessage(role="user", content="Hi"),), max_tokens=9)
    target = Target(name="v", provider="v", model="claude-x@20250101", dialect="messages", base_url=VERTEX)
    request = Messages().request(target, asked, asked.messages)
    body = json.loads(request.body)
    assert request.path == "/claude-x@20250101:streamRawPredict"
    assert "model" not in body and body["anthropic_version"] == "vertex-2023-10-16"
    assert "anthropic-version" not in request.headers
