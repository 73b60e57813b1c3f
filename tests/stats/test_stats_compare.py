"""Promises about a verdict: what is counted, what is compared, and that the sentence says no more than was shown."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kmon.format import percent
from kmon.model import Target
from kmon.stats.compare import Verdict, compare
from kmon.stats.outcome import OUTCOMES, OutcomeName
from kmon.stats.pairs import differing, model_family
from kmon.stats.question import Question
from kmon.stats.statistics import fisher_exact, rate_words
from kmon.stats.trial import Arm, Trial, trial_of
from tests.support.ended import SCENARIOS, ended, failed, scenario
from tests.support.seed import ALL, FAILING, KIMI, MISTRAL, NOVA, OPENROUTER, SCATTERED, experiment, run, target

TIMEOUT: OutcomeName = "timeout-before-first-token"


def words(verdict: Verdict) -> dict[str, str]:
    return {arm.name: arm.words for arm in verdict.arms}


def test_the_field_reports_rates_with_their_intervals() -> None:
    assert words(compare(experiment(), ALL)) == {
        "bedrock/kimi-k2.5": "60 % (26-88 %), 10 runs",
        "bedrock/mistral-large-3": "100 % (69-100 %), 10 runs",
        "bedrock/nova-pro": "100 % (69-100 %), 10 runs",
        "openrouter": "100 % (69-100 %), 10 runs",
    }


CONTROLS = "bedrock/mistral-large-3, bedrock/nova-pro and openrouter"
QUESTION = Question(KIMI.name, (MISTRAL.name, NOVA.name, OPENROUTER.name))


def on_failures(verdict: Verdict) -> str:
    """The conclusion without what it says of times: these trials differ in the time of a timeout alone."""
    return verdict.conclusion.partition(". bedrock/kimi-k2.5 stood still")[0]


def test_the_field_reports_root_cause_was_not_proven() -> None:
    assert on_failures(compare(experiment(), ALL)) == (
        f"bedrock/kimi-k2.5 failed 40 percentage points more often here than {CONTROLS} "
        "(95 %: -2 to 74 points; 4 of 10 runs against 0 of 10, in 2 episodes against 0, over 30 s). "
        "This is not proven: chance alone may explain it (p = 0.125, with 6 comparisons 0.75); "
        "at these rates about 30 more rounds would prove it"
    )


def test_a_declared_question_needs_less() -> None:
    verdict = compare(experiment(), ALL, question=QUESTION)
    assert "(p = 0.125, with 3 comparisons 0.375); at these rates about 25 more" in verdict.conclusion
    assert [pair.asked for pair in verdict.comparisons] == [True, True, True, False, False, False]
    assert verdict.question == QUESTION
    assert [pair.proven for pair in compare(experiment(18, SCATTERED), ALL, question=QUESTION).comparisons[:3]] == [
        True,
        True,
        True,
    ]


def test_other_pairs_wait_until_the_question_is_proven() -> None:
    """Mistral fails in every other round, which Nova and OpenRouter do not; but the question is about Kimi."""
    trials = [run(MISTRAL, n, TIMEOUT if n % 2 else "pass") for n in range(1, 31)]
    trials += [run(of, n) for n in range(1, 31) for of in (KIMI, NOVA, OPENROUTER)]
    verdict = compare(trials, ALL, question=Question(KIMI.name, (NOVA.name,)))
    assert [pair for pair in verdict.comparisons if pair.proven] == []
    assert verdict.conclusion.startswith("no target failed more often than another: bedrock/kimi-k2.5 and bedrock/nova")
    assert any(pair.proven for pair in compare(trials, ALL).comparisons)


def test_a_control_that_fails_more_often_than_the_suspect_is_told() -> None:
    verdict = compare(experiment(30, SCATTERED, bad=NOVA), ALL, question=QUESTION)
    assert verdict.conclusion.startswith("bedrock/nova-pro failed 40 percentage points more often than bedrock/kimi-k2")
    assert "This is proven (p = " in verdict.conclusion


def test_what_outages_may_explain_is_told_as_that() -> None:
    assert on_failures(compare(experiment(30, range(1, 5), (KIMI, NOVA)), ALL)) == (
        "bedrock/kimi-k2.5 failed 40 percentage points more often while the test ran than bedrock/nova-pro "
        "(95 %: 19 to 59 points; 12 of 30 runs against 0 of 30, in 3 episodes against 0, over 30 s). "
        "Chance alone hardly explains that (p = 0.000488), but that it lasts is not proven: counted by episodes "
        "p = 0.25, so outages that each of them has as often may explain it; "
        "at these rates about 30 more rounds would prove it"
    )


def test_every_comparison_of_the_worst_target_is_told_with_its_own_counts() -> None:
    trials = [run(of, n, TIMEOUT if of is KIMI and n % 2 else "pass") for n in range(1, 31) for of in (KIMI, NOVA)]
    trials += [run(MISTRAL, n, TIMEOUT if n == 8 else "pass") for n in range(1, 31)]
    conclusion = compare(trials, ALL).conclusion
    assert conclusion.startswith(
        "bedrock/kimi-k2.5 failed 47 percentage points more often than bedrock/mistral-large-3 "
        "(95 %: 21 to 66 points; 15 of 30 runs against 1 of 30, in 14 episodes against 0, over 30 s) "
        "and 50 percentage points more often than bedrock/nova-pro (95 %: 28 to 69 points; 15 of 30 runs against 0 of "
    )


def test_an_arm_with_more_failures_but_fewer_episodes_is_not_called_worse() -> None:
    fails = {n for n in range(1, 60) if n % 6 in (1, 4)}
    trials = [run(KIMI, n, TIMEOUT if n in fails else "pass") for n in range(1, 101)]
    trials += [run(NOVA, n, TIMEOUT if n > 60 else "pass") for n in range(1, 101)]
    (pair,) = compare(trials, ALL).comparisons
    assert pair.worse == NOVA.name and pair.p_holm < 0.001 and not pair.proven


def test_the_rounds_said_to_be_needed_prove_it() -> None:
    assert compare(experiment(10, SCATTERED), ALL).comparisons[0].more_rounds == 10
    assert not any(pair.proven for pair in compare(experiment(18, SCATTERED), ALL).comparisons)
    proven = compare(experiment(20, SCATTERED), ALL)
    assert [pair.proven for pair in proven.comparisons] == [True, True, True, False, False, False]


def test_with_two_controls_and_the_model_elsewhere_it_is_the_deployment() -> None:
    assert on_failures(compare(experiment(30, SCATTERED), ALL)) == (
        f"bedrock/kimi-k2.5 failed 40 percentage points more often than {CONTROLS} "
        "(95 %: 19 to 59 points; 12 of 30 runs against 0 of 30, in 12 episodes against 0, over 30 s). "
        "This is proven (p = 0.000488, with 6 comparisons 0.00293): neither chance nor outages that each of them "
        "has as often explain it. A test of 30 s says nothing about other hours. "
        "From bedrock/mistral-large-3 and bedrock/nova-pro it differs only in the deployment, which is how this "
        "provider serves this model; from openrouter it differs in the provider and the dialect, and nothing here "
        "tells which of these is the cause; so neither this provider in general nor this model everywhere explains it, "
        "but how this provider serves this model, or the dialect"
    )


def test_a_proven_difference_in_two_factors_does_not_tell_which_is_the_cause() -> None:
    two = (KIMI, OPENROUTER)
    sentence = on_failures(compare(experiment(30, SCATTERED, two), two))
    assert sentence.endswith(
        "This is proven (p = 0.000488): neither chance nor outages that each of them has as often explain it. "
        "A test of 30 s says nothing about other hours. "
        "They differ in the provider and the dialect, and nothing here tells which of these is the cause"
    )


def test_two_models_at_one_provider_differ_in_the_deployment() -> None:
    two = (KIMI, NOVA)
    sentence = on_failures(compare(experiment(30, SCATTERED, two), two))
    assert sentence.endswith("They differ only in the deployment, which is how this provider serves this model")
    assert "so the model" not in sentence


def test_one_scenario_with_tools_and_one_without_isolates_the_tools() -> None:
    together = target("together", "moonshotai/Kimi-K2.6")
    trials = [run(together, n, scenario="code") for n in range(1, 13)]
    trials += [run(together, n, "hang-mid-stream", scenario="code-tools") for n in range(1, 13)]
    verdict = compare(trials, [together], [scenario("code"), scenario("code-tools")])
    assert [arm.name for arm in verdict.arms] == ["together (code)", "together (code-tools)"]
    assert verdict.conclusion.startswith(
        "together (code-tools) failed 100 percentage points more often than together (code) (95 %: 63 to 100 points; "
    )
    assert "the order was random, so the tools are a cause" in verdict.conclusion


def test_one_target_alone_explains_nothing() -> None:
    assert compare(experiment(targets=[KIMI]), [KIMI]).conclusion == (
        "bedrock/kimi-k2.5 passed 60 % (26-88 %), 10 runs; nothing was raced beside it, so it does not tell whether "
        "the provider, the model or the request is the cause"
    )


def test_without_a_failure_something_may_hide() -> None:
    assert compare(experiment(failing=()), ALL).conclusion == (
        "no run failed; with 10 runs each, a failure rate of up to 31 % may go unseen (95 %)"
    )


def test_targets_that_fail_alike_are_said_to_with_the_difference_that_may_hide() -> None:
    trials = [run(of, n, TIMEOUT if n <= 3 else "pass") for n in range(1, 11) for of in (KIMI, NOVA)]
    assert compare(trials, ALL).conclusion == (
        "no target failed more often than another: bedrock/kimi-k2.5 and bedrock/nova-pro each failed 3 of 10 runs. "
        "A difference of 23 percentage points may go unseen (95 %)"
    )


def test_rate_limits_are_counted_apart_and_said() -> None:
    limited = [run(OPENROUTER, n, "rate-limited") for n in (2, 3)]
    trials = [
        trial for trial in experiment() if (trial.target, trial.round) not in {("openrouter", 2), ("openrouter", 3)}
    ]
    verdict = compare([*trials, *limited], ALL)
    openrouter = verdict.arms[-1]
    assert (openrouter.n, openrouter.passes, openrouter.rate_limited) == (8, 8, 2)
    assert verdict.conclusion.endswith("; rate-limited and left out: 2 of 10 at openrouter")


def test_a_cancelled_run_is_no_run() -> None:
    verdict = compare([*experiment(targets=[KIMI]), run(KIMI, 11, "cancelled")], ALL)
    assert (verdict.arms[0].n, verdict.arms[0].cancelled) == (10, 1)


def test_nothing_but_refusals_is_nothing_measured() -> None:
    verdict = compare([run(KIMI, 1, "rate-limited"), run(NOVA, 1, "cancelled")], ALL)
    assert verdict.conclusion == (
        "nothing was measured: no run counts; rate-limited and left out: 1 of 1 at bedrock/kimi-k2.5"
    )
    assert verdict.arms[0].words == "no run counts"
    assert verdict.comparisons == ()
    assert compare([], ALL).conclusion == "nothing was measured: no run counts"


def test_a_retry_does_not_wash_a_failure_away() -> None:
    verdict = compare([run(KIMI, 1, TIMEOUT), run(KIMI, 1), run(KIMI, 2, "cancelled"), run(KIMI, 2)], ALL)
    assert (verdict.arms[0].n, verdict.arms[0].passes) == (2, 1)


def test_rounds_of_their_own_are_compared_by_fishers_test() -> None:
    trials = [run(KIMI, n, TIMEOUT if n <= 4 else "pass") for n in range(1, 11)]
    trials += [run(NOVA, n) for n in range(11, 21)]
    (pair,) = compare(trials, ALL).comparisons
    assert (pair.test, pair.only_worse, pair.p_rounds) == ("Fisher", None, fisher_exact(4, 6, 0, 10))
    assert pair.p == 1  # one episode, which had begun before; after the passes none did
    assert "race them in the same rounds" in compare(trials, ALL).conclusion


def test_only_rounds_both_took_part_in_are_paired() -> None:
    trials = [*experiment(10, FAILING, [KIMI, NOVA]), run(KIMI, 11, TIMEOUT)]
    (pair,) = compare(trials, ALL).comparisons
    assert (pair.test, pair.worse_failed, pair.worse_n, pair.better_n) == ("McNemar", 4, 10, 10)


def test_times_hold_timeouts_as_waits_that_had_not_ended() -> None:
    kimi = compare(experiment(failing=(1, 2, 3, 4, 5, 6)), ALL).arms[0]
    median_ttft, p90, _ = kimi.ttft_s
    assert (median_ttft.kind, median_ttft.seconds) == ("above", 30.0)
    assert (p90.kind, p90.n, p90.needed) == ("refused", 10, 29)
    assert kimi.max_gap_s[0].kind == kimi.duration_s[0].kind == "above"


def test_a_request_that_was_refused_is_no_wait() -> None:
    refused = trial_of(failed("http", 500, max_gap_ms=200.0), scenario("tool-result"))
    assert refused.first_token() is refused.longest_gap() is refused.whole() is None
    cut = trial_of(ended(state="incomplete"), scenario("tool-result"))
    assert cut.whole() == (1.0, True) and cut.longest_gap() == (0.09, True) and cut.first_token() == (0.4, False)


def test_a_slower_first_token_is_found_among_runs_that_all_pass() -> None:
    trials = [run(KIMI, n, ttft_s=5 + n / 10) for n in range(1, 13)] + [run(NOVA, n) for n in range(1, 13)]
    (pair,) = compare(trials, ALL).comparisons
    assert pair.p == 1 and pair.ttft_p_holm < 0.001


def test_the_chance_of_a_chain_is_the_field_reports_with_an_interval() -> None:
    kimi = compare(experiment(), ALL).arms[0]
    assert [row.uses for row in kimi.compound] == [1, 2, 3, 4, 5, 10]
    assert [percent(row.rate) for row in kimi.compound] == ["60", "36", "22", "13", "8", "1"]
    assert all(row.interval.low <= row.rate <= row.interval.high for row in kimi.compound)


@pytest.mark.parametrize(
    "model",
    [
        "moonshotai.kimi-k2.5",
        "moonshotai/Kimi-K2.5",
        "accounts/fireworks/models/kimi-k2p5",
        "moonshotai/kimi-k2.5:free",
    ],
)
def test_a_model_is_known_again_at_another_host(model: str) -> None:
    assert model_family(model) == "kimi-k2.5"


@pytest.mark.parametrize(
    ("one", "other"),
    [("gpt-oss:20b", "gpt-oss:120b"), ("kimi-k2.5", "kimi-k2.6"), ("us.amazon.nova-pro-v1:0", "nova-lite")],
)
def test_different_models_stay_different(one: str, other: str) -> None:
    assert model_family(one) != model_family(other)


@pytest.mark.parametrize(
    ("first", "second", "factors"),
    [
        (KIMI, MISTRAL, ("model",)),
        (KIMI, OPENROUTER, ("provider", "dialect")),
        (MISTRAL, OPENROUTER, ("provider", "model", "dialect")),
        (OPENROUTER, target("moonshot", "kimi-k2.5"), ("provider",)),
        (KIMI, replace(KIMI, name="bedrock/eu", region="eu-west-1"), ("region",)),
        (KIMI, target("bedrock/eu", "eu.moonshotai.kimi-k2.5", "converse", "https://eu.example"), ("endpoint",)),
    ],
)
def test_the_factors_are_what_differs(first: Target, second: Target, factors: tuple[str, ...]) -> None:
    targets = {first.name: first, second.name: second}
    assert differing(Arm(first.name, "s"), Arm(second.name, "s"), targets, SCENARIOS) == factors


def test_a_verdict_is_one_line_of_json() -> None:
    verdict = compare(experiment(), ALL)
    line = msgspec.json.encode(verdict)
    assert line.startswith(b'{"type":"verdict","conclusion":"bedrock/kimi-k2.5 failed 40')
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Verdict) == verdict


TRIALS = st.lists(
    st.builds(
        run,
        st.sampled_from(ALL),
        st.integers(1, 8),
        st.sampled_from(OUTCOMES),
        st.sampled_from(["code", "tool-result"]),
        st.floats(0, 50),
    ),
    max_size=60,
)


@given(TRIALS)
def test_any_runs_get_a_verdict_of_one_sentence_whose_counts_add_up(trials: list[Trial]) -> None:
    verdict = compare(trials, ALL, tuple(SCENARIOS.values()))
    assert verdict.conclusion and "\n" not in verdict.conclusion
    assert "confirmed" not in verdict.conclusion
    for arm in verdict.arms:
        assert arm.passes + sum(arm.failures.values()) == arm.n
    for pair in verdict.comparisons:
        assert 0 <= pair.p <= pair.p_holm <= 1
        assert pair.worse_failed * pair.better_n >= pair.better_failed * pair.worse_n
        assert -1 <= pair.difference_interval.low <= pair.difference <= pair.difference_interval.high <= 1
    assert ("This is proven (p" in verdict.conclusion) == any(pair.proven for pair in verdict.comparisons)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


@pytest.mark.parametrize(
    ("passes", "n", "said"),
    [
        (6, 10, "60 % (26-88 %), 10 runs"),
        (0, 10, "0 % (0-31 %), 10 runs"),
        (1, 1, "100 % (3-100 %), 1 run"),
        (499, 500, "99.8 % (99-99.99 %), 500 runs"),
        (0, 0, "no run counts"),
    ],
)
def test_rates_in_words(passes: int, n: int, said: str) -> None:
    assert rate_words(passes, n) == said


def test_judging_runs_waits_with_its_heavy_imports_and_needs_no_scipy() -> None:
    modules = "kmon.stats.compare, kmon.stats.sequential_test, kmon.output.verdict_text"
    script = f"import {modules}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jsonschema", "referencing", "scipy", "numpy", "textual", "rich", "httpx"} & set(loaded)


def test_a_test_of_rate_limits_alone_says_what_to_do() -> None:
    verdict = compare([run(of, n, "rate-limited") for n in (1, 2) for of in (KIMI, NOVA)], ALL)
    assert verdict.conclusion == (
        "nothing was measured: every request was refused for its rate (2 of 2 at bedrock/kimi-k2.5 and 2 of 2 at "
        "bedrock/nova-pro); ask more slowly (--spacing or --over), or later"
    )


def test_runs_cut_short_widen_the_rate_and_are_never_replaced_by_a_retry() -> None:
    trials = [run(KIMI, n) for n in range(1, 7)] + [run(KIMI, 7, "cut-short"), run(KIMI, 8, "cut-short")]
    verdict = compare([*trials, run(KIMI, 7), run(KIMI, 8)], ALL)
    (arm,) = verdict.arms
    assert (arm.n, arm.passes, arm.cut_short, arm.worst, arm.best) == (6, 6, 2, 0.75, 1.0)
    assert verdict.conclusion.endswith(
        "; 2 runs cut short by you left out, with them bedrock/kimi-k2.5 passes 75 to 100 % of its runs"
    )


def test_a_run_that_was_never_sent_is_replaced_by_its_retry() -> None:
    verdict = compare([run(KIMI, 1, "cancelled"), run(KIMI, 1), run(KIMI, 2, "disturbed"), run(KIMI, 2)], ALL)
    assert (verdict.arms[0].n, verdict.arms[0].passes, verdict.arms[0].disturbed) == (2, 2, 0)


def test_a_disturbed_run_takes_its_partner_of_the_round_out_of_the_pair() -> None:
    trials = [run(of, n, TIMEOUT if of is KIMI else "pass") for n in range(1, 9) for of in (KIMI, NOVA)]
    trials = [t for t in trials if (t.target, t.round) != (NOVA.name, 3)] + [run(NOVA, 3, "disturbed")]
    verdict = compare(trials, ALL)
    (pair,) = verdict.comparisons
    assert (pair.worse_n, pair.better_n, pair.only_worse) == (7, 7, 7)
    assert "1 run disturbed by this machine left out" in verdict.conclusion


def test_the_times_of_a_run_cut_short_are_lower_bounds() -> None:
    cut = replace(run(KIMI, 1, "stalled"), cut_short=True, max_gap_s=12.0, duration_s=14.0)
    assert cut.whole() == (14.0, True) and cut.longest_gap() == (12.0, True)
    assert run(KIMI, 1, "stalled").whole() == (2.0, False)
