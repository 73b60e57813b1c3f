"""What a client did with one answer, told from the server's side of the wire. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kmon.simulator.request_log import Exchange

Did = Literal["took-all", "closed", "gave-up", "hangs", "does-not-read", "was-reset", "was-stopped"]
"""``closed``: while bytes were coming; ``gave-up``: in a silence; ``hangs``: still waits in one."""

WORDS: dict[str, str] = {
    "took-all": "took all that was sent",
    "closed": "closed while bytes were coming",
    "gave-up": "gave up in the silence",
    "hangs": "still waits",
    "does-not-read": "sent its request and does not read",
    "was-reset": "was reset by this bench",
    "was-stopped": "was cut off when this bench stopped",
}
"""For each :data:`Did`."""
UNREAD_MS = 1_000.0
"""From here on, a client that takes nothing is no slow reader any more."""
SILENT_MS = 1_000.0
"""Shorter, and a client that leaves has not left because nothing came."""
SILENT_SHARE = 0.5
"""Or the part of the whole time that must have been silent, where that is shorter."""


class Behaviour(Struct, frozen=True):
    """``waited_ms``: how long the client had heard nothing when it left, or has until now; ``took_ms``: in all."""

    did: Did
    took_ms: float
    waited_ms: float

    @property
    def sentence(self) -> str:
        return f"{WORDS[self.did]} after {self.took_ms / 1000:.1f} s"


def behaviour(exchange: Exchange, now_ns: int) -> Behaviour:
    """What the client of ``exchange`` did, or has been doing until now."""
    end_ns = now_ns if exchange.t_ended_ns is None else exchange.t_ended_ns
    took_ms = (end_ns - exchange.t_request_ns) / 1e6
    waited_ms = (end_ns - (exchange.t_last_sent_ns or exchange.t_request_ns)) / 1e6
    return Behaviour(_did(exchange, end_ns, took_ms, waited_ms), took_ms, waited_ms)


def _did(exchange: Exchange, end_ns: int, took_ms: float, waited_ms: float) -> Did:
    if exchange.blocked_ms(end_ns) >= UNREAD_MS:
        return "does-not-read"
    match exchange.ended:
        case "clean":
            return "took-all"
        case "reset":
            return "was-reset"
        case "stopped":
            return "was-stopped"
        case "open":
            return "hangs"
        case "client":
            silent = waited_ms >= min(SILENT_MS, SILENT_SHARE * took_ms) or not exchange.bytes
            return "gave-up" if silent else "closed"


def told(exchange: Exchange, now_ns: int) -> str:
    """One exchange in words: what was sent, what the client did with it, and whether it had asked before."""
    found = behaviour(exchange, now_ns)
    parts = [found.sentence]
    if found.did in ("gave-up", "hangs") and exchange.bytes:
        parts.append(f"silent for {found.waited_ms / 1000:.1f} s")
    if found.did == "does-not-read":
        blocked_ms = exchange.blocked_ms(exchange.t_ended_ns or now_ns)
        parts.append(f"took nothing for {blocked_ms / 1000:.1f} s, {exchange.unsent_bytes} bytes wait for it")
    if exchange.tries > 1:
        again = "before the last was over" if exchange.again_ms < 0 else f"{exchange.again_ms / 1000:.2f} s later"
        parts.append(f"asked again (try {exchange.tries}, {again})")
    if exchange.hidden_retry:
        parts.append(f"hidden retry of the client (attempt={exchange.client_attempt})")
    return ", ".join(parts)


def described(exchange: Exchange, now_ns: int) -> dict[str, object]:
    """The same for JSON."""
    found = behaviour(exchange, now_ns)
    blocked_ms = exchange.blocked_ms(exchange.t_ended_ns or now_ns)
    return {
        "did": found.did,
        "took_ms": round(found.took_ms, 1),
        "waited_ms": round(found.waited_ms, 1),
        "blocked_ms": round(blocked_ms, 1),
        "told": told(exchange, now_ns),
    }
