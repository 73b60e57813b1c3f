"""A session: its history, the run that is open, and the messages that wait for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from kmon.openclaw.simulated.frames_v3 import now_ms
from kmon.openclaw.simulated.run import Message, Run

ROW_LIMIT = 200
CONTEXT_ROWS = 20
"""How much of the history a model call is told."""


@dataclass(slots=True)
class Session:
    """One conversation, addressed by ``key``."""

    key: str
    id: str
    rows: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ROW_LIMIT))
    active: Run | None = None
    queue: list[Message] = field(default_factory=list)
    held: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Frames that are only sent with the next message (held delivery)."""
    updated_ms: int = field(default_factory=now_ms)
    aborted_last_run: bool = False

    def add(self, run_id: str, row: dict[str, Any]) -> None:
        """A row of history, with what every row has."""
        self.updated_ms = now_ms()
        marked = {"__openclaw": {"runId": run_id, "seq": len(self.rows) + 1}}
        self.rows.append({**row, "timestamp": self.updated_ms, **marked})

    def context(self) -> list[dict[str, str]]:
        """The plain words of the conversation so far, oldest first, as a model call is told them."""
        said = []
        for row in list(self.rows)[-CONTEXT_ROWS:]:
            text = words(row)
            if row["role"] in ("user", "assistant") and text:
                said.append({"role": row["role"], "content": text})
        return said


def words(row: dict[str, Any]) -> str:
    """The text of a row."""
    content = row.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or () if part.get("type") == "text")
