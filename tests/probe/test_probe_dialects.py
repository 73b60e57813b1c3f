"""Promises about the other SSE dialects on real sockets: what is sent, what ends them, and what their failures are."""

from __future__ import annotations

import asyncio
import json

import pytest

from kmon.engine.plan import RacePlan, Row
from kmon.engine.selection import rows
from kmon.errors import UsageError
from kmon.model import PromptMessage, Scenario, Target, Tool
from kmon.retry.policy import Policy
from kmon.stream import events as ev
from tests.support.loopback import Script
from tests.support.racing import outcome
from tests.support.scripted_provider import provider, writing

KEY = "sk-very-secret-0123456789"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nrequest-id: req_1\r\n\r\n"
ASK = Scenario(name="minimal", messages=(PromptMessage(role="user", content="hi"),), max_tokens=50)


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


START = event("message_start", message={"id": "msg_1", "model": "k3", "usage": {"input_tokens": 9, "output_tokens": 1}})
THOUGHT = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
WORDS = event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hello"})
FINISH = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4})
STOP = event("message_stop")
PING = event("ping")


def token(text: str, **members: object) -> bytes:
    said = {"token": {"id": 1, "text": text, "special": False}, "generated_text": None, "details": None, **members}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


LAST_TOKEN = token("", generated_text="Hello", details={"finish_reason": "stop"}, num_input_tokens=9)


def target(dialect: str, url: str, **members: object) -> Target:
    given = {"key_env": ("KEY",), **members}
    return Target(name=dialect, provider="p", model="org/m", base_url=url, dialect=dialect, **given)  # type: ignore[arg-type]


def repeating(once: bytes, again: bytes) -> Script:
    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(once)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0.05)

    return play


async def asked(aimed: Target, *, timeout_s: float = 20.0, stall_s: float = 10.0) -> tuple[ev.RunEnded, list[ev.Event]]:
    plan = RacePlan(rows=(Row(aimed, ASK),), stall_s=stall_s, policy=Policy(timeout_s=timeout_s))
    results, events = await outcome(plan, {"KEY": KEY})
    return results[0], events


async def test_messages_is_done_at_message_stop_and_the_socket_is_left_at_once() -> None:
    async with provider(writing(HEAD + START + THOUGHT + PING, WORDS + FINISH + STOP, hold=True)) as seen:
        result, _ = await asked(target("messages", seen.url))
        async with asyncio.timeout(10):
            await seen.left.wait()
    assert (result.state, result.signature, result.text, result.reasoning) == ("done", None, "Hello", "hm")
    assert (result.finish_reason, result.request_ids) == ("end_turn", {"request-id": "req_1"})
    assert result.usage is not None and (result.usage.prompt_tokens, result.usage.completion_tokens) == (9, 4)
    assert result.keepalives == 1
    assert seen.asked[0].target == "/v1/messages"
    assert seen.asked[0].body["max_tokens"] == 50


@pytest.mark.parametrize(
    ("auth", "header"), [("bearer", ("authorization", f"Bearer {KEY}")), ("x-api-key", ("x-api-key", KEY))]
)
async def test_the_key_is_presented_as_the_target_wants_it(auth: str, header: tuple[str, str]) -> None:
    async with provider(writing(HEAD + START + WORDS + FINISH + STOP)) as seen:
        await asked(target("messages", seen.url, auth=auth))
    headers = seen.asked[0].headers
    assert [item for item in headers.items() if KEY in item[1]] == [header]
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["user-agent"].startswith("kmon/")


async def test_pings_alone_are_a_stall_and_not_progress() -> None:
    async with provider(repeating(HEAD + START + WORDS, PING)) as seen:
        result, events = await asked(target("messages", seen.url), timeout_s=0.8, stall_s=0.2)
    assert (result.state, result.signature, result.text) == ("timed-out", "keep-alives-only", "Hello")
    assert any(isinstance(event, ev.StallStarted) for event in events)
    assert result.keepalives >= 3


async def test_messages_that_end_without_a_stop_are_incomplete() -> None:
    async with provider(writing(HEAD + START + WORDS)) as seen:
        result, _ = await asked(target("messages", seen.url))
    assert (result.state, result.signature) == ("incomplete", "truncated-no-finish")


async def test_an_error_event_fails_the_run_though_the_socket_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.probe.attempt.Attempt.error_grace_s", 0.4)
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    async with provider(writing(HEAD + START + WORDS + error, hold=True)) as seen:
        result, _ = await asked(target("messages", seen.url))
    assert (result.state, result.signature) == ("failed", "error-in-stream")
    assert result.error is not None and (result.error.code, result.error.status) == ("overloaded_error", 529)


async def test_deepinfra_is_done_at_the_finish_reason_without_a_sentinel() -> None:
    async with provider(writing(HEAD + token("Hel") + token("lo") + LAST_TOKEN, hold=True)) as seen:
        result, _ = await asked(target("deepinfra", seen.url))
        async with asyncio.timeout(10):
            await seen.left.wait()
    assert (result.state, result.signature, result.text, result.finish_reason) == ("done", None, "Hello", "stop")
    assert seen.asked[0].target == "/v1/inference/org/m"
    assert seen.asked[0].body["input"] == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert seen.asked[0].body["max_new_tokens"] == 50


async def test_an_error_inside_deepinfras_200_fails_the_run() -> None:
    error = b'data: {"error_type":"validation_error","error_message":"ConnectionError: no"}\n\n'
    async with provider(writing(HEAD + token("Hel") + error)) as seen:
        result, _ = await asked(target("deepinfra", seen.url))
    assert (result.state, result.signature, result.text) == ("failed", "error-in-stream", "Hel")
    assert result.error is not None and result.error.code == "validation_error"


async def test_deepinfra_that_just_ends_is_incomplete() -> None:
    async with provider(writing(HEAD + token("Hel"))) as seen:
        result, _ = await asked(target("deepinfra", seen.url))
    assert (result.state, result.signature) == ("incomplete", "truncated-no-finish")


def candidate(said: str, finish: str = "") -> bytes:
    reason = {"finishReason": finish} if finish else {}
    value = {"candidates": [{"content": {"parts": [{"text": said}], "role": "model"}, **reason}]}
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


async def test_gemini_is_asked_with_its_key_in_a_header_and_the_end_of_the_body_ends_it() -> None:
    async with provider(writing(HEAD + candidate("Hel", "STOP"), candidate("lo", "STOP"))) as seen:
        aimed = target("gemini", f"{seen.url}/v1beta", auth="x-goog-api-key")
        result, _ = await asked(aimed)
    assert (result.state, result.signature, result.text, result.finish_reason) == ("done", None, "Hello", "STOP")
    assert seen.asked[0].target == "/v1beta/models/org%2Fm:streamGenerateContent?alt=sse"
    assert seen.asked[0].headers["x-goog-api-key"] == KEY
    assert "authorization" not in seen.asked[0].headers


async def test_gemini_on_vertex_takes_a_bearer_token() -> None:
    async with provider(writing(HEAD + candidate("Hello", "STOP"))) as seen:
        base_url = f"{seen.url}/v1/projects/p/locations/global/publishers/google"
        result, _ = await asked(target("gemini", base_url, auth="bearer"))
    assert (result.state, result.signature) == ("done", None)
    assert seen.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("dialect", "said"), [("gemini", "One two"), ("messages", "Hello")])
async def test_what_comes_long_after_a_finish_reason_is_waited_for_where_more_may_follow(
    dialect: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmon.probe.attempt.FINISH_GRACE_S", 0.2)
    first, late = {
        "gemini": (candidate("One ", "STOP"), candidate("two", "STOP")),
        "messages": (START + WORDS + FINISH, WORDS + STOP),
    }[dialect]

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + first)
        await writer.drain()
        await asyncio.sleep(1.5)
        writer.write(late)
        await writer.drain()

    async with provider(play) as seen:
        result, _ = await asked(target(dialect, seen.url))
    assert (result.state, result.text) == ("done", said)


async def test_gemini_without_a_finish_reason_is_incomplete_and_a_blocked_prompt_is_named() -> None:
    async with provider(writing(HEAD + candidate("Hel"))) as seen:
        result, _ = await asked(target("gemini", seen.url))
    assert (result.state, result.signature) == ("incomplete", "truncated-no-finish")
    async with provider(writing(HEAD + b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\r\n\r\n')) as seen:
        result, _ = await asked(target("gemini", seen.url))
    assert (result.state, result.signature) == ("failed", "error-in-stream")
    assert result.error is not None and result.error.message == "the prompt was blocked: SAFETY"


async def test_what_a_dialect_cannot_carry_is_refused_before_anything_is_sent() -> None:
    tools = Scenario(name="tool-call", messages=ASK.messages, tools=(Tool(name="t"),))
    async with provider(writing(HEAD)) as seen:
        with pytest.raises(UsageError, match=r"scenario tool-call cannot be carried by the deepinfra dialect"):
            rows([target("deepinfra", seen.url)], [ASK, tools])
    assert seen.asked == []
