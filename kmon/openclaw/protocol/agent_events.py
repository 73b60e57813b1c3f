"""``agent`` events: what the gateway's agent does in a run, whatever a chat is told of it."""

from __future__ import annotations

from typing import Any

from kmon.dialects.bounds import NAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.json_access import count, members, text
from kmon.openclaw.protocol import deltas
from kmon.openclaw.protocol.frames import GatewayEvent
from kmon.openclaw.protocol.run import TOOLS_LIMIT, GatewayRun, Tool

Step = tuple[list[str], Delta | None]


def on_agent(run: GatewayRun, t_ns: int, frame: GatewayEvent, said: dict[str, Any]) -> Step:
    """Fold one event in; return what changed, in words, and what it means as a delta."""
    told = members(said.get("data"))
    match said.get("stream"):
        case "lifecycle":
            return _lifecycle(run, t_ns, frame, told)
        case "assistant":
            return _assistant(run, t_ns, frame, told, count(said.get("seq")))
        case "tool" | "item":
            return _tool(run, t_ns, frame, told)
        case "usage":
            tokens = count(told.get("outputTokens"))
            if tokens is None:
                return [], deltas.said("", frame, run)
            run.output_tokens = tokens
            return ["usage"], deltas.tokens(tokens, frame)
        case "run_status":
            run.status = bounded(text(told.get("phase")), NAME_LIMIT_CHARS)
            return ["status"], deltas.said("", frame, run)
        case _:  # command output, and the gateway's own notice of a gap
            return [], deltas.said("", frame, run)


def _lifecycle(run: GatewayRun, t_ns: int, frame: GatewayEvent, told: dict[str, Any]) -> Step:
    match told.get("phase"):
        case "start":
            words = _start(run, t_ns)
        case "model":
            if name := text(told.get("model")):
                run.model = bounded(name, NAME_LIMIT_CHARS)
                run.provider = bounded(text(told.get("provider")), NAME_LIMIT_CHARS)
            if run.t_ended_ns is None:
                run.lifecycle = "model"
            words = ["model"]
        case "finishing":
            run.lifecycle = "finishing"
            run.failed_try = run.failed_try or bool(told.get("error"))
            words = ["finishing"]
        case "end":
            words = _end(run, t_ns, "end")
            run.stop_reason = bounded(text(told.get("stopReason")), NAME_LIMIT_CHARS) or run.stop_reason
            if run.unseen_chars:  # the chat ended before; this is the only end of what came after
                return words, deltas.final("", run, frame)
        case "error":
            words = _end(run, t_ns, "error")
            run.failed_try = True
            run.error = bounded(text(told.get("error")), QUOTED_LIMIT_CHARS) or run.error
        case _:
            words = []
    return words, deltas.said("", frame, run)


def _start(run: GatewayRun, t_ns: int) -> list[str]:
    again = run.t_started_ns is not None
    run.silent_retry = run.silent_retry or (again and run.t_chat_ended_ns is not None)
    run.t_started_ns = run.t_started_ns or t_ns
    run.tries += 1
    run.lifecycle, run.t_ended_ns, run.last_assistant_seq = "start", None, 0
    if run.chat == "error":
        run.spoken_by = "agent"
    if not again:
        return ["started"]
    if run.failed_try:
        run.answer.restart()
        run.failed_try = False
    return ["started", "retry"]


def _end(run: GatewayRun, t_ns: int, how: str) -> list[str]:
    run.lifecycle = "end" if how == "end" else "error"
    run.t_ended_ns = t_ns
    for tool in run.tools.values():
        tool.phase = "result"
    return ["ended"]


def _assistant(run: GatewayRun, t_ns: int, frame: GatewayEvent, told: dict[str, Any], seq: int | None) -> Step:
    if run.spoken_by == "chat" or (seq is not None and seq <= run.last_assistant_seq):
        return [], deltas.said("", frame, run)
    run.last_assistant_seq = run.last_assistant_seq if seq is None else seq
    if run.t_started_ns is None:  # joined in the middle
        run.t_started_ns, run.tries = t_ns, run.tries or 1
    whole, piece = told.get("text"), told.get("delta")
    replace = told.get("replace") is True
    new = run.answer.add(
        whole if isinstance(whole, str) else None, piece if isinstance(piece, str) else None, replace=replace
    )
    words = ["replaced"] if replace else []
    if new:
        run.spoken_by, run.t_text_ns = "agent", t_ns
        words.append("text")
        if run.t_chat_ended_ns is not None:
            run.unseen_chars += len(new)
    return words, deltas.said(new, frame, run)


def _tool(run: GatewayRun, t_ns: int, frame: GatewayEvent, told: dict[str, Any]) -> Step:
    """A tool's phase: ``tool`` events go to who sent the message alone, ``item`` events (protocol 4) to all."""
    call = bounded(text(told.get("toolCallId")), NAME_LIMIT_CHARS)
    if not call:
        return [], deltas.said("", frame, run)
    run.t_tool_ns = t_ns
    tool = run.tools.get(call)
    if tool is None:
        if len(run.tools) >= TOOLS_LIMIT:
            return [], deltas.said("", frame, run)
        tool = run.tools[call] = Tool(len(run.tools), bounded(text(told.get("name")), NAME_LIMIT_CHARS), t_ns)
        first = True
    else:
        first = False
    phase = told.get("phase")
    if phase in ("result", "end"):
        tool.phase = "result"
        tool.is_error = tool.is_error or told.get("isError") is True or told.get("status") == "failed"
    elif phase == "update" and tool.phase != "result":
        tool.phase = "update"
    arguments = told.get("args") if not tool.has_arguments else None
    tool.has_arguments = tool.has_arguments or arguments is not None
    if first or arguments is not None:
        return ["tool"], deltas.tool_call(call, tool, arguments, frame)
    return ["tool"], deltas.said("", frame, run)
