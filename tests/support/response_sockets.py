"""A scripted Responses server over a WebSocket, behind a proxy, and the events that it sends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.sockets import socket_server
from tests.support.watching import Middle, proxying

ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
Answer = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


def created(id: str) -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": id, "model": "m", "status": "in_progress"}}


def piece(words: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": words}


def completed(id: str, tokens: int = 1) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": tokens, "total_tokens": 3 + tokens}
    return {
        "type": "response.completed",
        "response": {"id": id, "model": "m", "status": "completed", "output": [], "usage": usage},
    }


def called(name: str) -> dict[str, Any]:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": name, "arguments": "{}"}
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


async def turn(socket: aiohttp.ClientWebSocketResponse, **members: object) -> list[dict[str, Any]]:
    """The events of one turn of a bare client."""
    await socket.send_json({"type": "response.create", "model": "m", "input": "hello", **members})
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in ENDS:
        found.append(await socket.receive_json(timeout=30))
    return found


@contextlib.asynccontextmanager
async def before(answer: Answer, **options: object) -> AsyncIterator[tuple[Middle, aiohttp.ClientWebSocketResponse]]:
    """A client's socket through a proxy to a server that answers each message with ``answer``."""

    async def script(server: web.WebSocketResponse) -> None:
        async for message in server:
            await answer(server, message.json())

    async with socket_server(script) as url, proxying(f"{url.replace('ws', 'http')}/v1", **options) as middle:  # type: ignore[arg-type]
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{middle.url}/responses") as socket:
            yield middle, socket


async def healthy(server: web.WebSocketResponse, asked: dict[str, Any]) -> None:
    for event in (created("resp_1"), piece("Hello"), completed("resp_1")):
        await server.send_json(event)
