"""What one frame of a run means to a probe, as ordinary deltas."""

from __future__ import annotations

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.json_access import compact, items, members, text
from kmon.openclaw.protocol.frames import Frame, encode
from kmon.openclaw.protocol.run import GatewayRun, Tool


def raw(frame: Frame) -> str:
    """The frame as evidence, bounded."""
    try:
        return bounded(encode(frame), FRAME_LIMIT_CHARS)
    except (TypeError, ValueError, RecursionError):
        return ""


def message_text(message: object) -> str:
    """The text of a chat message: its text blocks in order. Content may also be a plain string."""
    content = members(message).get("content")
    if isinstance(content, str):
        return content
    return "".join(text(members(block).get("text")) for block in items(content) if members(block).get("type") == "text")


def said(piece: str, frame: Frame, run: GatewayRun) -> Delta:
    """New text, or a frame that brings none."""
    return Delta(text=piece, raw=raw(frame), model=run.model or None, response_id=run.id)


def tool_call(call: str, tool: Tool, arguments: object, frame: Frame) -> Delta:
    """A tool call as it begins; its arguments come with the event that has them."""
    shown = "" if arguments is None else compact(arguments)
    return Delta(tools=(ToolFragment(tool.index, call, tool.name, shown),), raw=raw(frame))


def tokens(count: int, frame: Frame) -> Delta:
    return Delta(usage=Usage(None, count, None), raw=raw(frame))


def final(piece: str, run: GatewayRun, frame: Frame) -> Delta:
    """The chat's last word with a message in it: the answer is complete."""
    return Delta(text=piece, finish_reason=run.stop_reason or "stop", done=True, raw=raw(frame))


def failed(run: GatewayRun, frame: Frame) -> Delta:
    """The chat was told of an error."""
    error = StreamError("in-stream", bounded(run.error, QUOTED_LIMIT_CHARS) or "error", code=run.error_kind)
    return Delta(error=error, raw=raw(frame))


def aborted(piece: str, run: GatewayRun, frame: Frame) -> Delta:
    """The run was cut short: by a request (``rpc``), or because nothing could be said (``stop``)."""
    why = run.stop_reason or "no reason"
    return Delta(text=piece, error=StreamError("cancelled", f"the gateway aborted the run ({why})"), raw=raw(frame))


def life(frame: Frame) -> Delta:
    """A frame of the connection that belongs to no run: tick, health, presence."""
    return Delta(keepalive=True, chunk=False, raw=raw(frame))
