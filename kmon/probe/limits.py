"""The time limits of an attempt: their values, which of them is due next, and the timer that ends the attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kmon.stream.timeline import S, Timeline


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one attempt in seconds; None is no limit. ``timeout_s`` bounds the whole attempt.

    The limits for headers and first token count from the sent request; those for silence on the byte and the chunk
    clock from the response headers, that on the progress clock from the first token.
    """

    stall_s: float
    timeout_s: float
    connect_timeout_s: float
    header_s: float | None = None
    first_token_s: float | None = None
    byte_s: float | None = None
    chunk_s: float | None = None
    idle_s: float | None = None

    @property
    def any_wait(self) -> bool:
        """Whether any limit of :func:`next_due` is set."""
        waits = (self.header_s, self.first_token_s, self.byte_s, self.chunk_s, self.idle_s)
        return any(limit_s is not None for limit_s in waits)


class Due(NamedTuple):
    """A limit and when it passes (ns). ``setting`` is the name of its setting, ``sentence`` describes it."""

    at_ns: int
    setting: str
    sentence: str


def next_due(timeline: Timeline, limits: Limits) -> Due | None:
    """The limit that passes first if nothing more arrives; None after the end, or if none is set. Pure.

    The limits of the whole attempt and of the connection are not among them; the attempt and the transport apply them.
    """
    if timeline.t_finish is not None or timeline.t_done is not None or timeline.t_closed is not None:
        return None
    sent_ns, headers_ns, token_ns = timeline.t_request_sent, timeline.t_headers, timeline.progress.last_ns
    running = (
        (sent_ns if headers_ns is None else None, limits.header_s, "header_timeout_s", "no response headers within"),
        (sent_ns if token_ns is None else None, limits.first_token_s, "first_token_timeout_s", "no token within"),
        (_later(headers_ns, timeline.byte.last_ns), limits.byte_s, "byte_timeout_s", "no byte for"),
        (_later(headers_ns, timeline.chunk.last_ns), limits.chunk_s, "chunk_timeout_s", "no chunk for"),
        (token_ns, limits.idle_s, "idle_timeout_s", "no token for"),
    )
    return min(
        (
            Due(start_ns + int(limit_s * S), setting, f"{_limit_name(setting)}: {words} {limit_s:g} s")
            for start_ns, limit_s, setting, words in running
            if start_ns is not None and limit_s is not None
        ),
        default=None,
    )


def _later(headers_ns: int | None, last_ns: int | None) -> int | None:
    return None if headers_ns is None else max(headers_ns, last_ns or 0)


def _limit_name(setting: str) -> str:
    return setting.removesuffix("_timeout_s").replace("_", "-") + " timeout"


CONFIRM_S = 0.02
"""A limit must be found passed twice, this far apart, so that data which arrived while the loop was late is read."""


class LimitWatch:
    """Calls ``end`` once, when a limit has passed; ``passed`` is that limit from then on."""

    def __init__(self, timeline: Timeline, limits: Limits, end: Callable[[], None]) -> None:
        self._timeline, self._limits, self._end = timeline, limits, end
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._stopped = not limits.any_wait
        self.passed: Due | None = None

    def update(self) -> None:
        """Make sure that the timer fires no later than the next limit. It is not moved per chunk."""
        due = None if self._stopped else next_due(self._timeline, self._limits)
        if due is not None and (self._timer is None or due.at_ns < self._timer_ns):
            self._set(due.at_ns, (due.at_ns - time.monotonic_ns()) / S, again=False)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at_ns: int, wait_s: float, *, again: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = at_ns
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._fire, again)

    def _fire(self, again: bool) -> None:
        self._timer = None
        due = next_due(self._timeline, self._limits)
        if due is None or due.at_ns > time.monotonic_ns():
            self.update()
        elif again:
            self.passed = due
            self.stop()
            self._end()
        else:
            self._set(due.at_ns, CONFIRM_S, again=True)
