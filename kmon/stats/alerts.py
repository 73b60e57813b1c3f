"""Compares the health of each target with thresholds, and raises one alert per crossing until the target recovers."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from kmon.format import percentage
from kmon.stats.health import HealthCounter
from kmon.stream.events import AttemptEnded, AttemptStarted, Event, RunEnded, RunQueued
from kmon.stream.target_events import Alert, AlertRule, TargetHealth

STREAMS_NEEDED = 5
"""Successful streams needed before their average number of chunks is judged; one short answer proves nothing."""
_ROUNDING = 1e-9


class AlertThresholds(Struct, frozen=True, kw_only=True):
    """When to alert; 0 turns a rule off.

    ``success_rate`` is a share from 0 to 1, ``failures`` a number in a row, ``chunks`` an average per successful
    stream: an answer in one or two chunks was buffered between the model and kmon.
    """

    success_rate: float = 0.95
    failures: float = 5
    chunks: float = 3.0

    @property
    def rate_needs(self) -> int:
        """Streams needed before the success rate is judged; with fewer, a single failure would raise an alert.

        20 for 95 %, where two failures raise it. ``failures`` covers a target that fails from the start.
        """
        return ceil(1 / max(1 - self.success_rate, 0.01) - _ROUNDING)


class _Breach(NamedTuple):
    rule: AlertRule
    figure: float
    threshold: float
    sentence: str


class AlertMonitor:
    """Computes the health of every target from the events of a race, and the alerts that follow from it."""

    def __init__(self, thresholds: AlertThresholds) -> None:
        self._thresholds = thresholds
        self._target_of: dict[str, str] = {}
        self._fallback_targets: dict[tuple[str, int], str] = {}
        """By run and attempt: the target of each open attempt that fell back from the target of its run."""
        self._streams: dict[str, HealthCounter] = {}
        self._crossed: set[tuple[str, AlertRule]] = set()

    def follow(self, run: str, target: str) -> None:
        """Note that a run of ``target`` begins, or begins again after its end."""
        self._target_of[run] = target

    def watch(self, event: Event) -> Iterator[TargetHealth | Alert]:
        """Yield the health of the target whose attempt ended with ``event``, then the alerts that it raises."""
        if isinstance(event, RunQueued):
            self.follow(event.run, event.target)
        elif isinstance(event, RunEnded):
            self._target_of.pop(event.run, None)
        elif isinstance(event, AttemptStarted) and event.target:
            self._fallback_targets[event.run, event.attempt] = event.target
        elif isinstance(event, AttemptEnded) and (target := self._target_of_attempt(event)) is not None:
            health = self._streams.setdefault(target, HealthCounter(target)).add(event)
            if health is not None:
                yield health
                yield from self._alerts(health)

    def _target_of_attempt(self, ended: AttemptEnded) -> str | None:
        return self._fallback_targets.pop((ended.run, ended.attempt), None) or self._target_of.get(ended.run)

    def _alerts(self, health: TargetHealth) -> Iterator[Alert]:
        found = breached(health, self._thresholds)
        for breach in found:
            if (health.target, breach.rule) not in self._crossed:
                yield Alert(health.t_ns, health.target, *breach[:3], health.streams, breach.sentence)
        crossed = {(health.target, breach.rule) for breach in found}
        self._crossed = {(target, rule) for target, rule in self._crossed if target != health.target} | crossed


def breached(health: TargetHealth, thresholds: AlertThresholds) -> list[_Breach]:
    """Every threshold that ``health`` crosses."""
    breaches: list[_Breach] = []
    least, target = thresholds.success_rate, health.target
    if least and health.streams >= thresholds.rate_needs and health.success_rate < least - _ROUNDING:
        text = f"{target}: only {percentage(health.success_rate)} of {health.streams} streams ended well"
        breaches.append(
            _Breach("success-rate", health.success_rate, least, f"{text} (alert below {percentage(least)})")
        )
    if thresholds.failures and health.consecutive_failures >= thresholds.failures:
        text = f"{target}: {health.consecutive_failures} streams in a row failed"
        if health.top_errors:
            text += f", most often {health.top_errors[0].name}"
        breaches.append(_Breach("consecutive-failures", health.consecutive_failures, thresholds.failures, text))
    average = health.chunks_per_stream
    if (
        thresholds.chunks
        and health.ok >= STREAMS_NEEDED
        and average is not None
        and average < thresholds.chunks - _ROUNDING
    ):
        text = (
            f"{target}: {average:.1f} chunks per stream on average of {health.ok} (alert below {thresholds.chunks:g})"
        )
        breaches.append(_Breach("chunks-per-stream", average, thresholds.chunks, f"{text}: answers are held back"))
    return breaches
