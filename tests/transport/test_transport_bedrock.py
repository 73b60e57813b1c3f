"""Promises about Bedrock: aiobotocore asks once, kmon sees every byte, and each way to fail has its own name."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kmon.stream import events as ev
from tests.support.fake_bedrock import (
    HEAD,
    KEYS,
    LAST_CHUNK,
    METADATA,
    REQUEST_ID,
    START,
    STOP,
    answer,
    exception,
    frame,
    in_chunks,
    plan,
    played,
    refusing,
    target,
    text,
)
from tests.support.loopback import Script
from tests.support.racing import outcome, racing
from tests.support.scripted_provider import provider, writing


def streaming(*parts: bytes, hold: bool = False) -> Script:
    return writing(HEAD, *map(in_chunks, parts), *([] if hold else [LAST_CHUNK]), hold=hold)


async def test_a_whole_answer_is_done_with_its_usage_ids_and_the_servers_own_time() -> None:
    result, events, _ = await played(streaming(answer("It is ", "22°C.")))
    assert (result.state, result.signature, result.text) == ("done", None, "It is 22°C.")
    assert result.finish_reason == "end_turn"
    assert result.usage is not None and result.usage.total_tokens == 13
    assert result.request_ids == {"x-amzn-requestid": REQUEST_ID, "server-latency-ms": "417"}
    phases = [event.phase for event in events if isinstance(event, ev.PhaseReached)]
    assert phases == ["dns", "connect", "request_sent"]
    assert any(isinstance(event, ev.HeadersReceived) and event.status == 200 for event in events)


async def test_exactly_one_request_is_made_and_it_says_what_the_scenario_says() -> None:
    _, _, fake = await played(streaming(answer("22")))
    (asked,) = fake.asked
    assert asked.target == "/model/moonshotai.kimi-k2.5/converse-stream"
    assert asked.headers["amz-sdk-request"].startswith("attempt=1")
    assert asked.headers["accept-encoding"] == "identity"
    assert "aiobotocore" in asked.headers["user-agent"].lower() and "kmon/" in asked.headers["user-agent"]
    assert asked.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Weather for Tokyo?"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "Getting it."},
                    {"toolUse": {"toolUseId": "abc123xyz", "name": "get_weather", "input": {"city": "Tokyo"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "abc123xyz",
                            "content": [{"text": '{"temp":22}'}],
                            "status": "success",
                        }
                    }
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "get_weather",
                        "description": "Weather",
                        "inputSchema": {"json": {"type": "object", "properties": {}}},
                    }
                }
            ]
        },
        "inferenceConfig": {"maxTokens": 100},
    }


@pytest.mark.parametrize(
    ("model", "wire"),
    [
        ("amazon.nova-pro-v1:0", "/model/amazon.nova-pro-v1%3A0/converse-stream"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x.y/converse-stream",
        ),
    ],
)
async def test_a_model_id_arrives_percent_encoded_as_it_was_signed(model: str, wire: str) -> None:
    _, _, fake = await played(streaming(answer("22")), model=model)
    assert [asked.target for asked in fake.asked] == [wire]


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_frames_split_anywhere_say_the_same(size: int) -> None:
    result, _, _ = await played(writing(HEAD, in_chunks(answer("It is ", "22"), size), LAST_CHUNK))
    assert (result.state, result.text) == ("done", "It is 22")


async def test_arrivals_are_stamped_at_the_socket_not_when_a_frame_is_whole() -> None:
    words = text("split")
    result, events, _ = await played(streaming(START, words[:30], words[30:] + STOP + METADATA))
    assert result.state == "done"
    halves = [event for event in events if isinstance(event, ev.BytesArrived)]
    assert [half.size for half in halves] == [30]
    first = next(event for event in events if isinstance(event, ev.DeltaArrived) and event.text)
    assert first.t_ns > halves[0].t_ns


async def test_a_content_type_nobody_checks_is_not_held_against_the_stream() -> None:
    head = HEAD.replace(b"application/vnd.amazon.eventstream", b"application/json")
    result, _, _ = await played(writing(head, in_chunks(answer("22")), LAST_CHUNK))
    assert result.state == "done"


async def test_another_programs_page_is_no_stream() -> None:
    page = b"<html><body>Sign in to the hotel network</body></html>"
    result, _, _ = await played(writing(HEAD.replace(b"vnd.amazon.eventstream", b"html"), in_chunks(page), LAST_CHUNK))
    assert (result.state, result.signature) == ("failed", "not-a-stream")


# -- failures inside a 200 ---------------------------------------------------------------------------------------------


async def test_an_exception_frame_is_an_error_in_the_stream_even_if_the_socket_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kmon.probe.attempt.Attempt.error_grace_s", 0.4)
    result, _, fake = await played(
        streaming(START, text("It "), exception("throttlingException", "Too many tokens"), hold=True)
    )
    assert (result.state, result.signature, result.text) == ("failed", "error-in-stream", "It ")
    assert result.error is not None
    assert (result.error.kind, result.error.code, result.error.status, result.error.message) == (
        "in-stream",
        "throttlingException",
        429,
        "Too many tokens",
    )
    assert len(fake.asked) == 1


async def test_an_exception_botocore_does_not_know_keeps_its_name_and_words() -> None:
    result, _, _ = await played(streaming(START, exception("modelTimeoutException", "the model took too long")))
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("modelTimeoutException", "the model took too long")


async def test_an_unmodelled_error_frame_is_told_from_its_headers() -> None:
    oops = frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "oops"}, b"")
    result, _, _ = await played(streaming(START, oops))
    assert (result.state, result.signature) == ("failed", "error-in-stream")
    assert result.error is not None and (result.error.code, result.error.message) == ("InternalError", "oops")


@pytest.mark.parametrize("at", [-1, -20, 9], ids=["message-checksum", "payload", "prelude-checksum"])
async def test_one_flipped_bit_fails_the_attempt_by_name(at: int) -> None:
    damaged = bytearray(text("22"))
    damaged[at] ^= 1
    result, _, fake = await played(streaming(START, bytes(damaged) + STOP + METADATA))
    assert (result.state, result.signature) == ("failed", "corrupt-frame")
    assert result.error is not None and result.error.kind == "corrupt-frame"
    assert "checksum" in result.error.message
    assert len(fake.asked) == 1


async def test_half_a_frame_and_a_clean_end_is_incomplete_and_says_where_it_broke() -> None:
    result, _, fake = await played(streaming(START, text("It is 22")[:20]))
    assert (result.state, result.signature, result.text) == ("incomplete", "truncated-no-finish", "")
    assert "inside a frame" in result.evidence
    assert len(fake.asked) == 1


async def test_a_clean_end_after_the_first_event_is_incomplete_not_done() -> None:
    result, _, fake = await played(streaming(START))
    assert (result.state, result.signature) == ("incomplete", "truncated-no-finish")
    assert "cleanly" in result.evidence
    assert len(fake.asked) == 1


async def test_a_connection_cut_in_the_middle_of_the_body_is_a_cut() -> None:
    result, _, _ = await played(writing(HEAD, in_chunks(START + text("It ")), b"40\r\nhalf"))
    assert (result.state, result.signature, result.text) == ("failed", "cut-mid-body", "It ")


async def test_silence_is_ended_by_kmons_own_limit_as_a_hang() -> None:
    async with provider(streaming(START, text("It "), hold=True)) as fake:
        results, events = await outcome(plan(target(fake.url), timeout_s=1.0, stall_s=0.2), KEYS)
    assert (results[0].state, results[0].signature) == ("timed-out", "hang-mid-stream")
    assert any(isinstance(event, ev.StallStarted) for event in events)
    assert len(fake.asked) == 1


async def test_headers_that_never_come_are_their_own_name_and_nothing_is_asked_again() -> None:
    result, _, fake = await played(writing(hold=True), timeout_s=0.6)
    assert (result.state, result.signature) == ("timed-out", "no-headers")
    assert len(fake.asked) == 1


async def test_the_end_is_the_metadata_and_the_socket_is_left_at_once() -> None:
    async with provider(streaming(answer("22"), hold=True)) as fake:
        results, events = await outcome(plan(target(fake.url)), KEYS)
        async with asyncio.timeout(10):
            await fake.left.wait()
    assert (results[0].state, results[0].signature) == ("done", None)
    done = next(event for event in events if isinstance(event, ev.DeltaArrived) and event.done)
    ended = next(event for event in events if isinstance(event, ev.AttemptEnded))
    assert ended.t_ns - done.t_ns < 400_000_000  # less than the grace an SSE stream is given


async def test_cancel_closes_the_socket() -> None:
    async with provider(streaming(START, text("It "), hold=True)) as fake:
        async with racing(plan(target(fake.url)), KEYS) as watched:
            await watched.until(lambda event: isinstance(event, ev.DeltaArrived) and bool(event.text))
            await watched.do("cancel")
            result = await watched.ended()
            async with asyncio.timeout(10):
                await fake.left.wait()
    assert (result.state, result.text) == ("cancelled", "It ")


# -- refusals before the stream ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "signature"),
    [
        ("429 Too Many Requests", "ThrottlingException", "rate-limited"),
        ("403 Forbidden", "AccessDeniedException", "http-error"),
        ("404 Not Found", "ResourceNotFoundException", "http-error"),
        ("503 Service Unavailable", "ServiceUnavailableException", "http-server-error"),
    ],
)
async def test_a_refusal_keeps_its_status_code_and_words_and_is_not_retried(
    status: str, code: str, signature: str
) -> None:
    result, _, fake = await played(writing(refusing(status, code, "not like this")))
    assert (result.state, result.signature) == ("failed", signature)
    assert result.error is not None
    assert (result.error.kind, result.error.status, result.error.code) == ("http", int(status[:3]), code)
    assert "not like this" in result.error.message
    assert result.request_ids == {"x-amzn-requestid": REQUEST_ID}
    assert [asked.headers["amz-sdk-request"][:9] for asked in fake.asked] == ["attempt=1"]


async def test_a_port_where_nobody_listens_is_a_connect_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        results, _ = await outcome(plan(target(url)), KEYS)
    assert (results[0].state, results[0].signature) == ("failed", "connect-failure")
    assert results[0].error is not None and "connection refused" in results[0].error.message


async def test_a_body_member_bedrock_does_not_have_is_refused_before_it_is_sent() -> None:
    result, _, fake = await played(streaming(answer("22")), body={"temprature": 1})
    assert (result.state, result.signature) == ("failed", "not-sent")
    assert result.error is not None and "temprature" in result.error.message
    assert fake.asked == []
