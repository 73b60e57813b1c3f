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


def test_the_field_reports_root_cause_was_not_proven() -> None:
    assert compare(experiment(), ALL).conclusion == (
        "bedrock/kimi-k2.5 fails more than bedrock/mistral-large-3 on the same rounds (4 of 10 against 0 of 10, "
        "in 2 episodes against 0, McNemar p = 0.5, after Holm 1): not proven at 5 %; "
        "about 30 more rounds at these rates would be needed"
    )


def test_the_rounds_said_to_be_needed_prove_it() -> None:
    assert compare(experiment(10, SCATTERED), ALL).comparisons[0].more_rounds == 10
    assert not any(pair.proven for pair in compare(experiment(18, SCATTERED), ALL).comparisons)
    proven = compare(experiment(20, SCATTERED), ALL)
    assert [pair.proven for pair in proven.comparisons] == [True, True, True, False, False, False]


def test_with_two_controls_and_the_model_elsewhere_the_factor_is_the_two_together() -> None:
    assert compare(experiment(30, SCATTERED), ALL).conclusion == (
        "bedrock/kimi-k2.5 fails more than bedrock/mistral-large-3 on the same rounds (12 of 30 against 0 of 30, "
        "in 12 episodes against 0, McNemar p = 0.000488, after Holm 0.00293): "
        "at 95 % confidence the difference is real; "
        "only the model differs from bedrock/mistral-large-3 and bedrock/nova-pro, so the model plays a part; "
        "the provider and the dialect differ from openrouter, which does not tell them apart; "
        "neither the model alone nor the provider alone explains it"
    )


def test_a_proven_difference_in_two_factors_does_not_tell_which_is_the_cause() -> None:
    two = (KIMI, OPENROUTER)
    sentence = compare(experiment(30, SCATTERED, two), two).conclusion
    assert sentence.endswith(
        "at 95 % confidence the difference is real; it does not tell whether the provider or the dialect is the cause"
    )
    assert "after Holm" not in sentence


def test_a_proven_difference_in_one_factor_names_it() -> None:
    two = (KIMI, NOVA)
    sentence = compare(experiment(30, SCATTERED, two), two).conclusion
    assert sentence.endswith("; only the model differs between the two, so the model plays a part")


def test_one_scenario_with_tools_and_one_without_isolates_the_tools() -> None:
    together = target("together", "moonshotai/Kimi-K2.6")
    trials = [run(together, n, scenario="code") for n in range(1, 13)]
    trials += [run(together, n, "hang-mid-stream", scenario="code-tools") for n in range(1, 13)]
    verdict = compare(trials, [together], [scenario("code"), scenario("code-tools")])
    assert [arm.name for arm in verdict.arms] == ["together (code)", "together (code-tools)"]
    assert verdict.conclusion.startswith("together (code-tools) fails more than together (code) on the same rounds")
    assert verdict.conclusion.endswith("; only the tools differ between the two, so the tools play a part")


def test_one_target_alone_explains_nothing() -> None:
    assert compare(experiment(targets=[KIMI]), [KIMI]).conclusion == (
        "bedrock/kimi-k2.5 passes 60 % (26-88 %), 10 runs; nothing was raced beside it, so it does not tell whether "
        "the provider, the model or the request is the cause"
    )


def test_without_a_failure_there_is_nothing_to_explain_but_something_may_hide() -> None:
    assert compare(experiment(failing=()), ALL).conclusion == (
        "no run failed, so there is no difference to explain; 10 runs each leave room for up to 31 % of failures (95 %)"
    )


def test_targets_that_fail_alike_are_said_to() -> None:
    trials = [run(of, n, TIMEOUT if n <= 3 else "pass") for n in range(1, 11) for of in (KIMI, NOVA)]
    assert compare(trials, ALL).conclusion == (
        "no target fails more than another: bedrock/kimi-k2.5 and bedrock/nova-pro fail alike "
        "(3 of 10 against 3 of 10, McNemar p = 1)"
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


def test_measured_chains_stand_beside_the_computed_chance() -> None:
    died_after = [5, 5, 2, 0]
    chains = [
        Trial(target="t", round=n, outcome="pass" if uses == 5 else "hang-mid-stream", tool_uses=uses)
        for n, uses in enumerate(died_after, 1)
    ]
    (arm,) = compare(chains, []).arms
    assert [(row.chains_through, row.chains) for row in arm.compound] == [
        (3, 4), (3, 4), (2, 4), (2, 4), (2, 4), (None, None),
    ]  # fmt: skip
    assert arm.compound[0].rate == 12 / 14


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
    assert line.startswith(b'{"type":"verdict","conclusion":"bedrock/kimi-k2.5 fails more')
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
    assert ("is real" in verdict.conclusion) <= any(pair.proven for pair in verdict.comparisons)
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
