"""The server's log of its requests, against which a client's measurements can be compared.

Times are CLOCK_MONOTONIC ns. The log is bounded: the newest requests and the first stamps of each are kept.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Ended = Literal["open", "clean", "client", "reset", "stopped"]
"""How it ended: with the whole answer, by the client, by a reset or by a shutdown of the simulator."""

REQUEST_LIMIT = 1_000
STAMP_LIMIT = 20_000


@dataclass(slots=True)
class LoggedRequest:
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
    unfit: str = ""
    """Why it could not have the fault that each request is to get, as a sentence; empty when it had it."""
    stream: bool = False
    tools: bool = False
    tool_result: bool = False
    conversation: str = ""
    status: int = 0
    request_id: str = ""
    """The request id in the answer, by which a client finds its request here."""
    amz_sdk_request: str = ""
    amz_sdk_invocation_id: str = ""
    """The headers of the AWS SDKs; all attempts of one call share the invocation."""
    client_attempt: int = 0
    """Which attempt of one call this is by the library's headers, from 1; 0 when they do not say."""
    user_agent: str = ""
    tries: int = 1
    """How often this client sent this conversation to this provider and model, this time included."""
    again_ms: float = 0.0
    """From the end of the try before to this request; -1 where that one was still open."""
    bytes: int = 0
    chunks: int = 0
    t_last_sent_ns: int | None = None
    unsent_bytes: int = 0
    """Bytes that waited here when the client last did not read, without those in the kernel's buffers."""
    released: bool = False
    """Whether this request ended the pause of a held answer."""
    ended: Ended = "open"
    t_ended_ns: int | None = None
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    _blocked_since_ns: int | None = None
    _longest_blocked_ns: int = 0

    @property
    def hidden_retry(self) -> bool:
        """Whether it is a retry of the client's library."""
        return self.client_attempt > 1

    def sent(self, size_bytes: int, t_ns: int, *, chunk: bool) -> None:
        """Count a piece of the response; ``t_ns`` is the time just before it is written."""
        self.bytes += size_bytes
        self.t_last_sent_ns = t_ns
        if chunk:
            self.chunks += 1
            if len(self.stamps_ns) < STAMP_LIMIT:
                self.stamps_ns.append(t_ns)

    def blocked(self, t_ns: int, unsent_bytes: int) -> None:
        """The client takes no more: its receive window and the buffers before it are full."""
        self._blocked_since_ns, self.unsent_bytes = t_ns, unsent_bytes

    def unblocked(self, t_ns: int) -> None:
        """The client reads again, or has left."""
        self._longest_blocked_ns = int(self.blocked_ms(t_ns) * 1e6)
        self._blocked_since_ns = None

    def blocked_ms(self, now_ns: int) -> float:
        """The longest time, up to now, in which bytes waited and the client took none."""
        since_ns = now_ns if self._blocked_since_ns is None else self._blocked_since_ns
        return max(self._longest_blocked_ns, now_ns - since_ns) / 1e6

    def end(self, how: Ended) -> None:
        """Record the end; only the first call counts."""
        if self.ended == "open":
            self.ended = how
            self.t_ended_ns = time.monotonic_ns()

    def row(self, *, stamps: bool) -> dict[str, Any]:
        names = [name for name in self.__slots__ if name != "stamps_ns" and not name.startswith("_")]
        row = {name: getattr(self, name) for name in names} | {"hidden_retry": self.hidden_retry}
        return {**row, "stamps_ns": self.stamps_ns.tolist()} if stamps else row


class RequestLog:
    """Counts of connections, and the newest requests."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.requests = 0
        self._requests: deque[LoggedRequest] = deque(maxlen=REQUEST_LIMIT)
        self._last: OrderedDict[tuple[str, ...], LoggedRequest] = OrderedDict()

    def add(self, connection: int, t_accept_ns: int, method: str, path: str) -> LoggedRequest:
        """Log a request that has arrived now."""
        self.requests += 1
        logged = LoggedRequest(self.requests, connection, t_accept_ns, time.monotonic_ns(), method, path)
        self._requests.append(logged)
        return logged

    def count_try(self, logged: LoggedRequest, fault: str = "") -> None:
        """Set ``tries`` and ``again_ms``, once the conversation and the fault that the client asked for are known."""
        key = (logged.user_agent, logged.provider, logged.model, logged.conversation, fault)
        before = self._last.pop(key, None)
        self._last[key] = logged
        if len(self._last) > REQUEST_LIMIT:
            self._last.popitem(last=False)
        if before is not None:
            logged.tries = before.tries + 1
            ended_ns = before.t_ended_ns
            logged.again_ms = -1.0 if ended_ns is None else (logged.t_request_ns - ended_ns) / 1e6

    @property
    def newest(self) -> Sequence[LoggedRequest]:
        """The requests that are kept, oldest first."""
        return tuple(self._requests)

    def report(self, *, stamps: bool) -> dict[str, Any]:
        """The log as an object for JSON; with ``stamps``, the time of each chunk in ns."""
        return {
            "connections": {"opened": self.opened, "closed": self.closed, "open": self.opened - self.closed},
            "requests_total": self.requests,
            "requests_dropped": self.requests - len(self._requests),
            "requests": [logged.row(stamps=stamps) for logged in self._requests],
        }
