"""OpenAI Responses over a WebSocket as a server speaks it: what one socket has answered so far is its memory.

A request continues an answer by ``previous_response_id``, which is known as long as the socket is open. The events are
those of the HTTP stream, without its framing; ``error`` messages carry the HTTP status.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from random import Random
from typing import Any

from kmon.dialects.json_access import items, members, parsed, text
from kmon.simulator.answers import ModelAnswer
from kmon.simulator.dialects.chat import error_body
from kmon.simulator.dialects.responses_request import read_request
from kmon.simulator.dialects.responses_wire import RESPONSES_TRAITS, Members, ResponsesWire
from kmon.simulator.http import ServerRequest
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, Whole
from kmon.simulator.sse import JSON_HEADERS, to_json
from kmon.simulator.wire import ServerDialect, ServerRoute, SocketRequest, Trait

CREATE = "response.create"
ANSWERS_LIMIT = 64
"""Answers that a socket remembers."""
REFUSED = "invalid_request_error"


class _SocketWire(ResponsesWire, frozen=True):
    """Each event is a message of its own, with the lane of its request."""

    lane: str = ""
    prepares: bool = False

    def encoded(self, members: Members) -> bytes:
        if members["type"] == "error":
            error = {"type": members["code"], **{name: members[name] for name in ("code", "message", "param")}}
            members = {"type": "error", "error": error, "sequence_number": members["sequence_number"]}
        return to_json(members | ({"stream_id": self.lane} if self.lane else {}))

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        if self.prepares:
            answer, usage = ModelAnswer(()), TokenUsage(usage.prompt_tokens, 0)
        return super().stream(answer, usage)


class ResponsesMessages(ServerDialect):
    """Responses over a WebSocket, for one request."""

    name = "responses"
    traits: frozenset[Trait] = RESPONSES_TRAITS | {"keepalives"}
    carrier = "websocket"

    def __init__(self, lane: str = "", *, prepares: bool = False) -> None:
        self._lane, self._prepares = lane, prepares

    def route(self, path: str) -> ServerRoute | None:
        return None  # the dialect over HTTP has the path

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        return read_request(request.body)

    def wire(self, request: ChatRequest, rng: Random) -> ResponsesWire:
        plain = _SocketWire.of(request, rng)
        return _SocketWire(
            plain.response_id, plain.model, plain.max_output_tokens, plain.offered, self._lane, self._prepares
        )

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, error_body(message, REFUSED))


class ResponsesTalk:
    """Implements :class:`kmon.simulator.wire.SocketTalk`."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, list[Any]] = OrderedDict()
        """The conversation up to an answer, by the id of the answer."""

    def read(self, message: bytes) -> SocketRequest | bytes:
        try:
            asked = members(parsed(message))
        except ValueError:
            asked = {}
        lane = text(asked.get("stream_id"))
        if asked.get("type") != CREATE:
            return _error(400, lane, {"message": f"only {CREATE} is understood here", "code": "unknown_event"})
        before = asked.get("previous_response_id")
        if before is not None and before not in self._items:
            message_ = f"Previous response with id '{before}' not found."
            named = {"code": "previous_response_not_found", "param": "previous_response_id"}
            return _error(400, lane, {"message": message_, **named})
        whole = [*self._items.get(before or "", []), *_items(asked.get("input"))]
        body = {name: value for name, value in asked.items() if name not in ("type", "stream_id", "generate")}
        dialect = ResponsesMessages(lane, prepares=asked.get("generate") is False)
        return SocketRequest(to_json(body | {"input": whole, "stream": True}), dialect, lane)

    def refusal(self, whole: Whole, request: SocketRequest) -> bytes:
        error = members(members(parsed(whole.body)).get("error"))
        headers = {name: value for name, value in whole.headers if name == "retry-after"}
        return _error(whole.status, request.lane, error | ({"headers": headers} if headers else {}))

    def answered(self, request: SocketRequest, script: Script) -> None:
        ended = next((step for step in script if isinstance(step, SendChunk) and step.kind == "finish"), None)
        if ended is None:
            return
        answer = json.loads(ended.data)["response"]
        self._items[answer["id"]] = [*json.loads(request.body)["input"], *answer["output"]]
        if len(self._items) > ANSWERS_LIMIT:
            self._items.popitem(last=False)


def _items(given: object) -> list[Any]:
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) and given else items(given)


def _error(status: int, lane: str, error: Members) -> bytes:
    named = {"type": REFUSED, "code": None, "param": None, **error}
    return to_json({"type": "error", "status": status, "error": named} | ({"stream_id": lane} if lane else {}))
