"""Promises about one run: what counts as a pass, and that no two kinds of failure are mixed up."""

from typing import Any

import pytest
from msgspec.structs import replace

from kmon.dialects.delta import ToolCall
from kmon.findings.tool_call import tool_call_problem, unjudgeable
from kmon.model import AnswerCheck, Tool
from kmon.stats.outcome import CUT, FINISHED, OUTCOMES, SIGNS, UNCOUNTED, classify
from kmon.stream.events import RunEnded
from kmon.stream.stall import Stall
from tests.support.ended import calling, ended, failed, scenario

TOKYO = scenario("tool-result")
OPEN_STALL = Stall("mid-text", 500.0, 29_000.0, ended=False)


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (ended(), "pass"),
        (ended(state="timed-out", text="", ttft_ms=None), "timeout-before-first-token"),
        (ended(state="timed-out", signature="connect-timeout", ttft_ms=None), "connect-error"),
        (ended(state="timed-out", text="It is", stalls=(OPEN_STALL,)), "hang-mid-stream"),
        (ended(state="timed-out", text="It is 22 and"), "hang-mid-stream"),
        (ended(state="incomplete"), "incomplete"),
        (ended(state="cancelled", ttft_ms=None, max_gap_ms=None, chunks=0), "cancelled"),
        (ended(state="cancelled", left_open_ms=3_000.0), "cut-short"),
        (failed("reset"), "dropped"),
        (failed("cut"), "dropped"),
        (failed("protocol"), "dropped"),
        (failed("network"), "dropped"),
        (failed("dns"), "connect-error"),
        (failed("connect"), "connect-error"),
        (failed("tls"), "connect-error"),
        (failed("http", 500), "http-error"),
        (failed("http", 404), "http-error"),
        (failed("not-a-stream", 200), "http-error"),
        (failed("in-stream"), "in-stream-error"),
        (failed("malformed-frame"), "in-stream-error"),
        (failed("http", 429), "rate-limited"),
        (failed("in-stream", 429), "rate-limited"),
        (failed("in-stream", None, "rate_limit_exceeded"), "rate-limited"),
        (failed("http", 400, "ThrottlingException"), "rate-limited"),
        (failed("in-stream", None, "too_many_requests"), "rate-limited"),
        (ended(text="It is warm."), "wrong-answer"),
        (ended(text=" \n"), "empty-answer"),
        (ended(text="", reasoning="The user wants"), "only-reasoning"),
    ],
)
def test_every_ending_has_its_class(result: RunEnded, name: str) -> None:
    assert classify(result, TOKYO).name == name


def test_a_right_answer_that_did_not_end_is_no_pass() -> None:
    assert not classify(ended(state="incomplete"), TOKYO).passed
    assert not classify(ended(state="timed-out"), TOKYO).passed


def test_a_check_does_not_mind_the_case_of_letters_and_wants_every_string() -> None:
    both = replace(TOKYO, check=AnswerCheck(contains=("tokyo", "22")))
    assert classify(ended(text="TOKYO: 22"), both).passed
    assert "'tokyo'" in classify(ended(text="It is 22."), both).sentence


@pytest.mark.parametrize("arguments", ['{"city": "Tokyo"}', ' {"city":"Tokyo","unit":"C"} \n'])
def test_a_valid_call_is_what_tool_call_asks_for(arguments: str) -> None:
    assert classify(calling("get_weather", arguments), scenario("tool-call")).passed


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("get_wether", '{"city": "Tokyo"}', "called 'get_wether', a tool that was not offered"),
        ("", "{}", "called a tool without a name"),
        ("get_weather", '{"city": "Tok', "get_weather: the arguments are not JSON"),
        ("get_weather", '{"city": NaN}', "get_weather: the arguments are not JSON"),
        ("get_weather", '["Tokyo"]', "get_weather: the arguments are not a JSON object"),
        ("get_weather", "", "get_weather: the arguments do not fit the schema: 'city' is a required property"),
        ("get_weather", '{"city": 5}', "get_weather: the arguments do not fit the schema: city: 5 is not of type"),
        ("get_weather", "[" * 200_000, "get_weather: the arguments are not JSON"),
    ],
)
def test_a_call_nobody_could_carry_out_is_invalid(name: str, arguments: str, said: str) -> None:
    outcome = classify(calling(name, arguments), scenario("tool-call"))
    assert outcome.name == "invalid-tool-call"
    assert outcome.sentence.startswith(said)
    assert len(outcome.sentence) < 400 and "\n" not in outcome.sentence


def test_one_bad_call_among_good_ones_is_invalid() -> None:
    calls = (ToolCall("a", "get_weather", '{"city":"Tokyo"}'), ToolCall("b", "get_weather", "{"))
    assert classify(calling("", "", tool_calls=calls), scenario("tool-call")).name == "invalid-tool-call"


def test_words_where_a_call_was_asked_for_are_a_wrong_answer() -> None:
    outcome = classify(ended(text="I cannot know."), scenario("tool-call"))
    assert (outcome.name, "tool call" in outcome.sentence) == ("wrong-answer", True)


def test_calling_the_tool_again_instead_of_answering_is_a_wrong_answer() -> None:
    outcome = classify(calling("get_weather", '{"city":"Tokyo"}'), TOKYO)
    assert outcome.name == "wrong-answer"
    assert outcome.sentence.endswith("called get_weather instead of answering")


def test_code_may_come_as_text_or_as_a_call_but_not_as_thoughts() -> None:
    code = scenario("code-tools")
    assert classify(ended(text="```ts"), code).passed
    assert classify(calling("read_file", '{"path":"a"}'), code).passed
    assert classify(ended(text="", reasoning="hm", finish_reason="length"), code).name == "only-reasoning"


def test_blank_arguments_are_none_where_none_are_needed() -> None:
    assert tool_call_problem(ToolCall("a", "now", ""), [Tool(name="now")]) is None


@pytest.mark.parametrize(
    "parameters", [{"type": "objekt"}, {"$ref": "https://schema.invalid/x"}, {"$ref": "#/nowhere"}]
)
def test_a_question_with_a_broken_schema_is_not_held_against_the_answer(parameters: dict[str, Any]) -> None:
    assert tool_call_problem(ToolCall("a", "t", '{"x": 1}'), [Tool(name="t", parameters=parameters)]) is None


def test_a_broken_schema_is_found_before_the_first_request() -> None:
    broken = replace(scenario("tool-call"), tools=(Tool(name="t", parameters={"type": "objekt"}),))
    said = unjudgeable(broken)
    assert said is not None and "scenario 'tool-call', tool 't': the parameters are no JSON Schema" in said
    assert all(unjudgeable(built_in) is None for built_in in map(scenario, ("tool-call", "code-tools", "minimal")))


def test_a_schema_is_read_by_the_draft_it_names() -> None:
    pair = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"xs": {"items": [{"type": "string"}]}},
    }
    tool = Tool(name="t", parameters=pair)
    assert tool_call_problem(ToolCall("a", "t", '{"xs": ["a"]}'), [tool]) is None
    assert tool_call_problem(ToolCall("a", "t", '{"xs": [1]}'), [tool]) is not None


def test_rate_limits_and_cancelled_runs_count_neither_way() -> None:
    assert not classify(failed("http", 429), TOKYO).counted
    assert not classify(ended(state="cancelled"), TOKYO).counted
    assert classify(failed("http", 500), TOKYO).counted


def test_every_outcome_has_signs_of_its_own() -> None:
    assert set(SIGNS) == set(OUTCOMES)
    assert len({signs.label for signs in SIGNS.values()}) == len(OUTCOMES)
    assert len({signs.mark for signs in SIGNS.values()}) == len(OUTCOMES)
    assert all(signs.mark.isascii() and len(signs.mark) == len(signs.symbol) == 1 for signs in SIGNS.values())
    assert not (FINISHED & CUT or FINISHED & UNCOUNTED or CUT & UNCOUNTED)


def test_every_sentence_is_one_line_however_long_the_answer() -> None:
    sentence = classify(ended(text="22\n" * 5_000), TOKYO).sentence
    assert "\n" not in sentence and len(sentence) < 400
