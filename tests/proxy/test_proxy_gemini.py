"""Gemini through the proxy: a growing array is decoded as it comes, a key in the query is shown nowhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import msgspec
import pytest

from kmon.stream import events as ev
from tests.support.loopback import END, chunked, serving
from tests.support.watching import Middle, before_simulator, proxying

MODEL = "gemini-2.5-flash"
PATH = f"/v1beta/models/{MODEL}"
KEY = "AIzaSyTestTestTestTestTestTestTestTest12"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
WEATHER = {"tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": {"type": "object"}}]}]}


async def through(middle: Middle, operation: str, body: dict[str, Any], fault: str = "smooth") -> ev.RunEnded:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        headers = {"x-kmon-fault": fault, "x-goog-api-key": KEY}
        await http.post(f"{middle.origin}{PATH}:{operation}", json=body, headers=headers)
    return await middle.watched.ended()


@pytest.mark.parametrize(
    "operation",
    ["streamGenerateContent?alt=sse", "streamGenerateContent", "generateContent", f"streamGenerateContent?key={KEY}"],
)
async def test_every_way_to_ask_is_read(operation: str) -> None:
    async with before_simulator() as middle:
        ended = await through(middle, operation, ASKED)
        shown = b"".join(msgspec.json.encode(event) for event in middle.watched.events)
    assert (ended.label, ended.scenario, ended.state, ended.finish_reason) == (
        f"test/{MODEL}",
        "proxied",
        "done",
        "STOP",
    )
    assert (ended.signature, ended.unread) == (None, False)
    assert ended.text and ended.usage is not None
    assert KEY.encode() not in shown


async def test_an_array_is_decoded_before_it_ends() -> None:
    go_on = asyncio.Event()
    first = {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}
    last = {"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}]}

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        writer.write(chunked(b"[" + json.dumps(first, indent=1).encode()))
        await writer.drain()
        await go_on.wait()
        writer.write(chunked(b"\r\n,\r\n" + json.dumps(last, indent=1).encode() + b"\r\n]\r\n") + END)

    async with serving(script) as url, proxying(f"{url}/v1") as middle:
        asking = asyncio.create_task(through(middle, "streamGenerateContent", ASKED))
        await middle.watched.until(lambda event: isinstance(event, ev.DeltaArrived) and event.words == "Hel")
        go_on.set()
        ended = await asking
    assert (ended.text, ended.state, ended.signature, ended.chunks) == ("Hello", "done", None, 2)


async def test_calls_with_stop_are_right_and_a_refusal_in_an_array_is_told_in_its_words() -> None:
    async with before_simulator() as middle:
        weather = {"contents": [{"role": "user", "parts": [{"text": "Weather in Oslo?"}]}], **WEATHER}
        ended = await through(middle, "streamGenerateContent", weather)
    assert (ended.finish_reason, ended.signature, [call.name for call in ended.tool_calls]) == (
        "STOP",
        None,
        ["get_weather"],
    )
    async with before_simulator() as middle:
        refused = await through(middle, "streamGenerateContent", ASKED, "http-500")
    assert refused.error is not None
    assert (refused.signature, refused.error.code) == ("http-server-error", "INTERNAL")
    assert refused.error.message.startswith("HTTP 500: The server had an error")
