"""Which kind of attempt carries a target's dialect. Those over WebSockets are imported when they are wanted."""

from __future__ import annotations

from kmon.catalog.model import DialectName
from kmon.probe.attempt import Attempt
from kmon.probe.http_attempt import HttpAttempt


def attempt_in(dialect: DialectName) -> type[Attempt]:
    """The attempt that speaks ``dialect``."""
    match dialect:
        case "openclaw":
            from kmon.openclaw.attempt import GatewayAttempt

            return GatewayAttempt
        case "ws":
            from kmon.probe.websocket_attempt import WebSocketAttempt

            return WebSocketAttempt
        case _:
            return HttpAttempt
