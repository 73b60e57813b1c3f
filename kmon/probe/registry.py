"""Maps a dialect's transport to its class of attempt. Those over WebSockets are imported on use."""

from __future__ import annotations

from importlib import import_module

from kmon.dialects.dialect import Dialect, Transport
from kmon.dialects.registry import dialect as dialect_named
from kmon.model import Target
from kmon.probe.attempt import Attempt
from kmon.probe.send import Shared

_ATTEMPTS: dict[Transport, str] = {
    "http": "kmon.probe.http_attempt:HttpAttempt",
    "aws": "kmon.probe.http_attempt:HttpAttempt",
    "websocket": "kmon.probe.websocket_attempt:WebSocketAttempt",
    "gateway": "kmon.openclaw.attempt:GatewayAttempt",
}
"""``module:class`` by transport. Names, not imports: probe may not import openclaw and loads only what it needs."""


def attempt_in(dialect: Dialect) -> type[Attempt]:
    """The class of attempt for the transport of ``dialect``."""
    module, _, name = _ATTEMPTS[dialect.transport].partition(":")
    found: type[Attempt] = getattr(import_module(module), name)
    return found


def preload(target: Target, shared: Shared) -> None:
    """Import what the target's dialect needs; the AWS client takes most of a second."""
    used = dialect_named(target.dialect)
    attempt_in(used)
    if used.transport == "aws":
        _ = shared.bedrock
