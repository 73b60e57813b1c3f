"""The answer in words, for every kind of conclusion: numbers, alternatives, and what is missing."""

from __future__ import annotations

import math

import pytest
from msgspec import Struct

from kmon.isolate.answer import answer, answered, e_words
from kmon.isolate.experiment import Experiment
from kmon.stats.isolation.state import Conclusion, ConclusionKind, Explanation, FactorState, IsolationState, Rate
from kmon.stats.statistics import Interval
from tests.support.isolating import experiment


class Fixed(Struct):
    """An isolation that has come to a conclusion, or to none."""

    seen: IsolationState
    found: Conclusion | None = None

    def state(self) -> IsolationState:
        return self.seen

    def conclusion(self) -> Conclusion | None:
        return self.found


def rate(failures: int, runs: int) -> Rate:
    return Rate(runs, failures, Interval(0.0, 0.144))


def state(factors: int, *, clustered_p: float = 1.0, silent: int = 0) -> IsolationState:
    rows = tuple(FactorState(at, rate(9, 27), rate(2, 25), 0.2, 0.0, False, "") for at in range(factors))
    likeliest = (Explanation("factor", (2,), 0.7),)
    return IsolationState(52, 80, 11, silent, rate(5, 9), rows, likeliest, 4.0, False, clustered_p, 1.0)


def conclusion(
    kind: ConclusionKind,
    factors: tuple[int, ...] = (),
    *,
    alternatives: tuple[Explanation, ...] = (),
    reason: str = "",
) -> Conclusion:
    return Conclusion(
        kind=kind,
        factors=factors,
        with_cause=rate(11, 27),
        without=rate(0, 25),
        probability=0.97,
        ln_e=math.log(45),
        alternatives=alternatives,
        requests=52,
        reason=reason,  # type: ignore[arg-type]
    )


def concluded(
    found: Conclusion | None,
    place: Conclusion | None = None,
    part: Conclusion | None = None,
    *,
    only: tuple[str, ...] = ("tools", "streaming", "dialect", "elsewhere", "other-model"),
    **more: float,
) -> Experiment:
    """An isolation with these conclusions of its stages."""
    running = experiment(*only)
    first = running.stages[0]
    first.isolation = Fixed(state(len(first.names), **more), found)  # type: ignore[assignment,arg-type]
    if part is not None:
        stage = running.plan.part(first.found)
        assert stage is not None
        running.stages.append(stage)
        stage.isolation = Fixed(state(1), part)  # type: ignore[assignment]
    if place is not None:
        running.stages.append(running.coming[0])
        running.stages[-1].isolation = Fixed(state(1), place)  # type: ignore[assignment]
    return running


def test_the_stage_that_these_tests_are_about_has_these_factors() -> None:
    running = concluded(None)
    assert running.stages[0].names == ("dialect", "tools", "streaming")
    assert [part.name for part in running.plan.parts(running.stages[0].factors[1])] == ["tool-result"]


def test_a_cause_is_told_with_its_numbers_and_what_made_no_difference() -> None:
    assert answer(concluded(conclusion("factor", (2,)))) == (
        "bedrock/kimi-k2.5 fails when the answer is streamed: 11 of 27 with it, 0 of 25 without (e = 45); "
        "no difference by this dialect and tools in the request; "
        "an answer in one piece has no gaps, so that only its end is judged; 0 requests"
    )


def test_of_a_whole_the_part_is_told_that_makes_the_difference() -> None:
    assert answer(concluded(conclusion("factor", (1,)), part=conclusion("factor", (0,)))) == (
        "bedrock/kimi-k2.5 fails when the request has a tool result in its history: 11 of 27 with it, 0 of 25 without "
        "(e = 45); no difference by tools in the request alone, this dialect and a streamed answer; 0 requests"
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (conclusion("none-of-them"), "a tool result in its history makes no difference by itself"),
        (conclusion("not-explained"), "whether it is by a tool result in its history alone is not known"),
        (None, "whether it is by a tool result in its history alone is not known"),
    ],
)
def test_of_a_whole_it_is_told_whether_its_part_is_known(part: Conclusion | None, words: str) -> None:
    said = answer(concluded(conclusion("factor", (1,)), part=part))
    assert "fails when the request offers tools: 11 of 27 with it" in said and words in said


def test_what_could_not_be_told_apart_is_told_and_is_not_called_no_difference() -> None:
    other = Explanation("pair", (1, 2), 0.03)
    said = answer(concluded(conclusion("factor", (2,), alternatives=(other,))))
    assert "also possible: tools in the request with a streamed answer (3 %)" in said
    assert "no difference by this dialect;" in said


def test_a_pair_is_told_to_need_both() -> None:
    said = answer(concluded(conclusion("pair", (1, 2))))
    assert (
        "fails when the request offers tools and the answer is streamed, only both together: 11 of 27 with both" in said
    )


def test_either_of_two_is_enough() -> None:
    said = answer(concluded(conclusion("either", (1, 2))))
    assert "the request offers tools, and also when the answer is streamed: each is enough alone" in said


def test_none_of_them_is_an_answer() -> None:
    running = concluded(conclusion("none-of-them"))
    assert "fails whatever is changed (this dialect, tools in the request and a streamed answer)" in answer(
        running
    ) and answered(running)


def test_what_does_not_fail_is_told_with_a_bound() -> None:
    said = answer(concluded(conclusion("does-not-fail")))
    assert "does not fail: 11 of 27 as reported failed, at these numbers at most 15 % of them fail (95 %)" in said


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("vanished", "failed at first and then no more: 11 of 52 failed; not explained, try again later"),
        ("budget", "the likeliest is a streamed answer (70 %); try again later"),
    ],
)
def test_not_explained_says_why_and_what_to_do(reason: str, words: str) -> None:
    running = concluded(conclusion("not-explained", reason=reason))
    assert words in answer(running) and not answered(running)


def test_what_was_ended_early_says_what_is_missing() -> None:
    running = concluded(None)
    assert "bedrock/kimi-k2.5: no answer yet; 11 of 52 failed" in answer(running)
    running.stopped = True
    assert "not explained, it was ended before there was an answer; 11 of 52 failed" in answer(running)
    running.given_up = "all requests were rate-limited"
    assert "not explained, all requests were rate-limited" in answer(running)


THERE = "at openrouter/moonshotai/kimi-k2.5"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (conclusion("factor", (0,)), f"only at this provider: 11 of 27, against 0 of 25 {THERE} (e = 45)"),
        (conclusion("none-of-them"), f"it fails {THERE}, too: 0 of 25, against 11 of 27"),
        (conclusion("not-explained"), f"whether it fails {THERE}, too, could not be told (11 of 52 failed)"),
        (None, "0 requests"),
        (conclusion("does-not-fail"), f"it did not fail any more when it was tried {THERE} (11 of 52 failed)"),
    ],
)
def test_where_it_fails_follows_what_it_is(place: Conclusion | None, words: str) -> None:
    said = answer(concluded(conclusion("factor", (2,)), place))
    assert words in said and said.startswith("bedrock/kimi-k2.5 fails when the answer is streamed")


def test_a_place_alone_is_an_answer() -> None:
    said = answer(concluded(conclusion("factor", (0,)), only=("other-model",)))
    assert said.startswith("bedrock/kimi-k2.5 fails: only with this model: 11 of 27, against 0 of 25 with bedrock/")


def test_clusters_are_told() -> None:
    assert "the failures came in clusters" in answer(concluded(conclusion("factor", (2,)), clustered_p=0.01))


@pytest.mark.parametrize(("e", "words"), [(45.2, "45"), (0.034, "0.034"), (1234.0, "1,234"), (1e30, "over 1,000,000")])
def test_e_values_have_few_digits(e: float, words: str) -> None:
    assert e_words(math.log(e)) == words
