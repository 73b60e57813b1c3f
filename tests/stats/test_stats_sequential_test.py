"""Promises about a race that may stop itself: no sooner than its evidence allows, whatever order runs end in."""

import random
from collections.abc import Iterable

import pytest

from kmon.errors import UsageError
from kmon.model import Target
from kmon.stats.compare import compare
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.trial import Trial
from tests.support.ended import scenario
from tests.support.outages import outages
from tests.support.seed import ALL, KIMI, NOVA, OPENROUTER, SCATTERED, experiment, run

TOKYO = scenario("tool-result")


def watching(*targets: Target, pass_rate: float | None = None) -> SequentialTest:
    return SequentialTest([(target, TOKYO) for target in targets], pass_rate=pass_rate)


def fed(watch: SequentialTest, trials: Iterable[Trial]) -> int:
    """Feed until something is decided; the round of the run that decided it, or 0."""
    for trial in trials:
        watch.add(trial)
        if watch.decided():
            return trial.round
    return 0


def test_two_targets_are_told_apart_after_six_episodes_in_which_one_failed_alone() -> None:
    watch = watching(KIMI, OPENROUTER)
    assert fed(watch, experiment(100, SCATTERED, (KIMI, OPENROUTER))) == 14
    assert watch.proven
    assert watch.decided() == (
        "bedrock/kimi-k2.5 failed 43 percentage points more often than openrouter "
        "(95 %: 0.6 to 83 points; 6 of 14 runs against 0 of 14, in 6 episodes against 0). "
        "This is proven after 14 rounds, however often one looked (e = 21.8; 20 needed): "
        "neither chance nor outages that each of them has as often explain it. "
        "They differ in the provider and the dialect, and nothing here tells which of these is the cause"
    )
    assert watch.summary() == watch.decided()


def test_a_target_that_never_passes_is_told_as_what_it_is_and_ends_the_test_after_twenty_rounds() -> None:
    watch = watching(KIMI, OPENROUTER)
    trials = list(experiment(100, range(1, 11), (KIMI, OPENROUTER)))
    assert fed(watch, trials[:12]) == 0
    assert watch.summary() == (
        "bedrock/kimi-k2.5 failed 100 percentage points more often while the test ran than openrouter "
        "(95 %: 1 to 100 points; 6 of 6 runs against 0 of 6, in 1 episode against 0). "
        "Chance alone hardly explains that (e = 21.8; 20 needed). But it failed in every round, which is one episode, "
        "so an outage explains it as well as a lasting fault; test again later, or spread the rounds over hours"
    )
    assert fed(watch, trials[12:]) == 20
    assert not watch.proven
    assert watch.decided() == watch.summary()
    assert "20 of 20 runs against 0 of 20" in watch.summary()


def test_one_outage_however_long_proves_nothing_but_is_told() -> None:
    watch = watching(KIMI, OPENROUTER)
    for n in range(1, 61):
        watch.add(run(KIMI, n, "hang-mid-stream" if 10 < n <= 50 else "pass"))
        watch.add(run(OPENROUTER, n))
    assert watch.decided() is None
    assert watch.summary() == (
        "bedrock/kimi-k2.5 failed 67 percentage points more often while the test ran than openrouter "
        "(95 %: 49 to 85 points; 40 of 60 runs against 0 of 60, in 1 episode against 0). "
        "Chance alone hardly explains that (e = 2.54e+11; 20 needed), but that it lasts is not proven in 60 rounds: "
        "counted by episodes e = 1; 20 needed, so outages that each of them has as often may explain it"
    )


def test_an_outage_of_both_explains_nothing_between_two_scenarios_of_one_target() -> None:
    rows = [(KIMI, TOKYO), (KIMI, scenario("code"))]
    watch = SequentialTest(rows)
    for n in range(1, 11):
        watch.add(run(KIMI, n, "hang-mid-stream"))
        watch.add(run(KIMI, n, scenario="code"))
    assert watch.proven
    assert "6 of 6 runs against 0 of 6). This is proven" in (watch.decided() or "")


def test_a_disturbed_or_limited_round_does_not_end_an_episode() -> None:
    for outcome in ("disturbed", "rate-limited", "not-asked"):
        watch = watching(KIMI, OPENROUTER)
        for n in range(1, 41):
            watch.add(run(KIMI, n, outcome if n % 2 else "hang-mid-stream"))
            watch.add(run(OPENROUTER, n))
        assert not watch.proven
        assert "it failed in every round" in watch.summary()


def test_what_is_proven_stays_proven_while_the_last_runs_end() -> None:
    watch = watching(KIMI, OPENROUTER)
    fed(watch, experiment(14, SCATTERED, (KIMI, OPENROUTER)))
    proof = watch.decided()
    for n in range(15, 40):
        watch.add(run(KIMI, n))
        watch.add(run(OPENROUTER, n, "hang-mid-stream"))
    assert proof is not None
    assert watch.decided() == watch.summary() == proof


def test_more_targets_need_more_evidence() -> None:
    assert fed(watching(*ALL), experiment(100, SCATTERED, ALL)) == 19


def test_ten_rounds_of_the_field_report_decide_nothing() -> None:
    watch = watching(KIMI, OPENROUTER)
    assert fed(watch, experiment(10, targets=(KIMI, OPENROUTER))) == 0
    assert watch.decided() is None
    assert watch.summary() == (
        "bedrock/kimi-k2.5 failed 40 percentage points more often here than openrouter "
        "(95 %: -12 to 85 points; 4 of 10 runs against 0 of 10, in 2 episodes against 0). "
        "This is not proven in 10 rounds: chance alone may explain it (e = 5.92; 20 needed)"
    )


def test_the_order_in_which_runs_end_does_not_matter() -> None:
    trials = list(experiment(40, targets=(KIMI, OPENROUTER)))
    in_order = watching(KIMI, OPENROUTER)
    for trial in trials:
        in_order.add(trial)
    for seed in range(5):
        shuffled = watching(KIMI, OPENROUTER)
        for trial in random.Random(seed).sample(trials, len(trials)):
            shuffled.add(trial)
        assert shuffled.summary() == in_order.summary()


def test_a_round_counts_only_when_it_and_all_before_it_are_complete() -> None:
    watch = watching(KIMI, NOVA)
    for trial in experiment(30, SCATTERED, (KIMI, NOVA)):
        if (trial.target, trial.round) != (NOVA.name, 3):
            watch.add(trial)
    assert watch.decided() is None
    assert watch.summary().startswith("nothing proven in 2 rounds")
    watch.add(run(NOVA, 3))
    assert watch.decided() is not None


def test_runs_that_do_not_count_are_no_evidence() -> None:
    watch = watching(KIMI, NOVA)
    for n in range(1, 31):
        watch.add(run(KIMI, n, "hang-mid-stream"))
        watch.add(run(NOVA, n, "rate-limited"))
    assert watch.decided() is None
    assert watch.summary() == "nothing proven in 30 rounds: no evidence of a difference"


def test_a_retry_adds_no_evidence() -> None:
    watch = watching(KIMI, NOVA)
    for _ in range(30):
        watch.add(run(KIMI, 1, "hang-mid-stream"))
        watch.add(run(NOVA, 1))
    assert watch.decided() is None


def test_one_target_can_be_held_against_a_pass_rate() -> None:
    watch = watching(KIMI, pass_rate=0.95)
    stopped = fed(watch, experiment(100, SCATTERED, targets=[KIMI]))
    sentence = watch.decided()
    assert 0 < stopped <= 10
    assert watch.proven and sentence is not None
    assert sentence.startswith("bedrock/kimi-k2.5 passed less than 95 % of its runs (")
    assert sentence.endswith("It does not tell why")


def test_one_outage_does_not_prove_a_pass_rate_missed() -> None:
    watch = watching(KIMI, pass_rate=0.9)
    for n in range(1, 41):
        watch.add(run(KIMI, n, "hang-mid-stream" if 10 < n <= 30 else "pass"))
    assert watch.decided() is None
    assert "that it lasts is not proven" in watch.summary()
    assert "20 of 40 runs, with failures in 1 episode" in watch.summary()


def test_a_good_target_is_proven_good() -> None:
    watch = watching(NOVA, pass_rate=0.8)
    assert 0 < fed(watch, experiment(200, targets=[NOVA])) < 60
    assert "passed more than 80 % of its runs while the test ran" in (watch.decided() or "")
    assert (watch.decided() or "").endswith("It does not tell of outages at other times")


def test_two_equal_targets_are_hardly_ever_told_apart() -> None:
    """200 races of 60 rounds between targets that both fail 40 %, looked at after every run."""
    draw = random.Random(20260212)
    alarms = 0
    for _ in range(200):
        outcomes = (
            run(of, n, "hang-mid-stream" if draw.random() < 0.4 else "pass")
            for n in range(1, 61)
            for of in (KIMI, NOVA)
        )
        alarms += fed(watching(KIMI, NOVA), outcomes) > 0
    assert alarms <= 18


@pytest.mark.parametrize("rounds", [3, 10, 30])
def test_equal_targets_with_outages_are_hardly_ever_told_apart(rounds: int) -> None:
    """100 races of 200 rounds between four targets with one outage law: down 30 % of the time, ``rounds`` at a time."""
    draw, alarms = random.Random(rounds), 0
    for _ in range(100):
        laws = [outages(draw, down=0.3, rounds=rounds) for _ in ALL]
        watch = watching(*ALL)
        for n in range(1, 201):
            for of, law in zip(ALL, laws, strict=True):
                watch.add(run(of, n, "hang-mid-stream" if next(law) else "pass"))
        alarms += watch.proven
    assert alarms <= 9


def test_a_target_with_more_outages_is_told_from_one_with_few() -> None:
    draw, proven = random.Random(7), 0
    for _ in range(50):
        laws = outages(draw, down=0.4, rounds=3), outages(draw, down=0.02, rounds=3)
        watch = watching(KIMI, NOVA)
        for n in range(1, 301):
            for of, law in zip((KIMI, NOVA), laws, strict=True):
                watch.add(run(of, n, "hang-mid-stream" if next(law) else "pass"))
        proven += watch.proven and (watch.decided() or "").startswith("bedrock/kimi-k2.5 failed ")
    assert proven >= 45


def test_what_cannot_be_proven_is_refused() -> None:
    with pytest.raises(UsageError, match="one target alone proves nothing; add another"):
        watching(KIMI)
    with pytest.raises(UsageError, match="a pass rate of 1 cannot be proven"):
        watching(KIMI, pass_rate=1.0)


def test_the_conclusion_of_a_watched_race_is_what_was_watched() -> None:
    watch = watching(KIMI, OPENROUTER)
    trials = list(experiment(14, SCATTERED, (KIMI, OPENROUTER)))
    fed(watch, trials)
    verdict = compare(trials, ALL, watched=watch.summary())
    assert verdict.watched
    assert verdict.conclusion == f"{watch.summary()}. A test of 30 s says nothing about other hours"


def test_a_test_that_does_not_stop_tells_of_all_its_rounds() -> None:
    rows = [(KIMI, TOKYO), (OPENROUTER, TOKYO)]
    first, whole = SequentialTest(rows), SequentialTest(rows, stops=False)
    for trial in experiment(40, SCATTERED, (KIMI, OPENROUTER)):
        first.add(trial)
        whole.add(trial)
    assert first.proven and whole.proven
    assert "6 of 14 runs against 0 of 14" in (first.decided() or "")
    assert "16 of 40 runs against 0 of 40" in (whole.decided() or "")
