"""DeepInfra's native stream: tokens, the end without ``[DONE]``, and errors inside a 200."""

from __future__ import annotations

import json

from kmon.dialects.assemble import Transcript
from kmon.dialects.deepinfra import DeepInfra
from kmon.dialects.delta import Delta, Usage


def sse(**members: object) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def token(text: str, **members: object) -> bytes:
    said = {"id": 1, "text": text, "logprob": -0.5, "special": False}
    return sse(**{"token": said, "generated_text": None, "details": None, **members})


END = sse(
    token={"id": None, "text": "", "logprob": 0, "special": True},
    generated_text="Hello!",
    details={"finish_reason": "stop"},
    num_output_tokens=20,
    num_input_tokens=100,
    estimated_cost=0.00001,
)


def deltas(body: bytes) -> list[Delta]:
    wire = DeepInfra().decoder()
    return wire.feed(body) + wire.end()


def only(body: bytes) -> Delta:
    (delta,) = deltas(body)
    return delta


def test_tokens_are_the_text_and_the_whole_text_at_the_end_is_not_read_twice() -> None:
    folded = Transcript()
    for delta in deltas(token("Hel", request_id="R1") + token("lo!") + END):
        folded.add(delta)
    assert (folded.text, folded.finish_reason, folded.done, folded.chunks) == ("Hello!", "stop", True, 3)
    assert (folded.usage, folded.response_id) == (Usage(100, 20, None), "R1")


def test_the_finish_reason_ends_it_without_a_sentinel_and_a_sentinel_does_no_harm() -> None:
    assert only(token("x", details={"finish_reason": "length"})).done
    assert only(token("x", generated_text="x")).done
    assert not only(token("x", generated_text="")).done
    sentinel = only(b"data: [DONE]\n\n")
    assert sentinel.done and not sentinel.chunk


def test_a_special_token_is_no_text() -> None:
    assert only(sse(token={"text": "<|im_end|>", "special": True})).kind == "other"


def test_counts_are_found_where_they_are_given() -> None:
    assert only(sse(token={"text": ""}, num_tokens=5)).usage == Usage(None, 5, None)
    assert only(sse(token={"text": ""}, details={"generated_tokens": 6})).usage == Usage(None, 6, None)
    assert only(token("x")).usage is None


def test_an_error_inside_the_stream_is_an_error() -> None:
    error = only(sse(error_type="validation_error", error_message="ConnectionError: no")).error
    assert error is not None
    assert (error.kind, error.code, error.message) == ("in-stream", "validation_error", "ConnectionError: no")
    tgi = only(sse(error="Request failed during generation", error_type="generation")).error
    assert tgi is not None and (tgi.code, tgi.message) == ("generation", "Request failed during generation")
    nested = only(sse(error={"message": "busy", "code": 503})).error
    assert nested is not None and (nested.status, nested.message) == (503, "busy")


def test_a_frame_that_cannot_be_read_is_an_error_and_decoding_goes_on() -> None:
    bad, good = deltas(b"data: {\n\n" + token("on"))
    assert bad.error is not None and bad.error.kind == "malformed-frame"
    assert good.text == "on"
