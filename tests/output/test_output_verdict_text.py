"""Promises about the printed verdict: every figure at its place, plain characters, and the conclusion last."""

from msgspec.structs import replace

from kmon.model import Target
from kmon.output.verdict_text import verdict_lines
from kmon.stats.compare import Verdict, compare
from kmon.stats.outcome import OutcomeName
from kmon.stats.question import Question
from kmon.stats.trial import Trial


def target(name: str, model: str) -> Target:
    return Target(name=name, provider=name.split("/")[0], model=model, base_url="https://x.example/v1")


KIMI, NOVA = target("bedrock/kimi-k2.5", "kimi-k2.5"), target("bedrock/nova-pro", "nova-pro")


def run(of: Target, round_number: int, outcome: OutcomeName) -> Trial:
    silent = outcome == "timeout-before-first-token"
    return Trial(
        target=of.name,
        round=round_number,
        outcome=outcome,
        ttft_s=None if silent else 0.4,
        max_gap_s=30.0 if silent else 0.1,
        duration_s=30.0 if silent else 2.0,
    )


def verdict_text(verdict: Verdict) -> str:
    return "\n".join(line.text for line in verdict_lines(verdict))


def trials(rounds: int = 10) -> list[Trial]:
    silent: OutcomeName = "timeout-before-first-token"
    kimi = [run(KIMI, n, silent if n % 10 in (1, 2, 3, 5) else "pass") for n in range(1, rounds + 1)]
    return kimi + [run(NOVA, n, "pass") for n in range(1, rounds + 1)]


def test_the_summary_of_the_field_report() -> None:
    assert verdict_text(compare(trials(), [KIMI, NOVA])) == (
        """\
target             pass rate (95 %)           failures
bedrock/kimi-k2.5  60 % (26-88 %), 10 runs    4 timeout-before-first-token
bedrock/nova-pro   100 % (69-100 %), 10 runs  none

target             ttft p50  gap p50  total p50
bedrock/kimi-k2.5    0.40 s   0.10 s     2.00 s
bedrock/nova-pro     0.40 s   0.10 s     2.00 s
(gap: longest silence after the first token)

tool uses  bedrock/kimi-k2.5  bedrock/nova-pro
1          60 % (26-88 %)     100 % (69-100 %)
2          36 % (7-77 %)      100 % (48-100 %)
3          22 % (2-68 %)      100 % (33-100 %)
4          13 % (0.5-60 %)    100 % (23-100 %)
5          8 % (0.1-52 %)     100 % (16-100 %)
10         1 % (0-27 %)       100 % (2-100 %)
(the chance that so many in a row go well, if each use fails independently of the others)

failed more often  than              failed             points more (95 %)  episodes  p (rounds)  p (episodes)  \
they differ in
bedrock/kimi-k2.5  bedrock/nova-pro  4 of 10 : 0 of 10  40 (-2 to 74)       2 : 0     0.125       0.5           \
deployment
(p: McNemar's exact test)

Measured over 30 s.
Conclusion: bedrock/kimi-k2.5 failed 40 percentage points more often here than bedrock/nova-pro \
(95 %: -2 to 74 points; 4 of 10 runs against 0 of 10, in 2 episodes against 0, over 30 s). \
This is not proven: chance alone may explain it (p = 0.125); at these rates about 20 more rounds would prove it"""
    )


def test_percentiles_among_the_timeouts_are_shown_as_beyond_them() -> None:
    assert "> 30.00 s" in verdict_text(compare(trials(30), [KIMI, NOVA]))


def test_milliseconds_are_not_rounded_away() -> None:
    quick = [replace(trial, max_gap_s=0.0042) for trial in trials() if trial.target == NOVA.name]
    assert "0.004 s" in verdict_text(compare(quick, [NOVA]))


def test_rate_limited_and_cancelled_runs_are_said_not_to_count() -> None:
    some = [*trials(), run(NOVA, 11, "rate-limited"), run(KIMI, 11, "cancelled")]
    text = verdict_text(compare(some, [KIMI, NOVA]))
    assert "1 rate-limited (not counted)" in text
    assert "4 timeout-before-first-token, 1 cancelled (not counted)" in text


def test_more_than_four_targets_get_a_second_table_of_chains() -> None:
    many = [target(f"t{n}", f"m{n}") for n in range(6)]
    text = verdict_text(compare([run(of, n, "pass") for of in many for n in range(1, 6)], many))
    assert [line.split()[2:] for line in text.splitlines() if line.startswith("tool uses")] == [
        ["t0", "t1", "t2", "t3"],
        ["t4", "t5"],
    ]
    assert "No difference in failures in 15 pairs." in text


def test_a_measured_chain_stands_beside_the_chance() -> None:
    chains = [Trial(target="t", round=n, outcome="pass", tool_uses=3) for n in range(1, 9)]
    text = verdict_text(compare(chains, []))
    assert "3          100 % (63-100 %), 8 of 8 chains" in text
    assert "4          100 % (54-100 %), if independent" in text
    assert "measured on chains as a whole" in text and "if independent: longer than" in text
    single = verdict_text(compare(trials(), [KIMI, NOVA]))
    assert "if each use fails independently of the others" in single and "chains" not in single


def test_a_watched_race_says_what_its_p_values_are_worth() -> None:
    verdict = compare(trials(), [KIMI, NOVA], watched="nothing proven in 10 rounds")
    text = verdict_text(verdict)
    assert text.endswith("Conclusion: nothing proven in 10 rounds. A test of 30 s says nothing about other hours")
    assert "(no p-values: " in text and "p (rounds)" not in text
    assert "p (rounds)" in verdict_text(replace(verdict, watched=False))


def test_a_pair_that_waits_for_the_question_has_no_p_value() -> None:
    others = [target("bedrock/mistral", "mistral"), target("openrouter/kimi", "kimi")]
    rest = [run(of, n, "pass") for of in others for n in range(1, 11)]
    asks = Question(KIMI.name, (NOVA.name,))
    rows = verdict_text(compare([*trials(), *rest], [KIMI, NOVA, *others], question=asks)).splitlines()
    told = {row.split()[1]: row for row in rows if row.startswith(f"{KIMI.name}  ") and " : " in row}
    assert "0.125" in told[NOVA.name]
    assert all(" -  " in told[of.name] and "0.125" not in told[of.name] for of in others)


def test_only_pairs_that_differ_have_a_row() -> None:
    others = [target("bedrock/mistral", "mistral"), target("bedrock/haiku", "haiku")]
    rest = [run(of, n, "pass") for of in others for n in range(1, 11)]
    arms = [KIMI, NOVA, *others]
    text = verdict_text(compare([*trials(), *rest], arms))
    assert sum(line.startswith("bedrock/kimi-k2.5  bedrock/") for line in text.splitlines()) == 3
    assert "(p: McNemar's exact test, Holm's correction for 6 comparisons)" in text
    assert "No difference in failures in 3 other pairs." in text
    asked = verdict_text(compare([*trials(), *rest], arms, question=Question(KIMI.name, (NOVA.name,))))
    assert "(p: McNemar's exact test; other pairs wait until the question is proven)" in asked


def test_no_runs_are_summed_up_too() -> None:
    assert verdict_text(compare([], [KIMI])) == "Conclusion: nothing was measured: no run counts"


def test_the_text_has_plain_characters_only() -> None:
    text = verdict_text(compare(trials(30), [KIMI, NOVA]))
    assert text.isascii() and all(char.isprintable() or char == "\n" for char in text)
