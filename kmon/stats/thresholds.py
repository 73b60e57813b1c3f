"""Thresholds for CI: what a test must not fall short of, and the sentences that say where it did."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kmon.stats.compare import Verdict
from kmon.stats.trial import Trial


class Thresholds(Struct, frozen=True, kw_only=True):
    """``fail_under`` is a share of passes per target, the others are seconds. None sets no threshold."""

    fail_under: float | None = None
    max_stall_s: float | None = None
    max_ttft_s: float | None = None

    @property
    def any(self) -> bool:
        """Whether one is set: then they alone decide."""
        return any(value is not None for value in (self.fail_under, self.max_stall_s, self.max_ttft_s))


def breaches(thresholds: Thresholds, verdict: Verdict, trials: Sequence[Trial]) -> list[str]:
    """A sentence per threshold and target that broke it. A target with no run that counts breaks ``fail_under``."""
    found = []
    for arm in verdict.arms:
        runs = [t for t in trials if (t.target, t.scenario) == (arm.target, arm.scenario) and t.counted]
        if thresholds.fail_under is not None and (arm.rate is None or arm.rate < thresholds.fail_under):
            found.append(f"{arm.name} passed {arm.words}, under {thresholds.fail_under * 100:g} %")
        gaps_s = [trial.max_gap_s for trial in runs if trial.max_gap_s is not None]
        if thresholds.max_stall_s is not None and gaps_s and max(gaps_s) > thresholds.max_stall_s:
            found.append(f"{arm.name} was silent for {max(gaps_s):.1f} s, over {thresholds.max_stall_s:g} s")
        waits_s = [trial.ttft_s for trial in runs if trial.ttft_s is not None]
        mute = sum(trial.ttft_s is None for trial in runs)
        if thresholds.max_ttft_s is not None and waits_s and max(waits_s) > thresholds.max_ttft_s:
            found.append(f"{arm.name} took {max(waits_s):.1f} s to its first token, over {thresholds.max_ttft_s:g} s")
        if thresholds.max_ttft_s is not None and mute:
            found.append(f"{arm.name} gave no first token in {mute} of {len(runs)} runs")
    return found
