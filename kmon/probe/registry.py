"""Which kind of attempt carries a target's dialect. Those over WebSockets are imported when they are wanted."""

from __future__ import annotations

from kmon.dialects.dialect import Dialect
from kmon.dialects.registry import dialect
from kmon.model import Target
from kmon.probe.attempt import Attempt
from kmon.probe.http_attempt import HttpAttempt
from kmon.transport.network import Network


def attempt_in(spoken: Dialect) -> type[Attempt]:
    """The attempt whose transport carries ``spoken``."""
    match spoken.transport:
        case "gateway":
            from kmon.openclaw.attempt import GatewayAttempt

            return GatewayAttempt
        case "websocket":
            from kmon.probe.websocket_attempt import WebSocketAttempt

            return WebSocketAttempt
        case _:
            return HttpAttempt


def preload(target: Target, network: Network) -> None:
    """Import and read what the target's dialect needs: most of a second for the AWS client, nothing for the others."""
    spoken = dialect(target.dialect)
    attempt_in(spoken)
    if spoken.transport == "aws":
        _ = network.bedrock
