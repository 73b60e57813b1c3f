"""Maps what carries an attempt to its class. Those over WebSockets are imported on use."""

from __future__ import annotations

from importlib import import_module

from kmon.dialects.dialect import Transport
from kmon.dialects.registry import dialect as dialect_named
from kmon.model import Target
from kmon.probe.attempt import Attempt
from kmon.probe.send import Shared

_ATTEMPTS: dict[Transport, str] = {
    "http": "kmon.probe.http_attempt:HttpAttempt",
    "aws": "kmon.probe.http_attempt:HttpAttempt",
    "turns": "kmon.probe.turn_attempt:TurnAttempt",
    "websocket": "kmon.probe.websocket_attempt:WebSocketAttempt",
    "gateway": "kmon.openclaw.attempt:GatewayAttempt",
}
"""``module:class`` by transport. Names, not imports: probe may not import openclaw and loads only what it needs."""


def attempt_at(target: Target) -> type[Attempt]:
    """The class of attempt for the dialect and the base URL of ``target``."""
    carrier = dialect_named(target.dialect).transport_to(target.base_url)
    module, _, name = _ATTEMPTS[carrier].partition(":")
    found: type[Attempt] = getattr(import_module(module), name)
    return found


def preload(target: Target, shared: Shared) -> None:
    """Import what the target's dialect needs; the AWS client takes most of a second."""
    attempt_at(target)
    if dialect_named(target.dialect).transport == "aws":
        _ = shared.bedrock
