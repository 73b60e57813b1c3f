"""What a client did with one answer, and which attempt it was, from the server's side. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from kmon.simulator.request_log import LoggedRequest

Did = Literal["took-all", "closed", "gave-up", "hangs", "does-not-read", "was-reset", "was-stopped"]
"""``closed``: while bytes arrived; ``gave-up``: in a silence; ``hangs``: still waits in one."""

WORDS: dict[str, str] = {
    "took-all": "took all that was sent",
    "closed": "closed while bytes were coming",
    "gave-up": "gave up in the silence",
    "hangs": "still waits",
    "does-not-read": "sent its request and does not read",
    "was-reset": "was reset by this bench",
    "was-stopped": "was cut off when this bench stopped",
}
"""The words for each :data:`Did`."""
UNREAD_MS = 1_000.0
"""A client that takes nothing for this time does not read; for less, it reads slowly."""
SILENT_MS = 1_000.0
"""A client that leaves after a shorter silence has not left because of it."""
SILENT_SHARE = 0.5
"""The same as a share of the whole time, where that is shorter."""

AMZ_REQUEST = "amz-sdk-request"
AMZ_INVOCATION = "amz-sdk-invocation-id"
STAINLESS_RETRIES = "x-stainless-retry-count"
_ATTEMPT = re.compile(r"\battempt=(\d{1,4})\b")


class ClientBehaviour(Struct, frozen=True):
    """``waited_ms``: time without a byte before the client left, or until now; ``took_ms``: time since the request."""

    did: Did
    took_ms: float
    waited_ms: float

    @property
    def sentence(self) -> str:
        return f"{WORDS[self.did]} after {self.took_ms / 1000:.1f} s"


def behaviour(logged: LoggedRequest, now_ns: int) -> ClientBehaviour:
    """What the client of ``logged`` did, or does until now."""
    end_ns = now_ns if logged.t_ended_ns is None else logged.t_ended_ns
    took_ms = (end_ns - logged.t_request_ns) / 1e6
    waited_ms = (end_ns - (logged.t_last_sent_ns or logged.t_request_ns)) / 1e6
    return ClientBehaviour(_did(logged, end_ns, took_ms, waited_ms), took_ms, waited_ms)


def _did(logged: LoggedRequest, end_ns: int, took_ms: float, waited_ms: float) -> Did:
    if logged.blocked_ms(end_ns) >= UNREAD_MS:
        return "does-not-read"
    match logged.ended:
        case "clean":
            return "took-all"
        case "reset":
            return "was-reset"
        case "stopped":
            return "was-stopped"
        case "open":
            return "hangs"
        case "client":
            silent = waited_ms >= min(SILENT_MS, SILENT_SHARE * took_ms) or not logged.bytes
            return "gave-up" if silent else "closed"


def in_words(logged: LoggedRequest, now_ns: int) -> str:
    """One request in words: what the client did with the answer, and whether it had sent the same before."""
    found = behaviour(logged, now_ns)
    parts = [found.sentence]
    if found.did in ("gave-up", "hangs") and logged.bytes:
        parts.append(f"silent for {found.waited_ms / 1000:.1f} s")
    if found.did == "does-not-read":
        blocked_ms = logged.blocked_ms(logged.t_ended_ns or now_ns)
        parts.append(f"took nothing for {blocked_ms / 1000:.1f} s, {logged.unsent_bytes} bytes wait for it")
    if logged.tries > 1:
        again = "before the last was over" if logged.again_ms < 0 else f"{logged.again_ms / 1000:.2f} s later"
        parts.append(f"asked again (try {logged.tries}, {again})")
    if logged.hidden_retry:
        parts.append(f"hidden retry of the client (attempt={logged.client_attempt})")
    return ", ".join(parts)


def as_object(logged: LoggedRequest, now_ns: int) -> dict[str, object]:
    """The same as an object for JSON."""
    found = behaviour(logged, now_ns)
    blocked_ms = logged.blocked_ms(logged.t_ended_ns or now_ns)
    return {
        "did": found.did,
        "took_ms": round(found.took_ms, 1),
        "waited_ms": round(found.waited_ms, 1),
        "blocked_ms": round(blocked_ms, 1),
        "told": in_words(logged, now_ns),
    }


def client_attempt(headers: Mapping[str, str]) -> int:
    """Which attempt of one call this request is by its headers, from 1; 0 when the client does not say.

    The AWS SDKs write ``attempt=2`` in ``amz-sdk-request``; those of OpenAI and Anthropic count retries from 0.
    """
    if found := _ATTEMPT.search(headers.get(AMZ_REQUEST, "")):
        return int(found[1])
    retries = headers.get(STAINLESS_RETRIES, "")
    return int(retries) + 1 if retries.isascii() and retries.isdigit() and len(retries) < 5 else 0
