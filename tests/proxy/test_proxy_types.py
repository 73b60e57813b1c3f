"""Answers whose content type is not what they are: a stream is read as one, and what is none is said to be none."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from kmon.stream import events as ev
from tests.support.loopback import END, chunked, serving
from tests.support.racing import sse
from tests.support.watching import proxying

PAGE = b"<html><head><title>Sign in</title></head></html>"


async def through(content_type: str, *parts: bytes, status: str = "200 OK", stream: bool = True) -> ev.RunEnded:
    """The run of one request whose answer comes in these parts, the next one when the one before was passed on."""
    passed = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for part in parts:
            writer.write(part)
            await passed.wait()
            passed.clear()
        writer.write(END)

    async with serving(script) as url, proxying(url) as middle, httpx.AsyncClient(trust_env=False, timeout=30) as http:
        asked = {"model": "m", "stream": stream}
        async with http.stream("POST", f"{middle.url}/v1/chat/completions", json=asked) as answer:
            async for _ in answer.aiter_raw():
                passed.set()
        return await middle.watched.ended()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html", "application/octet-stream"])
async def test_a_stream_is_read_under_any_type(content_type: str) -> None:
    ended = await through(content_type, chunked(b"\n"), sse("Hel"), sse("lo", finish="stop", done=True))
    assert (ended.state, ended.signature, ended.text, ended.unread) == ("done", None, "Hello", False)


async def test_a_stream_under_another_success_is_read() -> None:
    ended = await through("application/json", sse("Hello", finish="stop", done=True), status="201 Created")
    assert (ended.state, ended.text) == ("done", "Hello")


async def test_a_page_instead_of_a_stream_is_told() -> None:
    ended = await through("text/html", chunked(PAGE))
    assert (ended.state, ended.signature) == ("failed", "not-a-stream")
    assert ended.error is not None and "Sign in" in ended.error.message


async def test_a_page_where_no_stream_was_asked_for_is_none_of_our_business() -> None:
    ended = await through("text/html", chunked(PAGE), stream=False)
    assert (ended.state, ended.signature) == ("done", None)
