"""Alerts: a target's health against thresholds, said once when one is crossed and again only after it recovered."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from kmon.format import percentage
from kmon.stats.health import Streams
from kmon.stream.events import Alert, AlertRule, AttemptEnded, AttemptStarted, Event, RunEnded, RunQueued, TargetHealth

AVERAGED = 5
"""Streams that ended well before their average length is judged: one short answer is no habit."""
_ROUNDING = 1e-9


class AlertThresholds(Struct, frozen=True, kw_only=True):
    """When to alert; 0 turns a rule off. The defaults are those of the field report: 95 %, 5 and 3.

    ``success_rate`` is a share from 0 to 1, ``failures`` a number in a row, ``chunks`` an average per stream that
    ended well: an answer in one or two chunks was held back by something on the way.
    """

    success_rate: float = 0.95
    failures: float = 5
    chunks: float = 3.0

    @property
    def rate_needs(self) -> int:
        """Streams before the success rate is judged: with fewer, a single failure already is below the threshold.

        20 for 95 %, where it takes two failures. A target that fails from the start is caught by the failures in a row.
        """
        return ceil(1 / max(1 - self.success_rate, 0.01) - _ROUNDING)


class _Finding(NamedTuple):
    rule: AlertRule
    figure: float
    threshold: float
    sentence: str


class Vigil:
    """Watches a race: fed with its events, it gives back what they mean for the health of a target."""

    def __init__(self, thresholds: AlertThresholds) -> None:
        self._thresholds = thresholds
        self._target_of: dict[str, str] = {}
        self._elsewhere: dict[tuple[str, int], str] = {}
        """The target of each open attempt that is not at its run's own: it fell back."""
        self._streams: dict[str, Streams] = {}
        self._crossed: set[tuple[str, AlertRule]] = set()

    def follow(self, run: str, target: str) -> None:
        """A run that asks ``target`` has begun, or begins again after it had ended."""
        self._target_of[run] = target

    def watch(self, event: Event) -> Iterator[TargetHealth | Alert]:
        """The health of the target whose attempt ended, and the alerts that this one raised."""
        if isinstance(event, RunQueued):
            self.follow(event.run, event.target)
        elif isinstance(event, RunEnded):
            self._target_of.pop(event.run, None)
        elif isinstance(event, AttemptStarted) and event.target:
            self._elsewhere[event.run, event.attempt] = event.target
        elif isinstance(event, AttemptEnded) and (target := self._asked(event)) is not None:
            health = self._streams.setdefault(target, Streams(target)).add(event)
            if health is not None:
                yield health
                yield from self._alerts(health)

    def _asked(self, ended: AttemptEnded) -> str | None:
        return self._elsewhere.pop((ended.run, ended.attempt), None) or self._target_of.get(ended.run)

    def _alerts(self, health: TargetHealth) -> Iterator[Alert]:
        found = findings(health, self._thresholds)
        for finding in found:
            if (health.target, finding.rule) not in self._crossed:
                yield Alert(health.t_ns, health.target, *finding[:3], health.streams, finding.sentence)
        crossed = {(health.target, finding.rule) for finding in found}
        self._crossed = {(target, rule) for target, rule in self._crossed if target != health.target} | crossed


def findings(health: TargetHealth, thresholds: AlertThresholds) -> list[_Finding]:
    """Every threshold that a target is beyond right now."""
    found: list[_Finding] = []
    least, who = thresholds.success_rate, health.target
    if least and health.streams >= thresholds.rate_needs and health.success_rate < least - _ROUNDING:
        said = f"{who}: only {percentage(health.success_rate)} of {health.streams} streams ended well"
        found.append(_Finding("success-rate", health.success_rate, least, f"{said} (alert below {percentage(least)})"))
    if thresholds.failures and health.consecutive_failures >= thresholds.failures:
        said = f"{who}: {health.consecutive_failures} streams in a row failed"
        if health.top_errors:
            said += f", most often {health.top_errors[0].name}"
        found.append(_Finding("consecutive-failures", health.consecutive_failures, thresholds.failures, said))
    average = health.chunks_per_stream
    if thresholds.chunks and health.ok >= AVERAGED and average is not None and average < thresholds.chunks - _ROUNDING:
        said = f"{who}: {average:.1f} chunks per stream on average of {health.ok} (alert below {thresholds.chunks:g})"
        found.append(_Finding("chunks-per-stream", average, thresholds.chunks, f"{said}: answers are held back"))
    return found
