"""Joins two vantage points: which of a proxy's exchanges were made for a gateway's run, and how they stand now.

A gateway rewrites what the user said, so the words cannot always tell. What can: a gateway asks its provider after the
run began. An exchange belongs to the run that began last before it and was open then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.runs import Tracker
from kmon.openclaw.snapshot import ProviderSide
from kmon.proxy.call import ProviderCall

S = 1_000_000_000
EARLY_NS = S // 2
"""A gateway may ask before its word that the run began has come."""
CALLS_LIMIT = 200

Sighting = Callable[[Tracker, GatewayRun, int], ProviderSide | None]
"""The provider's side of a run at a moment; None where nobody looks at it."""


class CallLog:
    """The exchanges of one proxy, as they were last heard of: the newest :data:`CALLS_LIMIT`."""

    def __init__(self) -> None:
        self._calls: dict[str, ProviderCall] = {}

    def hear(self, call: ProviderCall) -> None:
        self._calls[call.run] = call
        while len(self._calls) > CALLS_LIMIT:
            del self._calls[next(iter(self._calls))]

    @property
    def calls(self) -> Sequence[ProviderCall]:
        return tuple(self._calls.values())


def provider_side(
    run: GatewayRun, runs: Iterable[GatewayRun], calls: Iterable[ProviderCall], now_ns: int, flowing_ns: int
) -> ProviderSide:
    """The latest exchange of ``run``: it flows if anything came within ``flowing_ns``."""
    known = list(runs)
    mine = [call for call in calls if _asked_for(call, known) is run]
    if not mine:
        return ProviderSide("none")
    last = max(mine, key=lambda call: call.opened_ns)
    if last.finished_ns is not None:
        return ProviderSide("finished", chunks=last.chunks, ended_s=_seconds(now_ns - last.finished_ns))
    heard_ns = last.last_progress_ns or last.first_byte_ns or last.opened_ns
    silent_ns = now_ns - heard_ns
    if last.unread and silent_ns < flowing_ns:
        return ProviderSide("unknown")  # what comes may be keep-alives
    flows = last.last_progress_ns is not None and silent_ns < flowing_ns
    return ProviderSide("flowing" if flows else "silent", _seconds(silent_ns), last.chunks)


def _asked_for(call: ProviderCall, runs: Iterable[GatewayRun]) -> GatewayRun | None:
    begun = [
        run
        for run in runs
        if (began_ns := run.t_started_ns or run.t_first_ns) - EARLY_NS <= call.opened_ns
        and (run.t_ended_ns is None or call.opened_ns <= run.t_ended_ns or began_ns > run.t_ended_ns)
        and run.begun
    ]
    return max(begun, key=lambda run: run.t_started_ns or run.t_first_ns, default=None)


def _seconds(span_ns: int) -> float:
    return max(0, span_ns) / S
