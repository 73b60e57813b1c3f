"""Bedrock ConverseStream: what each event and each kind of failure means."""

from __future__ import annotations

import pytest

from kmon.dialects.assemble import Transcript
from kmon.dialects.converse import Converse, converse_delta
from kmon.dialects.delta import Delta, ServerTool, ToolCall, Usage
from tests.support.event_frames import frame


def deltas(body: bytes) -> list[Delta]:
    wire = Converse().decoder()
    return wire.feed(body) + wire.end()


def only(body: bytes) -> Delta:
    (delta,) = deltas(body)
    return delta


def piece(index: int, **delta: object) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcdefgh"})


def test_a_whole_answer() -> None:
    body = b"".join(
        [
            frame("messageStart", {"role": "assistant"}),
            piece(0, reasoningContent={"text": "hm"}),
            piece(0, reasoningContent={"signature": "c2ln"}),
            piece(1, text="Okay"),
            frame("contentBlockStop", {"contentBlockIndex": 1}),
            frame(
                "contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "w"}}}
            ),
            piece(2, toolUse={"input": ""}),
            piece(2, toolUse={"input": '{"a":'}),
            piece(2, toolUse={"input": "1}"}),
            frame("messageStop", {"stopReason": "tool_use"}),
            frame(
                "metadata",
                {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 9}},
            ),
        ]
    )
    folded = Transcript()
    for delta in deltas(body):
        folded.add(delta)
    assert (folded.reasoning, folded.text, folded.finish_reason) == ("hm", "Okay", "tool_use")
    assert folded.tool_calls == (ToolCall("t1", "w", '{"a":1}'),)
    assert (folded.usage, folded.done, folded.chunks, folded.error) == (Usage(1, 2, 3), True, 11, None)


def test_prompt_tokens_include_what_was_read_from_a_cache_and_written_to_it() -> None:
    counts = {"inputTokens": 2, "outputTokens": 3, "totalTokens": 45, "cacheReadInputTokens": 30}
    usage = converse_delta("metadata", {"usage": counts | {"cacheWriteInputTokens": 10}}).usage
    assert usage == Usage(42, 3, 45, cached_tokens=30, cache_write_tokens=10)
    assert converse_delta("metadata", {"usage": counts}).usage == Usage(32, 3, 45, cached_tokens=30)


def test_the_stop_is_not_the_end_metadata_is() -> None:
    assert not only(frame("messageStop", {"stopReason": "end_turn"})).done
    assert only(frame("metadata", {})).done


def test_an_exception_frame_is_an_error_with_its_status() -> None:
    error = only(frame("throttlingException", {"message": "slow down"}, kind="exception")).error
    assert error is not None
    assert (error.kind, error.message, error.status, error.code) == (
        "in-stream",
        "slow down",
        429,
        "throttlingException",
    )


def test_an_unmodelled_error_is_told_from_its_headers() -> None:
    headers = {":error-code": "InternalError", ":error-message": "oops"}
    error = only(frame("", b"", kind="error", headers=headers)).error
    assert error is not None
    assert (error.message, error.code) == ("oops", "InternalError")


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"\xff"])
def test_a_payload_that_is_no_object_is_malformed_and_decoding_goes_on(payload: bytes) -> None:
    bad, good = deltas(frame("contentBlockDelta", payload) + piece(0, text="on"))
    assert bad.error is not None
    assert bad.error.kind == "malformed-frame"
    assert good.text == "on"


def test_a_corrupt_frame_is_an_error_and_the_next_is_read() -> None:
    corrupt = bytearray(piece(0, text="lost"))
    corrupt[-1] ^= 1
    bad, good = deltas(bytes(corrupt) + piece(0, text="kept"))
    assert bad.error is not None
    assert (bad.error.kind, good.text) == ("corrupt-frame", "kept")


def test_a_frame_cut_off_by_the_end_is_malformed_and_text_in_place_of_frames_is_no_stream() -> None:
    (cut,) = deltas(piece(0, text="lost")[:20])
    assert cut.error is not None and cut.error.kind == "malformed-frame"
    for body in (b"<html><body>hotel</body></html>", b"{}", b'{"message":"no"}'):
        (page,) = deltas(body)
        assert page.error is not None and page.error.kind == "not-a-stream"


@pytest.mark.parametrize(
    ("metrics", "server_ms"), [({"latencyMs": 417}, 417.0), ({}, None), ({"latencyMs": "x"}, None)]
)
def test_the_servers_own_time_is_kept(metrics: dict[str, object], server_ms: float | None) -> None:
    assert only(frame("metadata", {"metrics": metrics})).server_ms == server_ms


def test_unknown_events_and_blocks_are_chunks_without_meaning() -> None:
    for body in (
        frame("surprise", {}),
        piece(0, citation={}),
        frame("contentBlockStart", {"start": {"toolResult": {}}}),
    ):
        assert only(body).kind == "other"


def test_a_call_that_bedrock_runs_itself_is_a_tool_of_the_server() -> None:
    use = {"toolUseId": "t", "name": "nova_code_interpreter"}
    own = only(frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": use}}))
    assert (own.tools[0].name, own.server_tools) == ("nova_code_interpreter", ())
    run = {**use, "type": "server_tool_use"}
    there = only(frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": run}}))
    assert there.tools == own.tools
    assert there.server_tools == (ServerTool("server_tool_use", "nova_code_interpreter"),)
