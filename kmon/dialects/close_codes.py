"""Close codes in words: what each says of a WebSocket that ended, and of a gateway's in particular."""

from __future__ import annotations

TICK_TIMEOUT = 4000
ABNORMAL = 1006

_WORDS = {
    1000: "closed normally",
    1001: "the other side is going away",
    1002: "protocol error",
    1003: "a kind of message that is not accepted",
    1005: "closed without a code",
    ABNORMAL: "abnormal: the connection ended without a close frame (a crash, a proxy, the network)",
    1007: "a message was not valid UTF-8",
    1008: "policy: not allowed in, or read too slowly for what was sent",
    1009: "a message was too big",
    1011: "the server failed inside",
    1012: "the server restarts; connect again",
    1013: "the server is overloaded; try again later",
    TICK_TIMEOUT: "tick timeout: no tick within twice its interval",
}
OWN = frozenset({1009, TICK_TIMEOUT})
"""With these it is kmon that closes, and the reason is its own."""
CLEAN = frozenset({1000, 1001, 1005})
"""Closings that end a conversation without breaking it off."""


def explained(code: int, reason: str = "") -> str:
    """``1008 (policy: ...), it said: slow consumer``; ``reason`` is the peer's own and must be cleaned already."""
    known = _WORDS.get(code) or ("the application's own code" if code >= 4000 else "a code with no known meaning")
    whose = "" if code in OWN else "it said: "
    said = f", {whose}{reason}" if reason and code != ABNORMAL else ""
    return f"{code} ({known}){said}"
