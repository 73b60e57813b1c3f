"""Reads kmon's own recordings (``kmon run --json``): each attempt becomes an equivalent chat stream.

The events do not have the bytes of the response, so a Chat Completions stream is generated with the same text, tool
calls, usage and errors, one SSE event per chunk, and the recorded arrival times.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from kmon.dialects.chat import Chat
from kmon.dialects.json_access import count, items, members, text
from kmon.recording.interaction import Interaction, Request

HEADERS = {"content-type": "text/event-stream"}
LINE_TYPES = ("race_started", "run_queued", "attempt_started", "delta", "run_ended", "race_ended")


def is_trace(lines: list[dict[str, Any]]) -> bool:
    """Whether the JSON lines are events of a kmon race."""
    return any(line.get("type") in LINE_TYPES for line in lines[:20])


def interactions_of(lines: list[dict[str, Any]]) -> list[Interaction]:
    """One interaction per attempt, in order of first appearance."""
    attempts: dict[tuple[str, int], _Attempt] = {}
    targets: dict[str, str] = {}
    ended: dict[str, dict[str, Any]] = {}
    for line in lines:
        run, number = text(line.get("run")), count(line.get("attempt")) or 1
        kind = line.get("type")
        if kind == "run_queued":
            targets[run] = text(line.get("label")) or text(line.get("target"))
        elif kind == "run_ended":
            ended[run] = line
        elif kind in ("attempt_started", "headers", "delta", "attempt_ended"):
            attempts.setdefault((run, number), _Attempt()).add(line)
    for run in ended:
        if not any(key[0] == run for key in attempts):
            attempts[run, 1] = _Attempt()
    last = dict(key for key, attempt in attempts.items() if not attempt.nudge)
    found = []
    for index, ((run, number), attempt) in enumerate(attempts.items()):
        if last.get(run) == number and run in ended:
            attempt.complete(ended[run])
        found.append(attempt.interaction(index, targets.get(run, "")))
    return found


class _Attempt:
    """Collects the lines of one attempt."""

    def __init__(self) -> None:
        self.nudge = False
        self._url = ""
        self._status: int | None = None
        self._started_ns: int | None = None
        self._deltas: list[dict[str, Any]] = []
        self._error: dict[str, Any] = {}
        self._model = ""
        self._label = ""

    def add(self, line: dict[str, Any]) -> None:
        kind = line["type"]
        if kind == "attempt_started":
            self.nudge = line.get("role") == "nudge"
            self._url, self._started_ns = text(line.get("url")), count(line.get("t_ns"))
        elif kind == "headers":
            self._status = count(line.get("status"))
        elif kind == "delta":
            self._deltas.append(line)
            self._model = self._model or text(line.get("model"))
        else:
            self._error = members(line.get("error"))

    def complete(self, ended: dict[str, Any]) -> None:
        """Add from ``run_ended`` what the delta lines lack: a program may have kept the ``run_ended`` lines only."""
        self._error = self._error or members(ended.get("error"))
        self._label = text(ended.get("label")) or text(ended.get("target"))
        if not self._deltas:
            delta = {"kind": "text", "text": ended.get("text"), "reasoning": ended.get("reasoning")}
            self._deltas.append(delta)
        if not any("tools" in delta for delta in self._deltas) and ended.get("tool_calls"):
            calls = [members(call) | {"index": at} for at, call in enumerate(items(ended.get("tool_calls")))]
            self._deltas = [delta for delta in self._deltas if delta.get("kind") != "tool"]
            self._deltas.append({"kind": "tool", "tools": calls})
        for key in ("finish_reason", "usage"):
            if ended.get(key) and not any(delta.get(key) for delta in self._deltas):
                self._deltas.append({key: ended[key]})
        if ended.get("state") == "done" and not ended.get("signature") and not any(d.get("done") for d in self._deltas):
            self._deltas.append({"done": True, "chunk": False})

    def interaction(self, index: int, label: str) -> Interaction:
        if self._status is None and self._error.get("kind") == "http":
            self._status = count(self._error.get("status"))
        headers, body = HEADERS, b"".join(map(_event, self._deltas))
        if self._status is not None and self._status >= 400:
            headers = {"content-type": "application/json"}
            body = _json({"error": {key: self._error.get(key) for key in ("message", "code")}})
        elif self._status is None and (self._deltas or not self._error):
            self._status = 200
        model = self._model or (label or self._label).partition("/")[2]
        request = Request("POST", self._url, {}, _json({"model": model, "messages": [], "stream": True}))
        times = [ns for delta in self._deltas if (ns := count(delta.get("t_ns"))) is not None]
        began = self._started_ns if self._started_ns is not None else (times[0] if times else 0)
        return Interaction(
            index,
            request,
            self._status,
            headers,
            body,
            Chat.name,  # the dialect of the generated stream
            True,
            (times[-1] - began) / 1e6 if times else None,
            tuple((ns - times[0]) / 1e6 for ns in times) if len(times) == len(self._deltas) else (),
        )


def _event(line: dict[str, Any]) -> bytes:
    kind, content = line.get("kind"), text(line.get("text"))
    if kind == "keepalive" and not line.get("done"):
        return b": keep-alive\n\n"
    if line.get("done"):
        return b"data: [DONE]\n\n"
    error = members(line.get("error"))
    if error.get("kind") == "malformed-frame":
        frame = " ".join((text(error.get("frame")) or text(line.get("raw")) or "{").split())
        return b"data: " + frame.encode("utf-8", "replace") + b"\n\n"
    delta: dict[str, Any] = {}
    if kind in ("text", "reasoning") and content:
        delta["content" if kind == "text" else "reasoning_content"] = content
    if reasoning := text(line.get("reasoning")):
        delta["reasoning_content"] = reasoning
    if tools := items(line.get("tools")):
        delta["tool_calls"] = [_tool(members(tool)) for tool in tools]
    elif kind == "tool" and content:
        delta["tool_calls"] = [_tool({"arguments": content})]
    chunk: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
    if line.get("finish_reason"):
        chunk["choices"][0]["finish_reason"] = line["finish_reason"]
    if usage := members(line.get("usage")):
        details = {"completion_tokens_details": {"reasoning_tokens": usage.get("reasoning_tokens")}}
        chunk["usage"] = usage | details
    if line.get("model"):
        chunk["model"] = line["model"]
    if error or kind == "error":
        chunk["error"] = {
            "message": text(error.get("message")) or content,
            "code": error.get("code") or error.get("status"),
        }
    return b"data: " + _json(chunk) + b"\n\n"


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    arguments: object = text(tool.get("arguments"))
    if tool.get("whole") is True:
        with suppress(ValueError):
            arguments = json.loads(text(arguments))
    function = {"name": text(tool.get("name")), "arguments": arguments}
    return {"index": count(tool.get("index")) or 0, "id": text(tool.get("id")), "function": function}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
