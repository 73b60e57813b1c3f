"""OpenAI Responses: what an answer says, whatever server sends it; each rule with the stream that does not need it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ServerTool, ToolCall, Usage
from kmon.dialects.responses import Responses


def event(kind: str, **members: object) -> bytes:
    return f"event: response.{kind}\ndata: {json.dumps({'type': f'response.{kind}', **members})}\n\n".encode()


def added(index: int, **item: object) -> bytes:
    return event("output_item.added", output_index=index, item=item)


def ended(index: int, **item: object) -> bytes:
    return event("output_item.done", output_index=index, item=item)


def words(index: int, delta: str, **more: object) -> bytes:
    return event("output_text.delta", output_index=index, item_id=f"i{index}", content_index=0, delta=delta, **more)


def arguments(index: int, delta: str, item_id: str = "") -> bytes:
    return event("function_call_arguments.delta", output_index=index, item_id=item_id or f"i{index}", delta=delta)


def completed(*output: object, status: str = "completed", **more: object) -> bytes:
    answer = {"id": "resp_1", "model": "gpt-5", "status": status, "output": output, **more}
    return event(status, response=answer)


def message(*parts: object) -> dict[str, Any]:
    return {"type": "message", "id": "i0", "content": parts}


def part(text: str) -> dict[str, str]:
    return {"type": "output_text", "text": text}


def call(name: str, given: str, call_id: str = "c1") -> dict[str, str]:
    return {"type": "function_call", "id": "i0", "call_id": call_id, "name": name, "arguments": given}


CREATED = event("created", response={"id": "resp_1", "model": "gpt-5", "status": "in_progress", "usage": None})
MESSAGE = added(0, type="message", id="i0", content=[])


def deltas(body: bytes) -> list[Delta]:
    wire = Responses().decoder()
    return wire.feed(body) + wire.end()


def folded(*body: bytes) -> Transcript:
    transcript = Transcript()
    for delta in deltas(b"".join(body)):
        transcript.add(delta)
    return transcript


def test_text_usage_model_and_the_end() -> None:
    usage = {
        "input_tokens": 30, "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 4},
        "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 39,
    }  # fmt: skip
    got = folded(CREATED, MESSAGE, words(0, "Hel"), words(0, "lo", obfuscation="x7"), completed(usage=usage))
    assert (got.text, got.finish_reason, got.done, got.error) == ("Hello", "completed", True, None)
    assert (got.response_id, got.model) == ("resp_1", "gpt-5")
    assert got.usage == Usage(30, 9, 39, reasoning_tokens=5, cached_tokens=20, cache_write_tokens=4)


def test_what_deltas_said_is_said_once() -> None:
    whole = message(part("Hello"))
    got = folded(
        MESSAGE,
        words(0, "Hello"),
        event("output_text.done", output_index=0, content_index=0, text="Hello"),
        event("content_part.done", output_index=0, content_index=0, part=part("Hello")),
        ended(0, **whole),
        completed(whole),
    )
    assert got.text == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        (MESSAGE, event("output_text.done", output_index=0, content_index=0, text="Hello")),
        (MESSAGE, event("content_part.done", output_index=0, content_index=0, part=part("Hello"))),
        (MESSAGE, ended(0, **message(part("Hel"), part("lo")))),
        (ended(0, **message(part("Hello"))),),
        (completed(message(part("Hello"))),),
    ],
    ids=["text done", "part done", "item done", "item done alone", "answer"],
)
def test_without_deltas_the_next_event_with_the_words_says_them(body: tuple[bytes, ...]) -> None:
    got = folded(*body, completed(message(part("Hello"))))
    assert got.text == "Hello"


def test_two_messages_are_joined_and_a_second_part_is_not_lost() -> None:
    second = event("output_text.done", output_index=0, content_index=1, text=" two")
    got = folded(MESSAGE, words(0, "one"), second, added(1, type="message", id="i1"), words(1, " three"), completed())
    assert got.text == "one two three"


def test_a_refusal_is_no_text_and_is_progress() -> None:
    piece = event("refusal.delta", output_index=0, content_index=0, delta="I cannot.")
    whole = message({"type": "refusal", "refusal": "I cannot."})
    got = folded(MESSAGE, piece, ended(0, **whole), completed(whole))
    assert (got.text, got.refusal) == ("", "I cannot.")
    assert [(delta.kind, delta.progress) for delta in deltas(piece)] == [("text", True)]
    assert folded(completed(whole)).refusal == "I cannot."


def test_calls_with_arguments_in_pieces_side_by_side() -> None:
    got = folded(
        added(0, **call("get", "")),
        added(1, **call("put", "", "c2")),
        arguments(1, '{"a":'),
        arguments(0, "{}"),
        arguments(1, "1}"),
        event("function_call_arguments.done", output_index=1, arguments='{"a":1}'),
        ended(0, **call("get", "{}")),
        ended(1, **call("put", '{"a":1}', "c2")),
        completed(call("get", "{}"), call("put", '{"a":1}', "c2")),
    )
    assert got.tool_calls == (ToolCall("c1", "get", "{}"), ToolCall("c2", "put", '{"a":1}'))
    assert got.finish_reason == "completed"


@pytest.mark.parametrize(
    "body",
    [
        (added(0, **call("get", "")), event("function_call_arguments.done", output_index=0, arguments='{"a":1}')),
        (added(0, **call("get", "")), ended(0, **call("get", '{"a":1}'))),
        (ended(0, **call("get", '{"a":1}')),),
        (),
    ],
    ids=["arguments done", "item done", "item done alone", "answer"],
)
def test_arguments_without_deltas(body: tuple[bytes, ...]) -> None:
    got = folded(*body, completed(call("get", '{"a":1}')))
    assert got.tool_calls == (ToolCall("c1", "get", '{"a":1}'),)


def test_calls_that_only_their_end_announces_are_told_apart_at_one_index() -> None:
    body = ended(0, **call("get", "{}", "c1")) + ended(0, **call("put", "{}", "c2"))
    assert [one.name for one in folded(body, completed()).tool_calls] == ["get", "put"]


def test_an_item_is_its_index_whatever_its_id() -> None:
    rotating = [
        event("output_text.delta", output_index=0, item_id=f"x{n}", content_index=0, delta=piece)
        for n, piece in enumerate(["a", "b", "c"])
    ]
    got = folded(MESSAGE, *rotating, event("output_text.done", output_index=0, item_id="x9", text="abc"), completed())
    assert got.text == "abc"


def test_without_an_index_the_id_names_the_item() -> None:
    def piece(item_id: str, delta: str) -> bytes:
        return event("function_call_arguments.delta", item_id=item_id, delta=delta)

    opened = [event("output_item.added", item={**call(name, "", name), "id": name}) for name in ("get", "put")]
    got = folded(*opened, piece("get", "{}"), piece("put", "[]"), completed())
    assert [one.arguments for one in got.tool_calls] == ["{}", "[]"]


def test_a_custom_tool_takes_free_text() -> None:
    item = {"type": "custom_tool_call", "id": "i0", "call_id": "c1", "name": "sql", "input": ""}
    piece = event("custom_tool_call_input.delta", output_index=0, item_id="i0", delta="SELECT 1")
    got = folded(added(0, **item), piece, ended(0, **item | {"input": "SELECT 1"}), completed())
    assert got.tool_calls == (ToolCall("c1", "sql", "SELECT 1", free_form=True),)


def test_tools_of_the_server_are_no_calls_whatever_their_type() -> None:
    search = {"type": "web_search_call", "id": "i0"}
    mcp = {"type": "mcp_call", "id": "i1", "name": "look", "arguments": ""}
    new = {"type": "telepathy_call", "id": "i2"}
    own = event("mcp_call_arguments.delta", output_index=1, item_id="i1", delta="{}")
    got = folded(added(0, **search), ended(0, **search), added(1, **mcp), own, added(2, **new), completed(search, mcp))
    used = (ServerTool("web_search_call"), ServerTool("mcp_call", "look"), ServerTool("telepathy_call"))
    assert (got.tool_calls, got.server_tools) == ((), used)
    assert folded(completed(search)).server_tools == (ServerTool("web_search_call"),)
    assert folded(added(0, type="compaction"), added(1, type="program"), completed()).server_tools == ()


def test_reasoning_is_its_text_else_its_summaries() -> None:
    summary = [
        event("reasoning_summary_text.delta", output_index=0, summary_index=n, delta=said)
        for n, said in enumerate("ab")
    ]
    item = {"type": "reasoning", "id": "i0", "summary": [{"type": "summary_text", "text": "ab"}]}
    assert folded(added(0, type="reasoning"), *summary, ended(0, **item), completed(item)).reasoning == "ab"
    raw = item | {"content": [{"type": "reasoning_text", "text": "thought"}]}
    assert folded(ended(0, **raw), completed()).reasoning == "thought"
    assert folded(completed(item)).reasoning == "ab"


@pytest.mark.parametrize(
    ("status", "more", "finish"),
    [
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ("incomplete", {"incomplete_details": None}, "incomplete"),
        ("completed", {"incomplete_details": None}, "completed"),
    ],
)
def test_the_finish_reason_is_the_status_or_why_it_is_incomplete(
    status: str, more: dict[str, object], finish: str
) -> None:
    got = folded(MESSAGE, words(0, "Hi"), completed(status=status, **more))
    assert (got.finish_reason, got.done, got.error) == (finish, True, None)


def test_a_failed_and_a_cancelled_answer_are_ends_and_errors() -> None:
    got = folded(MESSAGE, completed(status="failed", error={"code": "server_error", "message": "broke"}))
    assert got.error is not None
    assert (got.done, got.finish_reason, got.error.code, got.error.message) == (True, "failed", "server_error", "broke")
    got = folded(MESSAGE, completed(status="failed", error=None))
    assert got.error is not None
    assert "without a reason" in got.error.message
    got = folded(MESSAGE, completed(status="cancelled"))
    assert got.error is not None
    assert (got.done, got.finish_reason, got.error.code) == (True, "cancelled", "cancelled")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('event: error\ndata: {"type":"error","code":"slow_down","message":"wait","sequence_number":3}\n\n', None),
        ('data: {"type":"error","error":{"type":"x","code":"slow_down","message":"wait"}}\n\n', None),
        ('data: {"type":"error","status":429,"error":{"code":"slow_down","message":"wait"}}\n\n', 429),
        ('event: error\ndata: {"type":"slow_down","message":"wait"}\n\n', None),
        ('data: {"error":{"code":"slow_down","message":"wait"}}\n\n', None),
    ],
    ids=["flat", "nested", "nested with status", "named by the event", "bare"],
)
def test_an_error_event_in_every_form_is_an_error_and_no_end(body: str, status: int | None) -> None:
    got = folded(MESSAGE, words(0, "Hi"), body.encode())
    assert got.error is not None
    assert (got.error.kind, got.error.code, got.error.message, got.error.status) == (
        "in-stream", "slow_down", "wait", status,
    )  # fmt: skip
    assert (got.text, got.done, got.finish_reason) == ("Hi", False, None)


def test_a_text_about_errors_is_no_error() -> None:
    assert folded(MESSAGE, words(0, '{"error": {"code": 500}}'), completed(error=None)).error is None


def test_unknown_events_are_chunks_without_meaning_and_a_keepalive_is_life() -> None:
    unknown, alive = deltas(event("teleport.delta", delta="x") + b'data: {"type":"keepalive","sequence_number":4}\n\n')
    assert (unknown.kind, unknown.progress, unknown.chunk) == ("other", False, True)
    assert (alive.keepalive, alive.progress) == (True, False)


def test_a_sentinel_after_the_end_changes_nothing() -> None:
    got = folded(MESSAGE, words(0, "Hi"), completed(), b"data: [DONE]\n\n")
    assert (got.text, got.done, got.error, got.malformed_frames) == ("Hi", True, None, 0)


def test_a_stream_that_is_taken_up_in_the_middle() -> None:
    got = folded(words(0, "lo"), arguments(1, "{}"), completed(message(part("Hello"))))
    assert (got.text, got.done) == ("lo", True)


def test_a_body_that_is_cut_has_no_end() -> None:
    got = folded(MESSAGE, words(0, "Hi"), completed()[:-9])
    assert (got.text, got.done, got.finish_reason) == ("Hi", False, None)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_a_whole_answer(status: str) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    value = {
        "id": "resp_1", "object": "response", "model": "gpt-5", "status": status, "usage": usage,
        "error": {"code": "server_error", "message": "broke"} if status == "failed" else None,
        "output": [message(part("Hi")), call("get", "{}")],
    }  # fmt: skip
    got = Responses().whole_answer(json.dumps(value).encode())
    assert got is not None
    assert (got.text, got.finish_reason, got.done, got.usage) == ("Hi", status, True, Usage(3, 2, 5))
    assert [(one.id, one.name, one.arguments) for one in got.tools] == [("c1", "get", "{}")]
    assert (got.error is None) == (status != "failed")


def work(body: bytes) -> list[str | None]:
    return [delta.hidden_work for delta in deltas(body)]


def test_hidden_work_lasts_from_the_beginning_of_an_item_to_its_end() -> None:
    thought, search = {"type": "reasoning", "id": "i0"}, {"type": "web_search_call", "id": "i1"}
    body = added(0, **thought) + ended(0, **thought) + added(1, **search) + event("web_search_call.searching")
    assert work(body + ended(1, **search)) == ["reasoning", "none", "server-tool", None, "none"]
    assert work(MESSAGE + words(0, "Hi") + ended(0, **message(part("Hi")))) == [None, None, None]


def test_reasoning_is_not_hidden_while_a_part_of_it_is_sent() -> None:
    def piece(kind: str, **more: str) -> bytes:
        return event(f"reasoning_summary_text.{kind}", output_index=0, summary_index=0, **more)

    body = added(0, type="reasoning", id="i0") + piece("delta", delta="hm") + piece("done", text="hm")
    assert work(body + ended(0, type="reasoning", id="i0")) == ["reasoning", "none", "reasoning", "none"]


def test_words_of_another_item_end_hidden_work_whose_end_was_not_sent() -> None:
    thought = added(0, type="reasoning", id="i0")
    assert work(thought + added(1, type="message", id="i1")) == ["reasoning", "none"]
    assert work(thought + words(1, "Hi")) == ["reasoning", "none"]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/responses", True),
        ("/backend-api/codex/responses", True),
        ("/v1/responses/resp_0a1b", True),
        ("/v1/responses/input_tokens", False),
        ("/v1/chat/completions", False),
    ],
)
def test_the_paths_of_an_answer(path: str, known: bool) -> None:
    assert (Responses().route(path) is not None) == known


def test_the_conversation_of_a_request_for_the_proxy() -> None:
    asked = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            call("get", "{}"),
            {"type": "function_call_output", "call_id": "c1", "output": "22"},
        ],
        "tools": [{"type": "function", "name": "get"}, {"type": "web_search"}],
    }
    turns = Responses().turns(asked)
    assert [turn.get("role") for turn in turns if isinstance(turn, dict)] == ["system", "user", None, "tool"]
    assert Responses().turns({"input": "Hi"}) == [{"role": "user", "content": "Hi"}]
    assert Responses().tool_names(asked) == ["get", ""]


def test_the_tools_of_a_request_are_also_those_that_its_input_adds_and_those_of_a_namespace() -> None:
    look = {"type": "function", "name": "look", "parameters": {}}
    group = {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}
    added = {"type": "additional_tools", "role": "developer", "tools": [group]}
    asked = {"tools": [look, {"type": "web_search"}], "input": [added, {"role": "user", "content": "hello"}]}
    assert set(Responses().tool_names(asked)) == {"look", "", "functions", "exec"}
    assert Responses().tool_names({"input": "hello"}) == []
    assert Responses().tool_names({"tools": 7, "input": [{"tools": {"a": 1}}, 8, None]}) == []
