"""The server's own account of what happened, so that a test can hold a client's account against it.

Times are CLOCK_MONOTONIC ns. Everything is bounded: the newest requests and the first stamps of each are kept.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

Ended = Literal["open", "clean", "client", "reset", "stopped"]
"""How an exchange ended: answered to its end, left by the client first, reset by us, or cut off by our own shutdown."""

REQUEST_LIMIT = 1_000
STAMP_LIMIT = 20_000


@dataclass(slots=True)
class Exchange:
    """One request and what was sent for it."""

    id: int
    connection: int
    t_accept_ns: int
    t_request_ns: int
    method: str
    path: str
    provider: str = ""
    model: str = ""
    dialect: str = ""
    fault: str = ""
    stream: bool = False
    tools: bool = False
    tool_result: bool = False
    conversation: str = ""
    status: int = 0
    request_id: str = ""
    """The request id the answer carried, by which a client's account is found again here."""
    amz_sdk_request: str = ""
    amz_sdk_invocation_id: str = ""
    """What the AWS SDKs say of themselves; all attempts of one call share the invocation."""
    client_attempt: int = 0
    """Which attempt of one call this is, as the client's library tells it; 0 when it does not."""
    bytes: int = 0
    chunks: int = 0
    released: bool = False
    """Whether this request let a held answer of its conversation go on."""
    ended: Ended = "open"
    t_ended_ns: int | None = None
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))

    @property
    def hidden_retry(self) -> bool:
        """Whether a library tried again by itself."""
        return self.client_attempt > 1

    def sent(self, size_bytes: int, t_ns: int, *, chunk: bool) -> None:
        """Count a piece; ``t_ns`` is the time just before it was written."""
        self.bytes += size_bytes
        if chunk:
            self.chunks += 1
            if len(self.stamps_ns) < STAMP_LIMIT:
                self.stamps_ns.append(t_ns)

    def end(self, how: Ended) -> None:
        """Close the account; only the first reason counts."""
        if self.ended == "open":
            self.ended = how
            self.t_ended_ns = time.monotonic_ns()

    def row(self, *, stamps: bool) -> dict[str, Any]:
        names = [name for name in self.__slots__ if name != "stamps_ns"]
        row = {name: getattr(self, name) for name in names} | {"hidden_retry": self.hidden_retry}
        return {**row, "stamps_ns": self.stamps_ns.tolist()} if stamps else row


class Ledger:
    """Counters of connections and the newest exchanges."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.requests = 0
        self._exchanges: deque[Exchange] = deque(maxlen=REQUEST_LIMIT)

    def exchange(self, connection: int, t_accept_ns: int, method: str, path: str) -> Exchange:
        """Open the account of a request that has arrived now."""
        self.requests += 1
        exchange = Exchange(self.requests, connection, t_accept_ns, time.monotonic_ns(), method, path)
        self._exchanges.append(exchange)
        return exchange

    def report(self, *, stamps: bool) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "connections": {"opened": self.opened, "closed": self.closed, "open": self.opened - self.closed},
            "requests_total": self.requests,
            "requests_dropped": self.requests - len(self._exchanges),
            "requests": [exchange.row(stamps=stamps) for exchange in self._exchanges],
        }
