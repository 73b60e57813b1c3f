"""The OpenAI Responses dialect as a server speaks it, over HTTP, and at the same path over a WebSocket."""

from __future__ import annotations

from random import Random

from kmon.recording.interaction import Request as RecordedRequest
from kmon.simulator.dialects.chat import error_body
from kmon.simulator.dialects.responses_request import read_recorded_request, read_request
from kmon.simulator.dialects.responses_socket import ResponsesMessages, ResponsesTalk
from kmon.simulator.dialects.responses_wire import RESPONSES_TRAITS, ResponsesWire
from kmon.simulator.http import ServerRequest
from kmon.simulator.request import ChatRequest
from kmon.simulator.script import Whole
from kmon.simulator.sse import JSON_HEADERS
from kmon.simulator.wire import DEFAULT_PROVIDER, SSE_TRAITS, ServerDialect, ServerRoute, Trait, provider_in

PATH = "/responses"


class ResponsesServer(ServerDialect):
    """The request names model and streaming in its body."""

    name = "responses"
    traits: frozenset[Trait] = SSE_TRAITS | RESPONSES_TRAITS | {"stream-in-body"}
    on_socket = ResponsesMessages()

    def route(self, path: str) -> ServerRoute | None:
        if not path.endswith(PATH):
            return None
        return ServerRoute(self, provider_in(path.removesuffix(PATH), DEFAULT_PROVIDER))

    def read(self, request: ServerRequest, model: str, stream: bool) -> ChatRequest:
        return read_request(request.body)

    def read_recorded(self, request: RecordedRequest) -> ChatRequest:
        return read_recorded_request(request.model, request.members)

    def wire(self, request: ChatRequest, rng: Random) -> ResponsesWire:
        return ResponsesWire.of(request, rng)

    def refusal(self, status: int, message: str) -> Whole:
        return Whole(status, JSON_HEADERS, error_body(message, "invalid_request_error"))

    def socket(self) -> ResponsesTalk:
        return ResponsesTalk()


RESPONSES = ResponsesServer()
