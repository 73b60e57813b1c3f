"""The verdict of a test, computed from its runs, and the thresholds that CI holds the verdict against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from kmon.model import Scenario, Target
from kmon.stats.conclusion import conclude
from kmon.stats.pairs import Comparison, compare_pairs
from kmon.stats.question import Question
from kmon.stats.summary import ArmFigures, figures
from kmon.stats.trial import Trial, arm_names, by_arm


class Verdict(Struct, frozen=True, omit_defaults=True, tag="verdict", tag_field="type"):
    """The result of a test. Rates are shares from 0 to 1, times are seconds, the confidence is 95 %."""

    conclusion: str
    arms: tuple[ArmFigures, ...]
    comparisons: tuple[Comparison, ...]
    watched: bool = False
    """A sequential test could stop the race: the conclusion is valid, the p-values of the comparisons are not."""
    question: Question | None = None
    """What the test was made to compare; None for all pairs."""


def compare(
    trials: Iterable[Trial],
    targets: Sequence[Target],
    scenarios: Sequence[Scenario] = (),
    *,
    watched: str = "",
    question: Question | None = None,
) -> Verdict:
    """The verdict on ``trials``, with the arms in the order of ``targets``.

    ``scenarios`` are needed to name tools as the difference between two arms. ``watched`` is the summary of a
    :class:`~kmon.stats.sequential_test.SequentialTest` that could stop the race. It then is the conclusion, because a
    p-value that is computed after every round exceeds its error rate. ``question`` says which comparisons come first.
    """
    by_name = {target.name: target for target in targets}
    order = {name: at for at, name in enumerate(by_name)}
    found = by_arm(trials)
    arms = {arm: found[arm] for arm in sorted(found, key=lambda arm: order.get(arm.target, len(order)))}
    names = arm_names(list(arms))
    comparisons = compare_pairs(arms, names, by_name, {scenario.name: scenario for scenario in scenarios}, question)
    all_figures = tuple(figures(names[arm], list(rounds.values())) for arm, rounds in arms.items())
    return Verdict(
        conclusion=watched or conclude(all_figures, comparisons),
        arms=all_figures,
        comparisons=comparisons,
        watched=bool(watched),
        question=question,
    )


class Thresholds(Struct, frozen=True, kw_only=True):
    """Thresholds for CI, per target. ``fail_under`` is a pass rate, the others are seconds; None sets no limit."""

    fail_under: float | None = None
    max_stall_s: float | None = None
    max_ttft_s: float | None = None

    @property
    def any(self) -> bool:
        """Whether at least one is set; the exit code then depends on the thresholds alone."""
        return any(value is not None for value in (self.fail_under, self.max_stall_s, self.max_ttft_s))


def breaches(thresholds: Thresholds, verdict: Verdict, trials: Sequence[Trial]) -> list[str]:
    """One sentence per target and broken threshold. A target without a run that counts breaks ``fail_under``."""
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
