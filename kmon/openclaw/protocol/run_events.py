"""What one ``agent`` or ``chat`` event changes in a run, and which delta it is.

``agent`` events say what the gateway's agent does, ``chat`` events what a chat program gets of it; they may disagree.
"""

from __future__ import annotations

from typing import Any, Literal

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, NAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.json_access import compact, count, members, text
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, encode, message_text
from kmon.openclaw.protocol.run import TOOLS_LIMIT, GatewayRun, RunTool

ChangeKind = Literal[
    "sent", "acked", "refused", "new", "started", "retry", "model", "tool", "text", "replaced", "usage", "status",
    "finishing", "ended", "chat-final", "chat-empty", "chat-aborted", "chat-error", "queued", "dequeued",
    "hello", "tick", "health", "shutdown", "other",
]  # fmt: skip
"""What a frame changed in a run; those of the last line concern the connection alone."""
Step = tuple[list[ChangeKind], Delta | None]

Payload = dict[str, Any]


# -- agent events ------------------------------------------------------------------------------------------------------


def on_agent(run: GatewayRun, t_ns: int, frame: GatewayEvent) -> Step:
    """Fold one ``agent`` event in; return what changed and the delta."""
    data = members(frame.payload.get("data"))
    match frame.payload.get("stream"):
        case "lifecycle":
            return _lifecycle(run, t_ns, frame, data)
        case "assistant":
            return _assistant(run, t_ns, frame, data)
        case "tool" | "item":
            return _tool(run, t_ns, frame, data)
        case "usage":
            tokens = count(data.get("outputTokens"))
            if tokens is None:
                return [], _text_delta("", frame, run)
            run.output_tokens = tokens
            return ["usage"], Delta(usage=Usage(None, tokens, None), raw=raw(frame))
        case "run_status":
            run.status = bounded(text(data.get("phase")), NAME_LIMIT_CHARS)
            return ["status"], _text_delta("", frame, run)
        case _:  # command output, and the gateway's own notice of a gap
            return [], _text_delta("", frame, run)


def _lifecycle(run: GatewayRun, t_ns: int, frame: GatewayEvent, data: Payload) -> Step:
    kinds: list[ChangeKind] = []
    match data.get("phase"):
        case "start":
            kinds = _start(run, t_ns)
        case "model":
            if name := text(data.get("model")):
                run.model = bounded(name, NAME_LIMIT_CHARS)
                run.provider = bounded(text(data.get("provider")), NAME_LIMIT_CHARS)
            if run.t_ended_ns is None:
                run.lifecycle = "model"
            kinds = ["model"]
        case "finishing":
            run.lifecycle = "finishing"
            run.failed_try = run.failed_try or bool(data.get("error"))
            kinds = ["finishing"]
        case "end":
            _end(run, t_ns, "end")
            _keep_stop_reason(run, data)
            kinds = ["ended"]
            if run.unseen_chars:  # the chat ended before, so no other event ends this text
                return kinds, _final_delta("", run, frame)
        case "error":
            _end(run, t_ns, "error")
            run.failed_try = True
            run.error = bounded(text(data.get("error")), QUOTED_LIMIT_CHARS) or run.error
            kinds = ["ended"]
    return kinds, _text_delta("", frame, run)


def _start(run: GatewayRun, t_ns: int) -> list[ChangeKind]:
    again = run.t_started_ns is not None
    run.silent_retry = run.silent_retry or (again and run.t_chat_ended_ns is not None)
    run.t_started_ns = run.t_started_ns or t_ns
    run.tries += 1
    run.lifecycle, run.t_ended_ns, run.last_assistant_seq = "start", None, 0
    if run.chat == "error":
        run.text_source = "agent"
    if not again:
        return ["started"]
    if run.failed_try:
        run.answer.restart()
        run.failed_try = False
    return ["started", "retry"]


def _end(run: GatewayRun, t_ns: int, lifecycle: Literal["end", "error"]) -> None:
    run.lifecycle, run.t_ended_ns = lifecycle, t_ns
    for tool in run.tools.values():
        tool.phase = "result"


def _assistant(run: GatewayRun, t_ns: int, frame: GatewayEvent, data: Payload) -> Step:
    seq = count(frame.payload.get("seq"))
    if run.text_source == "chat" or (seq is not None and seq <= run.last_assistant_seq):
        return [], _text_delta("", frame, run)
    run.last_assistant_seq = run.last_assistant_seq if seq is None else seq
    if run.t_started_ns is None:  # this connection was opened in the middle of the run
        run.t_started_ns, run.tries = t_ns, run.tries or 1
    whole, piece = data.get("text"), data.get("delta")
    replace = data.get("replace") is True
    new = run.answer.add(
        whole if isinstance(whole, str) else None, piece if isinstance(piece, str) else None, replace=replace
    )
    if new:
        run.text_source, run.t_text_ns = "agent", t_ns
        if run.t_chat_ended_ns is not None:
            run.unseen_chars += len(new)
    return _text_kinds(new, replace=replace), _text_delta(new, frame, run)


def _tool(run: GatewayRun, t_ns: int, frame: GatewayEvent, data: Payload) -> Step:
    """Fold a tool's phase in. Only the sender of the message gets ``tool`` events; ``item`` events (protocol 4) all."""
    call = bounded(text(data.get("toolCallId")), NAME_LIMIT_CHARS)
    if not call:
        return [], _text_delta("", frame, run)
    run.t_tool_ns = t_ns
    tool = run.tools.get(call)
    first = tool is None
    if tool is None:
        if len(run.tools) >= TOOLS_LIMIT:
            return [], _text_delta("", frame, run)
        tool = run.tools[call] = RunTool(len(run.tools), bounded(text(data.get("name")), NAME_LIMIT_CHARS), t_ns)
    phase = data.get("phase")
    if phase in ("result", "end"):
        tool.phase = "result"
    elif phase == "update" and tool.phase != "result":
        tool.phase = "update"
    arguments = data.get("args") if not tool.has_arguments else None
    tool.has_arguments = tool.has_arguments or arguments is not None
    if not first and arguments is None:
        return ["tool"], _text_delta("", frame, run)
    fragment = ToolFragment(tool.index, call, tool.name, "" if arguments is None else compact(arguments))
    return ["tool"], Delta(tools=(fragment,), raw=raw(frame))


# -- chat events -------------------------------------------------------------------------------------------------------


def on_chat(run: GatewayRun, t_ns: int, frame: GatewayEvent) -> Step:
    """Fold one ``chat`` event in; return what changed and the delta."""
    payload = frame.payload
    shown = message_text(payload.get("message"))
    match payload.get("state"):
        case "status":
            run.chat, run.status = "status", bounded(text(payload.get("phase")), NAME_LIMIT_CHARS)
            return ["status"], _text_delta("", frame, run)
        case "delta":
            run.chat = "delta"
            return _delta(run, t_ns, frame, shown)
        case "final":
            return _final(run, t_ns, frame, shown)
        case "aborted":
            piece = _settle(run, t_ns, shown)
            _end_chat(run, t_ns, "aborted")
            run.t_ended_ns = t_ns
            _keep_stop_reason(run, payload)
            # by a request (``rpc``), or because there was no text (``stop``)
            error = StreamError("cancelled", f"the gateway aborted the run ({run.stop_reason or 'no reason'})")
            return ["chat-aborted"], Delta(text=piece, error=error, raw=raw(frame))
        case "error":
            return _error(run, t_ns, frame)
        case _:
            return [], _text_delta("", frame, run)


def _delta(run: GatewayRun, t_ns: int, frame: GatewayEvent, shown: str) -> Step:
    if run.text_source == "agent":
        return [], _text_delta("", frame, run)
    whole = shown if "message" in frame.payload else None
    piece = frame.payload.get("deltaText")
    replace = frame.payload.get("replace") is True
    new = run.answer.add(whole, piece if isinstance(piece, str) else None, replace=replace)
    if new:
        run.text_source, run.t_text_ns = "chat", t_ns
    return _text_kinds(new, replace=replace), _text_delta(new, frame, run)


def _final(run: GatewayRun, t_ns: int, frame: GatewayEvent, shown: str) -> Step:
    _end_chat(run, t_ns, "final")
    if not shown:
        run.empty_final = True
        if run.lifecycle in ("end", "error"):
            run.t_ended_ns = t_ns
        return ["chat-empty"], _text_delta("", frame, run)
    piece = _settle(run, t_ns, shown)
    run.empty_final, run.t_ended_ns = False, t_ns
    _keep_stop_reason(run, frame.payload)
    return [*_text_kinds(piece, replace=False), "chat-final"], _final_delta(piece, run, frame)


def _error(run: GatewayRun, t_ns: int, frame: GatewayEvent) -> Step:
    """A failed run may send two errors; the first message is nearer to the cause."""
    if not run.chat_errors:
        run.error = bounded(text(frame.payload.get("errorMessage")), QUOTED_LIMIT_CHARS) or run.error
        run.error_kind = bounded(text(frame.payload.get("errorKind")), NAME_LIMIT_CHARS) or None
    run.chat_errors += 1
    _end_chat(run, t_ns, "error")
    run.t_ended_ns = t_ns
    return ["chat-error"], failed_delta(run, frame)


def _end_chat(run: GatewayRun, t_ns: int, state: Literal["final", "aborted", "error"]) -> None:
    run.chat = state
    run.t_chat_ended_ns = run.t_chat_ended_ns or t_ns


def _settle(run: GatewayRun, t_ns: int, shown: str) -> str:
    piece = run.answer.settle(shown)
    if piece:
        run.t_text_ns = t_ns
        run.text_source = run.text_source or "chat"
    return piece


# -- deltas ------------------------------------------------------------------------------------------------------------


def raw(frame: Frame) -> str:
    """The frame as evidence, bounded."""
    try:
        return bounded(encode(frame), FRAME_LIMIT_CHARS)
    except (TypeError, ValueError, RecursionError):
        return ""


def failed_delta(run: GatewayRun, frame: Frame) -> Delta:
    """An error that the chat, or the sender of the message, got."""
    error = StreamError("in-stream", bounded(run.error, QUOTED_LIMIT_CHARS) or "error", code=run.error_kind)
    return Delta(error=error, raw=raw(frame))


def _text_delta(piece: str, frame: Frame, run: GatewayRun) -> Delta:
    """New text, or a frame without any."""
    return Delta(text=piece, raw=raw(frame), model=run.model or None, response_id=run.id)


def _final_delta(piece: str, run: GatewayRun, frame: Frame) -> Delta:
    """The answer is complete."""
    return Delta(text=piece, finish_reason=run.stop_reason or "stop", done=True, raw=raw(frame))


def _text_kinds(new: str, *, replace: bool) -> list[ChangeKind]:
    replaced: list[ChangeKind] = ["replaced"] if replace else []
    return [*replaced, "text"] if new else replaced


def _keep_stop_reason(run: GatewayRun, payload: Payload) -> None:
    run.stop_reason = bounded(text(payload.get("stopReason")), NAME_LIMIT_CHARS) or run.stop_reason
