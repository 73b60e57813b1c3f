"""From the runs of a test to its verdict: figures, comparisons and one sentence. Pure, and in the order asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from kmon.model import Scenario, Target
from kmon.stats.conclusion import conclude
from kmon.stats.pairs import Comparison, compare_pairs
from kmon.stats.summary import ArmFigures, figures
from kmon.stats.trial import Arm, Trial, by_arm


class Verdict(Struct, frozen=True, omit_defaults=True, tag="verdict", tag_field="type"):
    """What a test has shown. Rates are shares, times seconds, confidence 95 % throughout."""

    conclusion: str
    arms: tuple[ArmFigures, ...]
    comparisons: tuple[Comparison, ...]
    watched: bool = False
    """The race could be stopped by what it showed: the conclusion stands, the p-values of the comparisons do not."""


def compare(
    trials: Iterable[Trial],
    targets: Sequence[Target],
    scenarios: Sequence[Scenario] = (),
    *,
    watched: str = "",
) -> Verdict:
    """Judge ``trials``, arms in the order of ``targets``. ``scenarios`` let tools be told from other differences.

    ``watched`` is the summary of a :class:`~kmon.stats.sequential_test.Watch` that was free to stop the race; it
    then is the conclusion, since p-values do not bear being looked at again and again.
    """
    by_name = {target.name: target for target in targets}
    order = {name: at for at, name in enumerate(by_name)}
    found = by_arm(trials)
    arms = {arm: found[arm] for arm in sorted(found, key=lambda arm: order.get(arm.target, len(order)))}
    names = arm_names(list(arms))
    comparisons = compare_pairs(arms, names, by_name, {scenario.name: scenario for scenario in scenarios})
    all_figures = tuple(figures(names[arm], list(rounds.values())) for arm, rounds in arms.items())
    return Verdict(
        conclusion=watched or conclude(all_figures, comparisons),
        arms=all_figures,
        comparisons=comparisons,
        watched=bool(watched),
    )


def arm_names(arms: Sequence[Arm]) -> Mapping[Arm, str]:
    """What to call each arm: its target, with the scenario only where there are several."""
    several = len({arm.scenario for arm in arms}) > 1
    return {arm: f"{arm.target} ({arm.scenario})" if several else arm.target for arm in arms}
