"""The one tool the simulated agent has, ``exec``, and what a command would do. Nothing is ever executed."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Struct

SLEEP = re.compile(r"sleep\s+(\d+(?:\.\d+)?)")
ECHO = re.compile(r"echo\s+(.+)")
SLEEP_LIMIT_S = 60.0

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "exec",
            "description": "exec",
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
            },
        },
    }
]


class ToolCall(Struct, frozen=True):
    """A call of the model. ``arguments`` is the JSON text it wrote."""

    id: str
    name: str
    arguments: str

    @property
    def args(self) -> dict[str, Any]:
        try:
            found = json.loads(self.arguments)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def command(self) -> str:
        return str(self.args.get("command", ""))

    @property
    def meta(self) -> str:
        """How the gateway puts a command in words."""
        first = self.command.split(";")[0].strip()[:80]
        return f"run {first}" if first else self.name


class ToolOutcome(Struct, frozen=True):
    """What a call would have printed, after how many seconds."""

    output: str
    duration_s: float


def pretend(call: ToolCall) -> ToolOutcome:
    """What ``call`` does: ``sleep N`` takes N seconds, ``echo`` prints, everything else does nothing."""
    steps = [step.strip() for step in call.command.split(";")]
    slept = sum(float(found[1]) for step in steps if (found := SLEEP.fullmatch(step)))
    printed = [found[1] for step in steps if (found := ECHO.fullmatch(step))]
    return ToolOutcome("\n".join(printed)[:2_000], min(slept, SLEEP_LIMIT_S))
