"""The verdict of a test, computed from its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from kmon.model import Scenario, Target
from kmon.stats.conclusion import conclude
from kmon.stats.episode_words import short_test
from kmon.stats.latency import Latency, latency
from kmon.stats.left_out import left_out
from kmon.stats.pairs import Comparison, compare_pairs
from kmon.stats.question import Question
from kmon.stats.summary import ArmFigures, figures
from kmon.stats.thresholds import ThresholdResult
from kmon.stats.trial import Trial, arm_names, by_arm, span_s


class Verdict(Struct, frozen=True, omit_defaults=True, tag="verdict", tag_field="type"):
    """The result of a test. Rates are shares from 0 to 1, times are seconds, the confidence is 95 %."""

    conclusion: str
    arms: tuple[ArmFigures, ...]
    comparisons: tuple[Comparison, ...]
    duration_s: float = 0.0
    """From the start of the first run to the end of the last; 0 without runs."""
    thresholds: tuple[ThresholdResult, ...] = ()
    watched: bool = False
    """A sequential test could stop the race: the conclusion is valid, the p-values of the comparisons are not."""
    question: Question | None = None
    """What the test was made to compare; None for all pairs."""
    latency: Latency = Latency()


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
    found_latency = latency(arms, names, question)
    duration_s = span_s([trial for rounds in arms.values() for trial in rounds.values()])
    counts = any(arm.n for arm in all_figures)
    watched_said = f"{watched}{short_test(duration_s)}{left_out(all_figures)}"
    return Verdict(
        conclusion=watched_said
        if watched and counts
        else conclude(all_figures, comparisons, found_latency, duration_s),
        arms=all_figures,
        comparisons=comparisons,
        duration_s=duration_s,
        watched=bool(watched),
        question=question,
        latency=found_latency,
    )
