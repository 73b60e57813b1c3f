"""Runs that have ended, as values."""

from typing import Any

from kmon.catalog.load import load_catalog
from kmon.dialects.delta import StreamError, ToolCall
from kmon.model import Scenario
from kmon.stream.events import RunEnded

SCENARIOS = load_catalog().scenarios


def scenario(name: str) -> Scenario:
    return SCENARIOS[name]


def ended(**changes: object) -> RunEnded:
    """A run that ended well with ``It is 22 degrees.``, but for ``changes``."""
    usual: dict[str, Any] = {
        "t_ns": 0,
        "run": "r1.1",
        "target": "bedrock/kimi-k2.5",
        "attempts": 1,
        "state": "done",
        "signature": None,
        "evidence": "headers after 0.10 s, 9 chunks",
        "error": None,
        "ttft_ms": 400.0,
        "max_gap_ms": 90.0,
        "stalls": (),
        "chunks": 9,
        "text": "It is 22 degrees.",
        "reasoning": "",
        "tool_calls": (),
        "finish_reason": "stop",
        "usage": None,
        "response_id": "",
        "request_ids": {},
        "scenario": "tool-result",
        "duration_ms": 1_000.0,
    }
    return RunEnded(**(usual | changes))


def failed(kind: str, status: int | None = None, code: str | None = None, **changes: object) -> RunEnded:
    error = StreamError(kind, f"the message of {kind}", status, code)
    return ended(state="failed", text="", error=error, ttft_ms=None, **changes)


def calling(name: str, arguments: str, **changes: object) -> RunEnded:
    usual: dict[str, Any] = {"text": "", "tool_calls": (ToolCall("c1", name, arguments),), "scenario": "tool-call"}
    return ended(**(usual | changes))
