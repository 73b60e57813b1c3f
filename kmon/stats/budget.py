"""What a number of rounds can prove, before the first of them is paid: the least number, and the power."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import comb, log

from msgspec import Struct
from msgspec.structs import replace

from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.stats.e_values import ln_e_pairs_differ, ln_e_rate_above
from kmon.stats.power import (
    ALPHA,
    POWER,
    FailureRates,
    Proves,
    least_rounds,
    mcnemar_proves,
    power,
    rounds_for,
)
from kmon.stats.question import Question, claims
from kmon.stats.trial import Arm

REFERENCE = FailureRates(0.4, 0.0)
"""One arm passes 60 %, all others 100 %: the difference of a field report, and the size that plans are made for."""
USUAL_ROUNDS = 10
MOST_OWN = 200
"""The largest number of rounds that a test is given without ``--count``."""
_NEVER = 10_000_000
FOUND = 0.9
"""The least share of tests that the power of one clean round between episodes keeps, where failures are scattered.

In the others the runs test takes them for clustered, and more clean rounds are wanted. Measured with failure rates of
10 to 60 % against 0 to 5 % in 20 to 130 rounds: 0.90 to 0.99, in watched tests 0.96 to 0.99.
"""


class Goal(Struct, frozen=True, kw_only=True):
    """What a test is to prove: that arms differ, and with ``pass_rate`` also that each keeps or misses that rate.

    A ``watched`` test stops as soon as it is proven.
    """

    arms: tuple[Arm, ...]
    question: Question | None = None
    watched: bool = False
    pass_rate: float | None = None


class Budget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a test can prove with its ``rounds``. Counts are of rounds, ``power`` is a share.

    ``episodes`` in which one arm alone fails prove that it fails more often, which takes ``least_rounds`` at least.
    ``power`` is the probability to prove it if that arm passes 60 % and the others 100 %, or a little less than that
    (:data:`FOUND`); ``rounds_for_power`` give it 80 %. ``least_rounds_kept`` without a failure prove that an arm keeps
    the pass rate, and ``least_rounds_missed``, few of them passes, that it misses it. None where nothing of the
    kind is to be proven.
    """

    rounds: int
    targets: int
    scenarios: int
    comparisons: int
    watched: bool
    episodes: int | None = None
    least_rounds: int | None = None
    power: float | None = None
    rounds_for_power: int | None = None
    pass_rate: float | None = None
    least_rounds_kept: int | None = None
    least_rounds_missed: int | None = None

    @property
    def least(self) -> int:
        """The fewest rounds that can prove anything that is to be proven."""
        needed = (self.least_rounds, self.least_rounds_kept, self.least_rounds_missed)
        return min((rounds for rounds in needed if rounds is not None), default=1)


def budget_of(goal: Goal, rounds: int) -> Budget:
    """What ``rounds`` rounds can prove of the goal."""
    targets, pairs = {arm.target for arm in goal.arms}, claims(goal.arms, goal.question)
    every_round = len(targets) == 1
    budget = Budget(
        rounds=rounds,
        targets=len(targets),
        scenarios=len({arm.scenario for arm in goal.arms}),
        comparisons=len(pairs),
        watched=goal.watched,
        pass_rate=goal.pass_rate,
        least_rounds_kept=None if goal.pass_rate is None else _least_kept(goal, goal.pass_rate, failures=0),
        least_rounds_missed=None if goal.pass_rate is None else _least_missed(goal, goal.pass_rate),
    )
    if not pairs:
        return budget
    proves = _rule(goal, ones=_ones_of_one_bad(goal) if goal.watched else 0)
    best = _rule(goal, ones=_fewest_ones(goal) if goal.watched else 0)
    episodes = _first(lambda n: best(n, 0))
    found = 1.0 if every_round else FOUND
    return replace(
        budget,
        episodes=episodes,
        least_rounds=least_rounds(episodes, every_round=every_round),
        power=found * power(REFERENCE, rounds, proves, watched=goal.watched, every_round=every_round),
        rounds_for_power=rounds_for(
            REFERENCE, proves, aim=POWER / found, watched=goal.watched, every_round=every_round
        ),
    )


def own_rounds(goal: Goal) -> int:
    """Rounds that a watched test needs: enough for 80 % power, and for a pass rate that is kept with one failure."""
    budget = budget_of(goal, 1)
    kept = 1 if goal.pass_rate is None else _least_kept(goal, goal.pass_rate, failures=1)
    return max(budget.rounds_for_power or 1, kept)


def check_own(own: int) -> None:
    """Raise :class:`UsageError` for a number of rounds that nobody would want to pay for without having been asked."""
    if own > MOST_OWN:
        raise UsageError(f"to prove this may take {own} rounds; give --count {own} if that many may be sent")


def check_budget(budget: Budget, own: int) -> None:
    """Raise :class:`UsageError` for a watched test that can prove nothing of what it is to prove, whatever happens."""
    if not budget.watched or budget.rounds >= budget.least:
        return
    what = f"a difference, which takes {_evidence(budget)}"
    if budget.pass_rate is not None:
        what = f"a pass rate of {percent(budget.pass_rate)} % kept or missed"
    wanted = f"give --count {budget.least} or more, or leave it out for {own}"
    raise UsageError(f"{plural(budget.rounds, 'round')} can never prove {what}; {wanted}")


def budget_words(budget: Budget) -> str:
    """The budget in a sentence; empty for a test that compares nothing and holds nothing against a rate."""
    parts = []
    if budget.episodes is not None:
        parts.append(_pairs_words(budget))
    if budget.least_rounds_kept is not None:
        rate, least = percent(budget.pass_rate or 0), plural(budget.least_rounds_kept, "round")
        parts.append(f"to prove that a target keeps {rate} % takes at least {least}, all passed")
    return "; ".join(parts)


def _pairs_words(budget: Budget) -> str:
    arms = [plural(n, word) for n, word in ((budget.targets, "target"), (budget.scenarios, "scenario")) if n > 1]
    compared = f", {plural(budget.comparisons, 'comparison')}" if budget.comparisons > 1 else ""
    design = f"{'up to ' if budget.watched else ''}{' x '.join([plural(budget.rounds, 'round'), *arms])}{compared}"
    more = budget.rounds_for_power
    apart = "pass rates of 60 and 100 % are told apart"
    if budget.rounds < (budget.least_rounds or 0):
        advice = f"; with --count {more} {apart} in 80 of 100 tests" if more else ""
        return f"{design}: too few to prove a difference, which takes {_evidence(budget)}{advice}"
    found = f"{apart} in {percent(budget.power or 0)} of 100 such tests"
    advice = f" (in 80: --count {more})" if more and budget.rounds < more else ""
    return f"{design}: enough to prove a difference, by {_evidence(budget)}; {found}{advice}"


def _evidence(budget: Budget) -> str:
    if budget.targets == 1:
        return f"{budget.episodes} rounds in which one scenario alone fails"
    apart = "each after a round in which none failed"
    return f"{budget.episodes} failures of one target alone, {apart}, so at least {budget.least_rounds} rounds"


def _rule(goal: Goal, ones: int) -> Proves:
    """When the evidence of a pair is a proof, in a watched test beside ``ones`` claims without evidence."""
    if not goal.watched:
        return mcnemar_proves(len(claims(goal.arms, goal.question)))
    ln_needed = _ln_needed(goal, ones=ones)
    return lambda worse, better: worse > better and ln_e_pairs_differ(worse, better) >= ln_needed


def _ones_of_one_bad(goal: Goal) -> int:
    """The pairs without evidence if the suspect alone is bad, or the first arm."""
    suspect = goal.arms[0].target if goal.question is None else goal.question.suspect
    bad = next(arm for arm in goal.arms if arm.target == suspect)
    return sum(bad not in pair for pair in claims(goal.arms, goal.question))


def _fewest_ones(goal: Goal) -> int:
    """The fewest pairs without evidence, however many arms are bad: those of two bad arms, and of two good ones."""
    if goal.question is not None:
        return 0
    n = len(goal.arms)
    return min(comb(bad, 2) + comb(n - bad, 2) for bad in range(n + 1))


def _ln_needed(goal: Goal, *, ones: int) -> float:
    """The log e-value that a claim needs beside ``ones`` claims without evidence, which have an e-value of 1.

    Closed testing takes the least mean with others (``e_values.closed``). With a pass rate, each arm has one claim of
    the two that is refuted, with an e-value near 0.
    """
    zeros = 0 if goal.pass_rate is None else len(goal.arms)
    return log((1 + ones + zeros) / ALPHA - ones)


def _least_kept(goal: Goal, rate: float, *, failures: int) -> int:
    """The fewest rounds with so many failures that prove a pass rate kept."""
    ln_needed = _ln_needed(goal, ones=_fewest_ones(goal))
    return _first(lambda n: n > failures and ln_e_rate_above(n - failures, n, rate) >= ln_needed)


def _least_missed(goal: Goal, rate: float) -> int:
    """The fewest rounds that prove a pass rate missed: by the episodes with one pass between any two, and by rounds."""
    ln_needed = _ln_needed(goal, ones=_fewest_ones(goal))
    passes = _first(lambda n: ln_e_rate_above(n, n, 1 - rate) >= ln_needed) - 1
    failures = _first(lambda n: n > passes and ln_e_rate_above(n, n + passes, 1 - rate) >= ln_needed)
    return failures + passes


def _first(enough: Callable[[int], bool]) -> int:
    """The smallest number that is enough, as all larger ones are."""
    return bisect_left(range(_NEVER), True, key=enough)
