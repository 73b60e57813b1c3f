"""The record of one run for the statistics: target, scenario, round, outcome and times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from kmon.model import Scenario
from kmon.stats.outcome import CUT, FINISHED, UNCOUNTED, OutcomeName, classify, longest_gap_s, stands
from kmon.stats.survival import SurvivalTime
from kmon.stream.events import RunEnded


class Arm(Struct, frozen=True):
    """The unit of comparison: a target (by the name that the user typed) with one scenario."""

    target: str
    scenario: str


class Trial(Struct, frozen=True, kw_only=True):
    """One run. Trials of the same ``round`` were started together and can be paired. Times are seconds.

    ``max_gap_s`` excludes gaps that this machine caused. ``tool_uses`` is the number of tool uses of a chain that
    passed before the run ended, of ``chain_steps`` that were asked for; None for any other run. ``tokens_per_s`` is the
    rate of output tokens over the whole run, as the provider counts them; None where it does not, and for runs of
    several requests. ``started_s`` counts from the start of the race, and ``sentence`` gives the reason of the outcome.
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
    tokens_per_s: float | None = None
    started_s: float = 0.0
    cut_short: bool = False
    """Whether the user ended it while it was open, whatever the outcome."""
    sentence: str = ""

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
        return self.cut_short or self.outcome in CUT

    @property
    def stands(self) -> bool:
        """Whether it is the result of its arm in its round."""
        return stands(self.outcome)

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

    def output_rate(self) -> SurvivalTime | None:
        """The output tokens per second of an answer that came to its end, in place of seconds."""
        if self.tokens_per_s is None or self.outcome not in FINISHED:
            return None
        return SurvivalTime(self.tokens_per_s)


def trial_of(result: RunEnded, scenario: Scenario, tool_uses: int | None = None) -> Trial:
    """The trial of a finished run."""
    outcome = classify(result, scenario)
    return Trial(
        target=result.target,
        scenario=scenario.name,
        round=result.round,
        outcome=outcome.name,
        ttft_s=None if result.ttft_ms is None else result.ttft_ms / 1000,
        max_gap_s=longest_gap_s(result),
        duration_s=result.duration_ms / 1000,
        tool_uses=tool_uses,
        chain_steps=None if scenario.chain is None else scenario.chain.steps,
        tokens_per_s=_tokens_per_s(result),
        started_s=result.started_ms / 1000,
        cut_short=result.state == "cancelled" and outcome.name != "cancelled",
        sentence=outcome.sentence,
    )


def _tokens_per_s(result: RunEnded) -> float | None:
    """Over the whole run, because an answer that was held back and came at once did not flow at that speed.

    Chunks are no substitute: a chunk holds one token here and twenty there.
    """
    tokens = None if result.usage is None else result.usage.completion_tokens
    if not tokens or result.duration_ms <= 0 or result.turns > 1 or result.attempts > 1:
        return None
    return tokens / (result.duration_ms / 1000)


def by_arm(trials: Iterable[Trial]) -> dict[Arm, dict[int, Trial]]:
    """Trials by arm and round, arms in the order they appear.

    Of several runs of one round the first that was answered or cut short is kept: a retry must not replace a failure,
    nor a run that the user found too slow.
    """
    arms: dict[Arm, dict[int, Trial]] = {}
    for trial in trials:
        rounds = arms.setdefault(trial.arm, {})
        if trial.round not in rounds or (trial.stands and not rounds[trial.round].stands):
            rounds[trial.round] = trial
    return arms


def span_s(trials: Sequence[Trial]) -> float:
    """From the start of the first run to the end of the last, in s; 0 without runs."""
    if not trials:
        return 0.0
    return max(t.started_s + t.duration_s for t in trials) - min(t.started_s for t in trials)


def arm_names(arms: Sequence[Arm]) -> Mapping[Arm, str]:
    """The display name of each arm: its target, followed by the scenario if there are several scenarios."""
    several = len({arm.scenario for arm in arms}) > 1
    return {arm: f"{arm.target} ({arm.scenario})" if several else arm.target for arm in arms}
