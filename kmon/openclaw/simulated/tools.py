"""The one tool of the simulated agent, ``exec``, and the pretended result of a command. Nothing is executed."""

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


class ExecCall(Struct, frozen=True):
    """A tool call of the model. ``arguments`` is its JSON text."""

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
        """The gateway's description of a command."""
        first = self.command.split(";")[0].strip()[:80]
        return f"run {first}" if first else self.name


class ExecResult(Struct, frozen=True):
    """The output of a call, and how long it took."""

    output: str
    duration_s: float


def pretend(call: ExecCall) -> ExecResult:
    """The result of ``call``: ``sleep N`` takes N seconds, ``echo`` prints, everything else does nothing."""
    steps = [step.strip() for step in call.command.split(";")]
    slept = sum(float(found[1]) for step in steps if (found := SLEEP.fullmatch(step)))
    printed = [found[1] for step in steps if (found := ECHO.fullmatch(step))]
    return ExecResult("\n".join(printed)[:2_000], min(slept, SLEEP_LIMIT_S))
