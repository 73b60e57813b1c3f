"""The reduction of a request as a whole, on worlds without a network: its rounds, what counts, its sentence."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from kmon.engine.plan import Row
from kmon.isolate.shrink_answer import shrink_answer, shrink_answered
from kmon.isolate.shrinking import Shrinking
from tests.support.isolating import World, failing, has_result, hung, passed, refused, tokyo
from tests.support.shrinking import CONVERSATION, at_provider, shrink, shrink_round, shrinking


def everything() -> Row:
    return Row(at_provider("chat"), CONVERSATION)


def left(running: Shrinking) -> list[str]:
    return [part.words for part in running.left]


def offers(name: str, member: str = "") -> World:
    """A world in which requests fail at 40 % that offer this tool, with this property."""

    def rate(row: Row) -> float:
        found = [tool for tool in row.scenario.tools if tool.name == name]
        return 0.4 if found and (not member or member in found[0].parameters["properties"]) else 0.0

    return failing(rate, seed=5)


def test_a_tool_by_which_it_fails_is_what_is_left() -> None:
    running = shrink(shrinking(everything()), offers("get_news"))
    assert left(running) == ["the tool get_news"]
    said = shrink_answer(running)
    assert re.match(r"chat with everything still fails with 1 of its 35 parts: the tool get_news: \d+ of \d+ \(", said)
    assert "; whole request " in said and said.endswith(f"; {running.requests} requests")
    assert shrink_answered(running) and running.over


def test_a_property_is_left_with_its_tool() -> None:
    running = shrink(shrinking(everything()), offers("get_time", "unit"))
    assert left(running) == ["the tool get_time", "the property unit of get_time"]


def test_a_result_is_left_with_the_tool_that_bedrock_demands() -> None:
    running = shrink(shrinking(), failing(lambda row: 0.4 if has_result(row) else 0.0, seed=2))
    assert left(running) == ["the call of get_weather with its result", "the tool get_weather"]


def test_the_reduced_requests_of_a_round_are_sent_beside_the_whole() -> None:
    running = shrink(shrinking(everything()), offers("get_news"))
    later = running.rounds[6:]
    assert later and all(any(all(sent.config) for sent in each.sent) for each in later)


def test_a_round_is_open_until_all_its_runs_have_ended() -> None:
    running = shrinking()
    rows = running.next_round()
    assert running.requests == len(rows) == 4 and running.next_round() == () and not running.over
    for place, row in enumerate(rows, start=1):
        running.add(replace(passed(), run=f"r1.{place}", round=1, target=row.target.name))
    assert running.next_round() != ()


def test_a_retry_does_not_replace_a_failure() -> None:
    running = shrinking()
    running.next_round()
    running.add(replace(hung(), run="r1.1", round=1))
    running.add(replace(passed(), run="r1.1", round=1))
    sent = running.sent("r1.1")
    assert sent is not None and sent.failed is True and running.sent("r9.9") is None


def test_a_refusal_of_a_reduced_request_is_no_failure_and_is_told() -> None:
    """A provider that demands the replayed reasoning refuses requests without it: so it is kept, not accused."""
    fails = failing(lambda row: 0.5, seed=3)

    def world(row: Row) -> object:
        replayed = all(message.reasoning for message in row.scenario.messages if message.tool_calls)
        return fails(row) if len(row.scenario.messages) > 2 and replayed else refused(400)

    asked = replace(CONVERSATION, messages=CONVERSATION.messages[:4], tools=(), tool_choice=None, parallel_calls=None)
    running = shrink(shrinking(Row(at_provider("chat"), asked)), world)  # type: ignore[arg-type]
    assert "the replayed reasoning of the assistant" in left(running)
    assert re.search(r"; \d+ reduced requests refused, which counts as no failure; ", shrink_answer(running))


def test_a_refusal_that_the_whole_has_as_well_is_a_failure() -> None:
    running = shrink(shrinking(), failing(lambda _: 0.0))
    assert running.result is not None and running.result.outcome == "does-not-fail"
    ends = iter([refused(400), passed()] * 1_000)
    running = shrink(shrinking(), lambda _: next(ends))
    assert running.result is not None and running.result.outcome == "fails-without-parts"
    assert "so look at the rest" in shrink_answer(running) and shrink_answered(running)


def test_a_request_that_does_not_fail_is_said_not_to() -> None:
    running = shrink(shrinking(), lambda _: passed())
    said = shrink_answer(running)
    assert "does not fail at a rate of 15 % or more: 0 of 28 (0-12 %) failed; 28 requests" in said
    assert shrink_answered(running)


def test_a_budget_that_is_too_small_leaves_what_is_known() -> None:
    running = shrink(shrinking(everything(), max_requests=40), offers("get_news"))
    said = shrink_answer(running)
    assert "is not reduced to the end by so few requests: the smallest so far" in said and "--max-requests" in said
    assert not shrink_answered(running) and running.requests <= 40


def test_what_stops_failing_is_no_answer() -> None:
    sent = iter(range(10_000))
    running = shrink(shrinking(everything()), lambda _: hung() if next(sent) % 2 and next(sent) < 24 else passed())
    assert running.result is not None and running.result.outcome == "vanished"
    assert "failed at first and then no more" in shrink_answer(running) and not shrink_answered(running)


def test_it_gives_up_when_all_are_rate_limited() -> None:
    running = shrink(shrinking(), lambda _: refused(429))
    assert running.over and len(running.rounds) == 3 and not shrink_answered(running)
    assert "not reduced, all requests were rate-limited; wait, or send fewer" in shrink_answer(running)


def test_it_can_begin_anew_and_be_ended_early() -> None:
    running = shrink(shrinking(), lambda _: refused(429))
    running.begin()
    assert not running.over and shrink_answer(running).endswith("nothing was measured; 0 requests")
    shrink_round(running, lambda _: hung())
    running.stopped = True
    assert running.next_round() == ()
    assert "not reduced, it was ended before there was an answer; the smallest so far" in shrink_answer(running)


@pytest.mark.parametrize(
    ("rate", "max_requests", "why"),
    [
        (0.15, 12, "12 requests cannot reduce this one, which has 5 parts: at a failure rate of 0.15 it takes 20"),
        (0.15, 2, "2 requests are less than one block of 4"),
        (1.5, 100, "must be between 0 and 1, not 1.5"),
        (float("nan"), 100, "must be between 0 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_refused(rate: float, max_requests: int, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        shrinking(rate=rate, max_requests=max_requests)
    with pytest.raises(ValueError, match="without parts"):
        shrinking(tokyo("together", "minimal"))


def test_rates_count_requests_with_and_without_a_part() -> None:
    running = shrink(shrinking(everything()), offers("get_news"))
    (at,) = running.request.remaining(running.smallest)
    kept, without = running.rates(at)
    assert kept.failures > 0 and without.failures == 0 and without.runs > 10
    assert kept.runs + without.runs == running.requests
