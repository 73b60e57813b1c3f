"""Which kind of attempt carries a dialect. Those over WebSockets are imported when they are wanted."""

from __future__ import annotations

from importlib import import_module

from kmon.dialects.dialect import Dialect, Transport
from kmon.dialects.registry import dialect
from kmon.model import Target
from kmon.probe.attempt import Attempt
from kmon.probe.send import Shared

_ATTEMPTS: dict[Transport, str] = {
    "http": "kmon.probe.http_attempt:HttpAttempt",
    "aws": "kmon.probe.http_attempt:HttpAttempt",
    "websocket": "kmon.probe.websocket_attempt:WebSocketAttempt",
    "gateway": "kmon.openclaw.attempt:GatewayAttempt",
}
"""``module:class`` by transport. A name, not an import: probe knows no vertical, and loads what a target needs."""


def attempt_in(spoken: Dialect) -> type[Attempt]:
    """The class of attempt whose transport carries ``spoken``."""
    module, _, name = _ATTEMPTS[spoken.transport].partition(":")
    found: type[Attempt] = getattr(import_module(module), name)
    return found


def preload(target: Target, shared: Shared) -> None:
    """Import and read what the target's dialect needs: most of a second for the AWS client, nothing for the others."""
    spoken = dialect(target.dialect)
    attempt_in(spoken)
    if spoken.transport == "aws":
        _ = shared.bedrock
