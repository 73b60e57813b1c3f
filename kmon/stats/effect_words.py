"""Sentences about effects: how much more often one arm failed than others, with the interval and the counts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from kmon.format import listed
from kmon.stats.statistics import Interval


class Effect(Struct, frozen=True):
    """``worse`` failed more often than ``better``. The interval is of the difference, in shares.

    ``evidence`` are further words on the counts, beginning with a comma, or empty.
    """

    worse: str
    better: str
    worse_failed: int
    worse_n: int
    better_failed: int
    better_n: int
    interval: Interval
    evidence: str = ""

    @property
    def difference(self) -> float:
        """The failure rate of the worse arm minus that of the better one."""
        return self.worse_failed / self.worse_n - self.better_failed / self.better_n


def effect_words(effects: Sequence[Effect], *, here: str = "") -> str:
    """``a failed 40 percentage points more often than b and c (95 %: 19 to 59 points; 12 of 30 runs against 0 of 30)``.

    Arms against which the effect is the same are told together. ``here`` limits the statement, as in "while the test
    ran".
    """
    groups: dict[Effect, list[str]] = {}
    for effect in effects:
        groups.setdefault(replace(effect, better=""), []).append(effect.better)
    parts: list[str] = []
    worse = ""
    for effect, others in groups.items():
        said = f"{points(effect.difference)} more often{here if not parts else ''} than {listed(others)}"
        evidence = f"{interval_points(effect.interval)}; {_counts(effect)}{effect.evidence}"
        parts.append(f"{'' if effect.worse == worse else f'{effect.worse} failed '}{said} ({evidence})")
        worse = effect.worse
    return listed(parts)


def points(difference: float) -> str:
    """``40 percentage points``."""
    number = _number(difference)
    return f"{number} percentage point" if number == "1" else f"{number} percentage points"


def point_words(difference: float, interval: Interval) -> str:
    """``40 (-2 to 74)``, in percentage points."""
    return f"{_number(difference)} ({_number(interval.low)} to {_number(interval.high)})"


def interval_points(interval: Interval) -> str:
    """``95 %: 19 to 59 points``; below 0 are points less."""
    return f"95 %: {_number(interval.low)} to {_number(interval.high)} points"


def _number(share: float) -> str:
    """Percentage points without the unit: whole from 1 up, else with one decimal."""
    scaled = 100 * share
    text = f"{scaled:.0f}" if abs(scaled) >= 0.95 or abs(scaled) < 0.05 else f"{scaled:.1f}"
    return "0" if text == "-0" else text


def _counts(effect: Effect) -> str:
    ours, theirs = f"{effect.worse_failed} of {effect.worse_n}", f"{effect.better_failed} of {effect.better_n}"
    return f"{ours} runs against {theirs}"
