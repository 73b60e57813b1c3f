"""``chat`` events: what a chat program is told of a run, which is not always what happens to it."""

from __future__ import annotations

from typing import Any

from kmon.dialects.bounds import NAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.json_access import text
from kmon.openclaw.protocol import deltas
from kmon.openclaw.protocol.frames import GatewayEvent
from kmon.openclaw.protocol.run import GatewayRun

Step = tuple[list[str], Delta | None]


def on_chat(run: GatewayRun, t_ns: int, frame: GatewayEvent, said: dict[str, Any]) -> Step:
    """Fold one event in; return what changed, in words, and what it means as a delta."""
    message = said.get("message")
    told = deltas.message_text(message)
    match said.get("state"):
        case "status":
            run.chat, run.status = "status", bounded(text(said.get("phase")), NAME_LIMIT_CHARS)
            return ["status"], deltas.said("", frame, run)
        case "delta":
            run.chat = "delta"
            return _delta(run, t_ns, frame, said, told)
        case "final":
            return _final(run, t_ns, frame, said, told)
        case "aborted":
            piece = _settle(run, t_ns, told)
            run.chat, run.t_ended_ns = "aborted", t_ns
            run.t_chat_ended_ns = run.t_chat_ended_ns or t_ns
            run.stop_reason = bounded(text(said.get("stopReason")), NAME_LIMIT_CHARS) or run.stop_reason
            return ["chat-aborted"], deltas.aborted(piece, run, frame)
        case "error":
            return _error(run, t_ns, frame, said)
        case _:
            return [], deltas.said("", frame, run)


def _delta(run: GatewayRun, t_ns: int, frame: GatewayEvent, said: dict[str, Any], told: str) -> Step:
    if run.spoken_by == "agent":
        return [], deltas.said("", frame, run)
    whole = told if "message" in said else None
    piece = said.get("deltaText")
    replace = said.get("replace") is True
    new = run.answer.add(whole, piece if isinstance(piece, str) else None, replace=replace)
    if new:
        run.spoken_by, run.t_text_ns = "chat", t_ns
    words = [*(["replaced"] if replace else []), *(["text"] if new else [])]
    return words, deltas.said(new, frame, run)


def _final(run: GatewayRun, t_ns: int, frame: GatewayEvent, said: dict[str, Any], told: str) -> Step:
    run.t_chat_ended_ns = run.t_chat_ended_ns or t_ns
    run.chat = "final"
    if not told:
        run.empty_final = True
        if run.lifecycle in ("end", "error"):
            run.t_ended_ns = t_ns
        return ["chat-empty"], deltas.said("", frame, run)
    piece = _settle(run, t_ns, told)
    run.empty_final, run.t_ended_ns = False, t_ns
    run.stop_reason = bounded(text(said.get("stopReason")), NAME_LIMIT_CHARS) or run.stop_reason
    return [*(["text"] if piece else []), "chat-final"], deltas.final(piece, run, frame)


def _error(run: GatewayRun, t_ns: int, frame: GatewayEvent, said: dict[str, Any]) -> Step:
    """A failed run may be told of twice; the first message is nearer to the cause."""
    if not run.chat_errors:
        run.error = bounded(text(said.get("errorMessage")), QUOTED_LIMIT_CHARS) or run.error
        run.error_kind = bounded(text(said.get("errorKind")), NAME_LIMIT_CHARS) or None
    run.chat_errors += 1
    run.chat, run.t_ended_ns = "error", t_ns
    run.t_chat_ended_ns = run.t_chat_ended_ns or t_ns
    return ["chat-error"], deltas.failed(run, frame)


def _settle(run: GatewayRun, t_ns: int, told: str) -> str:
    piece = run.answer.settle(told)
    if piece:
        run.t_text_ns = t_ns
        run.spoken_by = run.spoken_by or "chat"
    return piece
