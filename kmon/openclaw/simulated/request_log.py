"""What the clients of a gateway did: connections, requests by method, runs, bytes. Bounded."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

RUN_LIMIT = 1_000


class GatewayLedger:
    """Counters and the newest runs, each a plain row that its run keeps up to date."""

    def __init__(self) -> None:
        self.opened = 0
        self.refused = 0
        self.closed: Counter[int] = Counter()
        self.requests: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.frames_out = 0
        self._runs: deque[dict[str, Any]] = deque(maxlen=RUN_LIMIT)

    def run(self, run_id: str, session_key: str) -> dict[str, Any]:
        """Open the row of a run that has been accepted now."""
        row: dict[str, Any] = {"run": run_id, "session": session_key, "state": "open", "provider_requests": 0}
        self._runs.append(row)
        return row

    def report(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        closed = sum(self.closed.values())
        return {
            "connections": {"opened": self.opened, "refused": self.refused, "open": self.opened - closed},
            "close_codes": {str(code): count for code, count in sorted(self.closed.items())},
            "requests": dict(sorted(self.requests.items())),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "frames_out": self.frames_out,
            "runs": list(self._runs),
        }
