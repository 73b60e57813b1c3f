"""Decides the signatures that only a WebSocket can have: close codes, silent connections, held deliveries."""

from __future__ import annotations

from kmon.dialects.delta import StreamError
from kmon.findings.signature import Signature
from kmon.format import plural
from kmon.stream.timeline import MS, Timeline

HELD_WITHIN_NS = 300 * MS
"""An answer that comes within this time after the follow-up was waiting for it."""
REFUSALS = {
    "no-upgrade": "no-headers",
    "not-a-websocket": "not-a-stream",
    "handshake": "handshake-failed",
    "auth": "handshake-failed",
    "protocol": "protocol-error",
    "device": "handshake-failed",
    "refused": "error-in-stream",
}
"""Signature by the kind of the error that prevented an answer."""


def closed_signature(error: StreamError | None, pongs: int, found: Signature) -> Signature | None:
    """The signature of an attempt whose WebSocket closed, was refused, or stayed open without a message; else None."""
    if error is None:
        return None
    if error.kind == "websocket-closed":
        return found.refined("websocket-closed", error.message)
    if error.kind == "cancelled" and found.name is not None:
        return found.refined("run-aborted", error.message)
    if error.kind in REFUSALS:
        return found.refined(REFUSALS[error.kind], error.message)
    if error.kind == "timeout" and pongs and found.name in ("no-first-token", "hang-mid-stream", "keep-alives-only"):
        return found.refined("websocket-silent", f"{pongs} pong(s) came, the line is open")
    return None


def broken_turn_signature(error: StreamError | None, pongs: int, found: Signature) -> Signature:
    """The signature of an answer that came over a WebSocket in the events of an HTTP dialect.

    A silence has the name that it has over HTTP, because the same server is silent; ``pongs`` show that the line is
    open.
    """
    if error is None:
        return found
    if error.kind == "websocket-closed":
        return found.refined("websocket-closed", error.message)
    if error.kind in ("no-upgrade", "protocol"):
        return found.refined(REFUSALS[error.kind], error.message)
    if error.kind == "timeout" and pongs:
        return found.refined(found.name, f"{plural(pongs, 'pong')} came, so the line is open")
    return found


def held_delivery_signature(timeline: Timeline, followed_up_ns: int | None, found: Signature) -> Signature | None:
    """``delivery-held`` if the answer came only when the next message was sent (``followed_up_ns``); else None."""
    if followed_up_ns is None:
        return None
    for stall in timeline.stalls:
        end_ns = timeline.t_start + (stall.start_ms + stall.duration_ms) * MS
        after_ns = end_ns - followed_up_ns
        if stall.ended and 0 <= after_ns <= HELD_WITHIN_NS:
            silence = f"silent for {stall.duration_ms / 1000:.1f} s"
            return found.refined(
                "delivery-held", f"{silence}, then there {after_ns / MS:.0f} ms after the next message was sent"
            )
    return None


def complete_answer_signature(retried: str, lost_events: int, found: Signature) -> Signature | None:
    """The signature of a complete answer after an error shown to the chat, or with missing events; else None."""
    if retried:
        told = f"the chat was told {retried!r}; the answer came afterwards, as agent events alone"
        return found.refined("answer-after-chat-error", told)
    if lost_events and found.name is None:
        return found.refined("sequence-gap", f"{lost_events} event(s) never came")
    return None
