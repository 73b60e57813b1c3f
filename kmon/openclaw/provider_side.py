"""Which exchanges of a proxy were made for a gateway's run, and how they stand.

A gateway rewrites the user's message, so the text cannot always be matched. The time can: a gateway calls its provider
after the run began. An exchange belongs to the latest run that began before it and was open then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import Tracker
from kmon.proxy.provider_call import ProviderCall

S = 1_000_000_000
EARLY_NS = S // 2
"""A provider call may be seen this much before the event that its run began."""
FLOWING_NS = 2 * S
"""A provider with progress within this is flowing."""
CALLS_LIMIT = 200

ProviderState = Literal["unknown", "none", "silent", "flowing", "finished"]
"""``unknown``: not watched. ``none``: watched and not called. ``silent``: called, and nothing comes."""


@dataclass(frozen=True, slots=True)
class ProviderSide:
    """The provider's side of a run, as a proxy in front of it sees it."""

    state: ProviderState = "unknown"
    silent_s: float = 0.0
    """Since its last byte, or since it was called."""
    chunks: int = 0
    ended_s: float = 0.0
    """Since it finished."""


ProviderLookup = Callable[[Tracker, GatewayRun, int], ProviderSide | None]
"""The provider's side of a run at a CLOCK_MONOTONIC ns; None where it is not watched."""


class CallLog:
    """The latest snapshot of each exchange of one proxy: the newest :data:`CALLS_LIMIT` exchanges."""

    def __init__(self) -> None:
        self._calls: dict[str, ProviderCall] = {}

    def record(self, call: ProviderCall) -> None:
        self._calls[call.run] = call
        while len(self._calls) > CALLS_LIMIT:
            del self._calls[next(iter(self._calls))]

    @property
    def calls(self) -> Sequence[ProviderCall]:
        return tuple(self._calls.values())


def provider_side(
    run: GatewayRun, runs: Iterable[GatewayRun], calls: Iterable[ProviderCall], now_ns: int
) -> ProviderSide:
    """How the latest exchange made for ``run`` stands; ``runs`` are all runs that may have made ``calls``."""
    known = list(runs)
    own = [call for call in calls if _caller(call, known) is run]
    if not own:
        return ProviderSide("none")
    last = max(own, key=lambda call: call.opened_ns)
    if last.finished_ns is not None:
        return ProviderSide("finished", chunks=last.chunks, ended_s=_seconds(now_ns - last.finished_ns))
    silent_ns = now_ns - (last.last_progress_ns or last.first_byte_ns or last.opened_ns)
    if last.unread and silent_ns < FLOWING_NS:
        return ProviderSide("unknown")  # the bytes may be keep-alives
    flows = last.last_progress_ns is not None and silent_ns < FLOWING_NS
    return ProviderSide("flowing" if flows else "silent", _seconds(silent_ns), last.chunks)


def _caller(call: ProviderCall, runs: Iterable[GatewayRun]) -> GatewayRun | None:
    begun = [
        run
        for run in runs
        if run.begun_ns - EARLY_NS <= call.opened_ns
        and (run.t_ended_ns is None or call.opened_ns <= run.t_ended_ns or run.begun_ns > run.t_ended_ns)
        and run.begun
    ]
    return max(begun, key=lambda run: run.begun_ns, default=None)


def _seconds(span_ns: int) -> float:
    return max(0, span_ns) / S
