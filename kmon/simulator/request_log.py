"""The server's own account of what happened, so that a test can hold a client's account against it.

Times are CLOCK_MONOTONIC ns. Everything is bounded: the newest requests and the first stamps of each are kept.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Sequence
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
    user_agent: str = ""
    tries: int = 1
    """How often this client has asked this, in the same words, of the same provider and model; this time included."""
    again_ms: float = 0.0
    """From the end of the try before to this request; below 0 where that one was still open."""
    bytes: int = 0
    chunks: int = 0
    t_last_sent_ns: int | None = None
    unsent_bytes: int = 0
    """What the client left lying when it last did not read; what its kernel took for it is not counted."""
    released: bool = False
    """Whether this request let a held answer of its conversation go on."""
    ended: Ended = "open"
    t_ended_ns: int | None = None
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    _blocked_since_ns: int | None = None
    _longest_blocked_ns: int = 0

    @property
    def hidden_retry(self) -> bool:
        """Whether a library tried again by itself."""
        return self.client_attempt > 1

    def sent(self, size_bytes: int, t_ns: int, *, chunk: bool) -> None:
        """Count a piece; ``t_ns`` is the time just before it was written."""
        self.bytes += size_bytes
        self.t_last_sent_ns = t_ns
        if chunk:
            self.chunks += 1
            if len(self.stamps_ns) < STAMP_LIMIT:
                self.stamps_ns.append(t_ns)

    def blocked(self, t_ns: int, unsent_bytes: int) -> None:
        """The client takes no more: its window is full, and so are the buffers before it."""
        self._blocked_since_ns, self.unsent_bytes = t_ns, unsent_bytes

    def unblocked(self, t_ns: int) -> None:
        """It reads again, or has gone."""
        self._longest_blocked_ns = int(self.blocked_ms(t_ns) * 1e6)
        self._blocked_since_ns = None

    def blocked_ms(self, now_ns: int) -> float:
        """The longest time, up to now, in which the client took nothing of what was there for it."""
        since_ns = now_ns if self._blocked_since_ns is None else self._blocked_since_ns
        return max(self._longest_blocked_ns, now_ns - since_ns) / 1e6

    def end(self, how: Ended) -> None:
        """Close the account; only the first reason counts."""
        if self.ended == "open":
            self.ended = how
            self.t_ended_ns = time.monotonic_ns()

    def row(self, *, stamps: bool) -> dict[str, Any]:
        names = [name for name in self.__slots__ if name != "stamps_ns" and not name.startswith("_")]
        row = {name: getattr(self, name) for name in names} | {"hidden_retry": self.hidden_retry}
        return {**row, "stamps_ns": self.stamps_ns.tolist()} if stamps else row


class Ledger:
    """Counters of connections and the newest exchanges."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.requests = 0
        self._exchanges: deque[Exchange] = deque(maxlen=REQUEST_LIMIT)
        self._last: OrderedDict[tuple[str, ...], Exchange] = OrderedDict()

    def exchange(self, connection: int, t_accept_ns: int, method: str, path: str) -> Exchange:
        """Open the account of a request that has arrived now."""
        self.requests += 1
        exchange = Exchange(self.requests, connection, t_accept_ns, time.monotonic_ns(), method, path)
        self._exchanges.append(exchange)
        return exchange

    def asked(self, exchange: Exchange, fault: str = "") -> None:
        """What is asked, with the fault the client asked for, is known by now: tell whether it has asked it before."""
        key = (exchange.user_agent, exchange.provider, exchange.model, exchange.conversation, fault)
        before = self._last.pop(key, None)
        self._last[key] = exchange
        if len(self._last) > REQUEST_LIMIT:
            self._last.popitem(last=False)
        if before is not None:
            exchange.tries = before.tries + 1
            ended_ns = before.t_ended_ns
            exchange.again_ms = -1.0 if ended_ns is None else (exchange.t_request_ns - ended_ns) / 1e6

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The newest ones, the oldest first."""
        return tuple(self._exchanges)

    def report(self, *, stamps: bool) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "connections": {"opened": self.opened, "closed": self.closed, "open": self.opened - self.closed},
            "requests_total": self.requests,
            "requests_dropped": self.requests - len(self._exchanges),
            "requests": [exchange.row(stamps=stamps) for exchange in self._exchanges],
        }
