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
from tests.support.seed import ALL, KIMI, NOVA, OPENROUTER, experiment, run

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


def test_two_targets_are_told_apart_after_eight_rounds_in_which_one_failed_alone() -> None:
    watch = watching(KIMI, OPENROUTER)
    assert fed(watch, experiment(100, range(1, 11), (KIMI, OPENROUTER))) == 8
    assert watch.decided() == (
        "bedrock/kimi-k2.5 fails more than openrouter, it alone failed in 8 rounds, the other alone in 0 "
        "(e = 28.4, 20 needed): proven after 8 rounds, at 95 % confidence however often one looked; "
        "it does not tell whether the provider or the dialect is the cause"
    )
    assert watch.summary() == watch.decided()


def test_what_is_proven_stays_proven_while_the_last_runs_end() -> None:
    watch = watching(KIMI, OPENROUTER)
    fed(watch, experiment(8, range(1, 11), (KIMI, OPENROUTER)))
    proof = watch.decided()
    for n in range(9, 20):
        watch.add(run(KIMI, n))
        watch.add(run(OPENROUTER, n, "hang-mid-stream"))
    assert proof is not None
    assert watch.decided() == watch.summary() == proof


def test_more_targets_need_more_evidence() -> None:
    assert fed(watching(*ALL), experiment(100, range(1, 11), ALL)) == 11


def test_ten_rounds_of_the_field_report_decide_nothing() -> None:
    watch = watching(KIMI, OPENROUTER)
    assert fed(watch, experiment(10, targets=(KIMI, OPENROUTER))) == 0
    assert watch.decided() is None
    assert watch.summary() == (
        "nothing proven in 10 rounds; nearest to it: bedrock/kimi-k2.5 fails more than openrouter, "
        "it alone failed in 4 rounds, the other alone in 0 (e = 3.2, 20 needed)"
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
    for trial in experiment(30, range(1, 11), (KIMI, NOVA)):
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
    stopped = fed(watch, experiment(100, targets=[KIMI]))
    sentence = watch.decided()
    assert 0 < stopped <= 10
    assert sentence is not None
    assert sentence.startswith("bedrock/kimi-k2.5 passes less than 95 % of its runs, ")
    assert sentence.endswith("; it does not tell why")


def test_a_good_target_is_proven_good() -> None:
    watch = watching(NOVA, pass_rate=0.8)
    assert 0 < fed(watch, experiment(200, targets=[NOVA])) < 60
    assert "passes more than 80 % of its runs" in (watch.decided() or "")


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


def test_what_cannot_be_proven_is_refused() -> None:
    with pytest.raises(UsageError, match="one target alone proves nothing; add another"):
        watching(KIMI)
    with pytest.raises(UsageError, match="a pass rate of 1 cannot be proven"):
        watching(KIMI, pass_rate=1.0)


def test_the_conclusion_of_a_watched_race_is_what_was_watched() -> None:
    watch = watching(KIMI, OPENROUTER)
    trials = list(experiment(8, range(1, 11), (KIMI, OPENROUTER)))
    fed(watch, trials)
    verdict = compare(trials, ALL, watched=watch.summary())
    assert verdict.watched and verdict.conclusion == watch.summary()
