"""Faults of a WebSocket: it closes in the middle of an answer, or has been open for as long as it may be."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.faults.base import Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.script import CloseFrame, EndBody, Script, split
from kmon.simulator.wire import Carrier

Code = Annotated[int, Meta(ge=1000, le=4999)]
LIMIT_REACHED = (
    "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue."
)


class SocketClosed(Fault, frozen=True, tag="socket-closed"):
    """The WebSocket is closed in the middle of the answer, with a code and a reason."""

    carrier: ClassVar[Carrier | None] = "websocket"
    after_tokens: TokensSpan = 60
    code: Code = 1011

    def script(self, script: Script, setting: Setting) -> Script:
        before, _ = split(script, tokens_in(self.after_tokens, setting.rng))
        return (*before, CloseFrame(self.code, "upstream connection lost", 0.05))


class SocketClosedAfter(Fault, frozen=True, tag="socket-closed-after"):
    """Healthy: the WebSocket is closed after the answer, as a server that restarts does."""

    healthy: ClassVar[bool] = True
    carrier: ClassVar[Carrier | None] = "websocket"

    def script(self, script: Script, setting: Setting) -> Script:
        return (*(step for step in script if not isinstance(step, EndBody)), CloseFrame(1001))


class SocketLimit(Fault, frozen=True, tag="socket-limit"):
    """The request is refused, because the WebSocket has been open for an hour; another may be opened."""

    carrier: ClassVar[Carrier | None] = "websocket"

    def script(self, script: Script, setting: Setting) -> Script:
        code = "websocket_connection_limit_reached"
        return (replace(setting.frames.refusal(400, LIMIT_REACHED, "invalid_request_error", code), after_s=0.1),)
