"""Every fault does on the wire what its name says, as a plain socket reads it."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from kmon.simulator.faults.registry import FAULTS
from kmon.simulator.http import chunk
from kmon.simulator.server import Simulator
from tests.support.talk import RESET, Body, answered, chunks, events, raw_bytes, raw_request, read_all, text

CUT = ":after_tokens=20"
DONE = b"data: [DONE]\n\n"


async def test_a_smooth_stream_is_role_tokens_finish_usage_done(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
    first, *middle, finish, usage = events(answer)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(event["choices"][0]["finish_reason"] is None for event in middle)
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(middle)
    assert chunks(answer)[-2:] == [DONE, b""]
    assert "class ExpiringCache" in text(answer)


async def test_usage_comes_only_when_asked_for(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body | {"stream_options": None})
    assert not any(event.get("usage") for event in events(answer))


async def test_a_plain_request_gets_one_json_document(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{sim.base_url('together')}/chat/completions", json=body | {"stream": False})
    assert answer.headers["content-type"] == "application/json"
    choice = answer.json()["choices"][0]
    assert "class ExpiringCache" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert answer.json()["usage"]["total_tokens"] > 500


@pytest.mark.parametrize("fault", ["stall:duration_s=2..4", "slow-bursts", "slow-first-token"])
async def test_a_late_answer_is_still_the_whole_answer(fault: str, sim: Simulator, body: Body) -> None:
    assert text(await answered(sim, body, fault)) == text(await answered(sim, body))


async def test_hang_mid_stream_stays_open_after_its_tokens(sim: Simulator, body: Body) -> None:
    async with raw_request(sim, body, f"hang-mid-stream{CUT}") as (reader, writer):
        seen = b""
        while len(events(seen)) < 21:
            seen += await reader.read(65_536)
        sim_side = sim.request_log.report(stamps=False)["requests"][-1]
        assert (sim_side["ended"], sim_side["chunks"]) == ("open", 21)
        assert not writer.is_closing()


async def test_no_headers_sends_not_one_byte(sim: Simulator, body: Body) -> None:
    async with raw_request(sim, body, "no-headers"):
        async with asyncio.timeout(20):
            while not sim.request_log.requests:
                await asyncio.sleep(0.01)
        row = sim.request_log.report(stamps=False)["requests"][-1]
        assert (row["bytes"], row["ended"], row["fault"]) == (0, "open", "no-headers")


async def test_headers_then_nothing_sends_no_body(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "headers-then-nothing", until=b"\r\n\r\n")
    assert b"200 OK" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_keepalives_only_says_some_tokens_and_then_comments(sim: Simulator, body: Body) -> None:
    comment = b": OPENROUTER PROCESSING\n\n"
    answer = await answered(sim, body, f"keepalives-only{CUT}", until=chunk(comment) * 2)
    pieces = chunks(answer)
    first = pieces.index(comment)
    assert first == 21
    assert set(pieces[first:]) == {comment}


async def test_slow_first_token_keeps_the_line_alive_meanwhile(sim: Simulator, body: Body) -> None:
    pieces = chunks(await answered(sim, body, "slow-first-token:duration_s=5,every_s=1"))
    assert pieces[:4] == [b": OPENROUTER PROCESSING\n\n"] * 4
    assert pieces[-2:] == [DONE, b""]


async def test_truncated_no_finish_ends_cleanly_in_the_middle(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, f"truncated-no-finish{CUT}")
    assert chunks(answer)[-1] == b""
    assert len(events(answer)) == 21
    assert DONE not in answer
    assert b'"finish_reason":"' not in answer


async def test_finish_without_done_lacks_only_done(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "finish-without-done")
    assert b'"finish_reason":"stop"' in answer
    assert DONE not in answer
    assert chunks(answer)[-1] == b""


async def test_reset_mid_chunk_cuts_a_chunk_and_resets(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, f"reset-mid-chunk{CUT}")
    assert answer.endswith(RESET)
    size, _, cut = answer.removesuffix(RESET).rpartition(b"\r\n")[0:3]
    announced = int(size.rpartition(b"\r\n")[2], 16)
    assert 0 < len(cut) < announced


async def test_error_in_200_puts_an_error_object_after_tokens(sim: Simulator, body: Body) -> None:
    *tokens, error = events(await answered(sim, body, f"error-in-200{CUT}"))
    assert len(tokens) == 21
    assert error["error"]["code"] == 502


async def test_error_first_is_a_named_error_event_and_nothing_else(sim: Simulator, body: Body) -> None:
    only, end = chunks(await answered(sim, body, "error-first"))
    assert only.startswith(b'event: error\ndata: {"error":{')
    assert end == b""


async def test_rate_limited_is_a_429_with_retry_after(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "rate-limited:retry_after_s=7")
    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nretry-after: 7\r\n" in answer


async def test_http_500_is_an_error_in_json(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "http-500")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"


async def test_malformed_frame_breaks_one_event_and_goes_on(sim: Simulator, body: Body) -> None:
    pieces = chunks(await answered(sim, body, f"malformed-frame{CUT}"))
    broken = [piece for piece in pieces if piece.startswith(b"data: {") and not _is_json(piece[6:])]
    assert len(broken) == 1
    assert pieces.index(broken[0]) == 21
    assert broken[0].endswith(b"\n\n")
    assert pieces[-2:] == [DONE, b""]


async def test_linger_after_done_says_all_and_does_not_end(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "linger-after-done", until=DONE + b"\r\n")
    assert chunks(answer)[-1] == DONE
    assert sim.request_log.report(stamps=False)["requests"][-1]["ended"] == "open"


async def test_html_200_is_a_web_page(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "html-200")
    assert b"content-type: text/html" in answer
    assert b"<!doctype html>" in answer


async def test_json_200_ignores_that_a_stream_was_asked_for(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "json-200")
    assert b"content-type: application/json" in answer
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "class ExpiringCache" in document["choices"][0]["message"]["content"]


async def test_empty_answer_finishes_without_a_word(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "empty-answer")
    assert text(answer) == ""
    assert b'"finish_reason":"stop"' in answer
    assert DONE in answer


async def test_only_reasoning_thinks_until_its_limit(sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, "only-reasoning:reasoning_tokens=50")
    assert answer.count(b'"reasoning_content"') == 50
    assert text(answer) == ""
    assert b'"finish_reason":"length"' in answer


async def test_the_models_name_may_choose_the_fault(sim: Simulator, body: Body, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{sim.origin}/v1/chat/completions", json=body | {"model": "sim/http-500"})
    assert answer.status_code == 500


@pytest.mark.parametrize("header", ["hang", "stall:after=3", "stall:after_tokens=x", "stall:duration_s=4..2"])
async def test_an_unknown_fault_is_refused_and_says_what_exists(header: str, sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, header)
    assert answer.startswith(b"HTTP/1.1 400 ")
    message = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert ("hang-mid-stream" if header == "hang" else "stall") in message


async def test_models_are_listed_for_every_provider(sim: Simulator, http: httpx.AsyncClient) -> None:
    for url in (f"{sim.origin}/v1/models", f"{sim.base_url('groq')}/models"):
        ids = [card["id"] for card in (await http.get(url)).json()["data"]]
        assert {f"sim/{name}" for name in FAULTS} <= set(ids)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"400"),
        (b"GET /v1/models HTTP/1.1\r\nx: " + b"a" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", b"404"),
        (b"GET /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", b"405"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}", b"400"),
    ],
)
async def test_bad_requests_get_their_status(request_bytes: bytes, status: bytes, sim: Simulator) -> None:
    async with raw_bytes(sim, request_bytes) as (reader, _):
        assert (await read_all(reader, until=b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_waits_for_continue_is_told_to_go_on(sim: Simulator, body: Body) -> None:
    data = json.dumps(body | {"model": "sim/http-500"}).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        % len(data)
    )
    async with raw_bytes(sim, head) as (reader, writer):
        assert await read_all(reader, until=b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(data)
        assert (await read_all(reader, until=b"\r\n\r\n")).startswith(b"HTTP/1.1 500")


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
