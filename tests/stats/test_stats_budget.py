"""Promises about the budget of a test: what it says can be proven can be, and what never can is refused."""

import random

import pytest

from kmon.errors import UsageError
from kmon.stats.budget import FOUND, Budget, Goal, budget_of, budget_words, check_budget, own_rounds
from kmon.stats.compare import compare
from kmon.stats.pair_evidence import paired_evidence
from kmon.stats.question import Question
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.trial import Arm, Trial
from tests.support.ended import scenario
from tests.support.seed import ALL, KIMI, NOVA, run

QUESTION = Question(KIMI.name, tuple(of.name for of in ALL[1:]))
TOKYO = scenario("tool-result")


def arms(targets: int, scenarios: int = 1) -> tuple[Arm, ...]:
    return tuple(Arm(f"t{a}", f"s{b}") for a in range(targets) for b in range(scenarios))


SEED = tuple(Arm(of.name, TOKYO.name) for of in ALL)


def alternating(rounds: int) -> list[Trial]:
    """Kimi fails in every other round, the first one included; all others pass."""
    return [
        run(of, n, "hang-mid-stream" if of is KIMI and n % 2 else "pass") for n in range(1, rounds + 1) for of in ALL
    ]


@pytest.mark.parametrize("question", [None, QUESTION])
def test_the_least_rounds_can_prove_it_and_fewer_cannot(question: Question | None) -> None:
    least = budget_of(Goal(arms=SEED, question=question), 10).least
    for rounds, proven in ((least - 1, False), (least, True)):
        verdict = compare(alternating(rounds), ALL, question=question)
        assert any(pair.proven for pair in verdict.comparisons) is proven


@pytest.mark.parametrize("question", [None, QUESTION])
def test_the_least_rounds_of_a_watched_test_can_prove_it_and_fewer_cannot(question: Question | None) -> None:
    least = budget_of(Goal(arms=SEED, question=question, watched=True), 100).least
    watch = SequentialTest([(of, TOKYO) for of in ALL], question=question)
    decided = 0
    for trial in alternating(least):
        watch.add(trial)
        decided = decided or (trial.round if watch.decided() else 0)
    assert decided == least


def test_the_least_rounds_to_keep_a_rate_prove_it_and_fewer_do_not() -> None:
    least = budget_of(Goal(arms=(Arm(NOVA.name, TOKYO.name),), watched=True, pass_rate=0.9), 100).least_rounds_kept
    watch = SequentialTest([(NOVA, TOKYO)], pass_rate=0.9)
    for n in range(1, (least or 0) + 1):
        assert watch.decided() is None
        watch.add(run(NOVA, n))
    assert watch.decided() is not None


@pytest.mark.parametrize(("rate", "passes"), [(0.95, 1), (0.9, 2), (0.5, 7)])
def test_the_least_rounds_to_miss_a_rate_prove_it_and_fewer_do_not(rate: float, passes: int) -> None:
    goal = Goal(arms=(Arm(NOVA.name, TOKYO.name),), watched=True, pass_rate=rate)
    watch = SequentialTest([(NOVA, TOKYO)], pass_rate=rate)
    least = budget_of(goal, 100).least_rounds_missed or 0
    for n in range(1, least + 1):
        assert watch.decided() is None
        watch.add(run(NOVA, n, "pass" if n in range(least - 1, least - 2 * passes, -2) else "hang-mid-stream"))
    assert watch.decided() is not None and watch.proven


def test_ten_rounds_of_four_targets_are_told_to_prove_nothing() -> None:
    assert budget_words(budget_of(Goal(arms=arms(4)), 10)) == (
        "10 rounds x 4 targets, 6 comparisons: too few to prove a difference, which takes 8 failures of one "
        "target alone, each after a round in which none failed, so at least 15 rounds; "
        "with --count 39 pass rates of 60 and 100 % are told apart in 80 of 100 tests"
    )


def test_a_budget_that_may_do_says_how_often() -> None:
    said = budget_words(budget_of(Goal(arms=arms(4), question=Question("t0", ("t1", "t2", "t3"))), 25))
    assert "25 rounds x 4 targets, 3 comparisons: enough to prove" in said
    assert said.endswith("pass rates of 60 and 100 % are told apart in 36 of 100 such tests (in 80: --count 35)")
    assert budget_words(budget_of(Goal(arms=arms(2)), 100)).endswith("are told apart in 90 of 100 such tests")


def test_two_scenarios_of_one_target_need_no_episodes() -> None:
    said = budget_words(budget_of(Goal(arms=arms(1, 2)), 10))
    assert said.startswith(
        "10 rounds x 2 scenarios: enough to prove a difference, by 6 rounds in which one scenario alone fails"
    )


def test_one_target_alone_has_nothing_to_prove() -> None:
    assert budget_words(budget_of(Goal(arms=arms(1)), 10)) == ""


@pytest.mark.parametrize(
    ("goal", "rounds", "sentence"),
    [
        (
            Goal(arms=arms(4), watched=True),
            10,
            "10 rounds can never prove a difference, .* --count 15 or more",
        ),
        (
            Goal(arms=arms(1), watched=True, pass_rate=0.95),
            2,
            "a pass rate of 95 % kept or missed; give --count 4",
        ),
    ],
)
def test_a_watched_test_that_can_prove_nothing_is_refused(goal: Goal, rounds: int, sentence: str) -> None:
    budget = budget_of(goal, rounds)
    with pytest.raises(UsageError, match=sentence):
        check_budget(budget, own_rounds(goal))
    check_budget(budget_of(goal, budget.least), own_rounds(goal))


def test_a_test_of_a_fixed_number_of_rounds_is_told_but_not_refused() -> None:
    check_budget(budget_of(Goal(arms=arms(4)), 10), 37)


@pytest.mark.parametrize("goal", [Goal(arms=arms(4), watched=True), Goal(arms=arms(2), watched=True, pass_rate=0.9)])
def test_the_own_budget_is_enough(goal: Goal) -> None:
    budget = budget_of(goal, own_rounds(goal))
    check_budget(budget, budget.rounds)
    assert budget.power is not None and budget.power >= 0.8


def test_a_long_test_is_planned_at_once() -> None:
    budget = budget_of(Goal(arms=arms(8), watched=True), 10_000)
    assert isinstance(budget, Budget) and budget.power == pytest.approx(FOUND, abs=1e-6)


def test_the_rounds_it_recommends_prove_the_difference_in_four_of_five_tests() -> None:
    rounds = budget_of(Goal(arms=SEED, question=QUESTION), 10).rounds_for_power or 0
    draw, proven = random.Random(11), 0
    for _ in range(600):
        kimi = [draw.random() < 0.4 for _ in range(rounds)]
        evidence = paired_evidence(kimi, [False] * rounds, shared_outages=False)
        proven += evidence.p <= 0.05 / 3
    assert proven >= 600 * 0.8 - 30
