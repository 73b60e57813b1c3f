"""The dialects that a WebSocket carries, and the decoding of one message of a plain WebSocket.

``openclaw/`` decodes the messages of a gateway. Plain messages are expected to be JSON. The broadcasts of Kimi Proxy
(``{"type": "init", "session": ...}``) are shown in a few words, anything else as received.
"""

from __future__ import annotations

import json

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.dialect import Dialect, Transport, cannot_carry, carries_calls
from kmon.dialects.fault import malformed
from kmon.dialects.json_access import count, members, text
from kmon.model import GATEWAY_KEY_ENV, Scenario, Target

SHOWN_LIMIT_CHARS = 4_000
_SESSION_TYPES = frozenset({"init", "new_session", "session_activated", "auto_session_created"})


class OpenClawGateway(Dialect):
    """A gateway with its own agents, tools and sessions; it takes one user message."""

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
    """Any WebSocket: kmon sends no request and shows what arrives."""

    name = "ws"
    transport: Transport = "websocket"
    unnamed_model = "messages"  # what is shown


def decoded(data: bytes, *, binary: bool) -> Delta:
    """The meaning of a message. If it is no JSON, the delta is an error with the message kept; the stream continues."""
    if binary:
        return Delta(text=f"[{len(data)} bytes]\n", raw=data[:200].hex(" "))
    try:
        message = data.decode()
    except UnicodeDecodeError as error:
        return Delta(error=malformed(f"a text message is not UTF-8 ({error.reason})", data.decode("utf-8", "replace")))
    raw = bounded(message, FRAME_LIMIT_CHARS)
    try:
        value = json.loads(message)
    except (ValueError, RecursionError) as error:
        return Delta(error=malformed(f"a message is not JSON ({error})", message), raw=raw)
    return Delta(text=bounded(_in_words(value) or message, SHOWN_LIMIT_CHARS) + "\n", raw=raw)


def _in_words(value: object) -> str:
    """A broadcast of Kimi Proxy about sessions in words, or "" for another message."""
    broadcast = members(value)
    kind, session = text(broadcast.get("type")), members(broadcast.get("session"))
    if kind not in _SESSION_TYPES or not session:
        return ""
    name, provider, model = (text(session.get(key)) for key in ("name", "provider", "model"))
    requests = count(members(broadcast.get("stats")).get("total_requests"))
    parts = [f"session {session.get('id')} {name!r}", provider, model]
    parts += [f"{requests} request{'' if requests == 1 else 's'} so far"] if requests is not None else []
    return f"{kind}: " + ", ".join(part for part in parts if part)
