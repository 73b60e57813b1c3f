"""Which kind of attempt carries a target's dialect. Those over WebSockets are imported when they are wanted."""

from __future__ import annotations

from importlib import import_module

from kmon.catalog.model import DialectName
from kmon.probe.attempt import Attempt

HTTP = "kmon.probe.http_attempt:HttpAttempt"
OTHERS: dict[DialectName, str] = {
    "openclaw": "kmon.openclaw.attempt:GatewayAttempt",
    "ws": "kmon.probe.websocket_attempt:WebSocketAttempt",
}
"""``module:class`` by dialect. A name, not an import: probe knows no vertical, and loads what a target needs."""


def attempt_in(dialect: DialectName) -> type[Attempt]:
    """The class of attempt that speaks ``dialect``."""
    module, _, name = OTHERS.get(dialect, HTTP).partition(":")
    found: type[Attempt] = getattr(import_module(module), name)
    return found
