"""The record of one run for the statistics: target, scenario, round, outcome and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from kmon.model import Scenario
from kmon.stats.outcome import CUT, FINISHED, UNCOUNTED, OutcomeName, classify
from kmon.stats.survival import SurvivalTime
from kmon.stream.events import RunEnded


class Arm(Struct, frozen=True):
    """The unit of comparison: a target (by the name that the user typed) with one scenario."""

    target: str
    scenario: str


class Trial(Struct, frozen=True, kw_only=True):
    """One run. Trials of the same ``round`` were started together and can be paired. Times are seconds.

    ``max_gap_s`` excludes gaps that this machine caused. ``tool_uses`` is the number of tool uses of a chain that
    passed before the run ended, of ``chain_steps`` that were asked for; None for any other run.
    """

    target: str
    scenario: str = ""
    round: int
    outcome: OutcomeName
    ttft_s: float | None = None
    max_gap_s: float | None = None
    duration_s: float = 0.0
    tool_uses: int | None = None
    chain_steps: int | None = None

    @property
    def arm(self) -> Arm:
        return Arm(self.target, self.scenario)

    @property
    def counted(self) -> bool:
        return self.outcome not in UNCOUNTED

    @property
    def failed(self) -> bool:
        """Whether it counts and did not pass."""
        return self.counted and self.outcome != "pass"

    @property
    def censored(self) -> bool:
        """Whether the run ended before its answer did, so that its times are lower bounds."""
        return self.outcome in CUT

    def first_token(self) -> SurvivalTime | None:
        """The time to the first token; censored if none came. None if the request was refused or the run disturbed."""
        if self.outcome == "disturbed":
            return None
        if self.ttft_s is not None:
            return SurvivalTime(self.ttft_s)
        return SurvivalTime(self.max_gap_s or self.duration_s, censored=True) if self.censored else None

    def longest_gap(self) -> SurvivalTime | None:
        """The longest gap; censored if the answer was cut off, because a longer gap could have followed."""
        if self.max_gap_s is None or not (self.censored or self.outcome in FINISHED):
            return None
        return SurvivalTime(self.max_gap_s, self.censored)

    def whole(self) -> SurvivalTime | None:
        """The time to the end of the answer; censored if the answer was cut off."""
        return SurvivalTime(self.duration_s, self.censored) if self.censored or self.outcome in FINISHED else None


def trial_of(result: RunEnded, scenario: Scenario, tool_uses: int | None = None) -> Trial:
    """The trial of a finished run."""
    return Trial(
        target=result.target,
        scenario=scenario.name,
        round=result.round,
        outcome=classify(result, scenario).name,
        ttft_s=_seconds(result.ttft_ms),
        max_gap_s=_seconds(result.max_gap_ms if result.others_gap_ms is None else result.others_gap_ms),
        duration_s=result.duration_ms / 1000,
        tool_uses=tool_uses,
        chain_steps=None if scenario.chain is None else scenario.chain.steps,
    )


def by_arm(trials: Iterable[Trial]) -> dict[Arm, dict[int, Trial]]:
    """Trials by arm and round, arms in the order they appear.

    Of several runs of one round the first that counts is kept: a retry must not replace a failure.
    """
    arms: dict[Arm, dict[int, Trial]] = {}
    for trial in trials:
        rounds = arms.setdefault(trial.arm, {})
        if trial.round not in rounds or (trial.counted and not rounds[trial.round].counted):
            rounds[trial.round] = trial
    return arms


def arm_names(arms: Sequence[Arm]) -> Mapping[Arm, str]:
    """The display name of each arm: its target, followed by the scenario if there are several scenarios."""
    several = len({arm.scenario for arm in arms}) > 1
    return {arm: f"{arm.target} ({arm.scenario})" if several else arm.target for arm in arms}


def _seconds(duration_ms: float | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000
