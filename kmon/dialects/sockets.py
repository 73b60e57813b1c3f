"""The dialects that a WebSocket carries. ``openclaw/`` and ``socket_message.py`` read what they say."""

from __future__ import annotations

from kmon.dialects.dialect import Dialect, Transport, cannot_carry, carries_calls
from kmon.model import GATEWAY_KEY_ENV, Scenario, Target


class OpenClawGateway(Dialect):
    """A gateway with agents, tools and sessions of its own; it takes one message of the user's."""

    name = "openclaw"
    transport: Transport = "gateway"
    key_env = GATEWAY_KEY_ENV
    signs_with_device = True
    unnamed_model = "main"  # the gateway's agent

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        several = carries_calls(scenario) or any(message.role == "assistant" for message in scenario.messages)
        if not scenario.tools and not several:
            return None
        return (
            f"{cannot_carry(target, scenario)} (a gateway has tools and a memory of its own and takes one message); "
            f"ask a scenario without tools, such as code or minimal, or leave {target.name} out"
        )


class PlainWebSocket(Dialect):
    """Any WebSocket: nothing is asked, and what comes is shown."""

    name = "ws"
    transport: Transport = "websocket"
    unnamed_model = "messages"  # what is listened for
