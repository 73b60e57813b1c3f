"""One run as the statistics see it: who was asked what in which round, how it came out, and its times."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kmon.model import Scenario
from kmon.stats.outcome import CUT, FINISHED, UNCOUNTED, OutcomeName, classify
from kmon.stats.survival import Observation
from kmon.stream.events import RunEnded


class Arm(Struct, frozen=True):
    """What is compared: a target (by the name the user typed) asked one scenario."""

    target: str
    scenario: str


class Trial(Struct, frozen=True, kw_only=True):
    """One run. Trials of the same ``round`` were started together and can be paired.

    ``max_gap_s`` leaves out what this machine itself made. ``tool_uses`` is, for a chain of tool uses, how many went
    well before the run ended; None for any other run.
    """

    target: str
    scenario: str = ""
    round: int
    outcome: OutcomeName
    ttft_s: float | None = None
    max_gap_s: float | None = None
    duration_s: float = 0.0
    tool_uses: int | None = None

    @property
    def arm(self) -> Arm:
        return Arm(self.target, self.scenario)

    @property
    def counted(self) -> bool:
        return self.outcome not in UNCOUNTED

    @property
    def failed(self) -> bool:
        """Whether it counts, and not as a pass."""
        return self.counted and self.outcome != "pass"

    @property
    def censored(self) -> bool:
        """Whether it was over before the answer was: its times are lower bounds, not times."""
        return self.outcome in CUT

    def first_token(self) -> Observation | None:
        """The wait for the first token; censored where it never came. None for a request that was refused
        or a run that this machine disturbed."""
        if self.outcome == "disturbed":
            return None
        if self.ttft_s is not None:
            return Observation(self.ttft_s)
        return Observation(self.max_gap_s or self.duration_s, censored=True) if self.censored else None

    def longest_gap(self) -> Observation | None:
        """The longest gap; censored where the answer was cut off, since a longer one might have been to come."""
        if self.max_gap_s is None or not (self.censored or self.outcome in FINISHED):
            return None
        return Observation(self.max_gap_s, self.censored)

    def whole(self) -> Observation | None:
        """The time to the end of the answer; censored where it was cut off."""
        return Observation(self.duration_s, self.censored) if self.censored or self.outcome in FINISHED else None


def trial_of(result: RunEnded, scenario: Scenario, tool_uses: int | None = None) -> Trial:
    """The trial that a finished run was."""
    return Trial(
        target=result.target,
        scenario=scenario.name,
        round=result.round,
        outcome=classify(result, scenario).name,
        ttft_s=_seconds(result.ttft_ms),
        max_gap_s=_seconds(result.max_gap_ms if result.others_gap_ms is None else result.others_gap_ms),
        duration_s=result.duration_ms / 1000,
        tool_uses=tool_uses,
    )


def by_arm(trials: Iterable[Trial]) -> dict[Arm, dict[int, Trial]]:
    """Trials by arm and round, arms in the order they appear.

    Of several runs of one round the first that counts stands: a retry must not wash a failure away.
    """
    arms: dict[Arm, dict[int, Trial]] = {}
    for trial in trials:
        rounds = arms.setdefault(trial.arm, {})
        if trial.round not in rounds or (trial.counted and not rounds[trial.round].counted):
            rounds[trial.round] = trial
    return arms


def _seconds(duration_ms: float | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000
