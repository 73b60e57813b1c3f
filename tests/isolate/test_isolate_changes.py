"""Changes of a scenario: each takes one thing out, and leaves the rest as it was."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario
from kmon.dialects.turns import turns_of
from kmon.isolate import changes
from kmon.model import AnswerCheck, PromptMessage, Scenario, Tool, ToolUse

CATALOG = load_catalog()
TOKYO = resolve_scenario(CATALOG, "tool-result")
TEXT = st.text("ab \n", max_size=8)
USES = st.just((ToolUse(id="1", name="look", arguments={}),))
MESSAGES = st.lists(
    st.one_of(
        st.builds(PromptMessage, role=st.sampled_from(["system", "user"]), content=TEXT),
        st.builds(PromptMessage, role=st.just("assistant"), content=TEXT, tool_calls=st.just(()) | USES),
        st.builds(PromptMessage, role=st.just("tool"), content=TEXT, tool_call_id=st.just("1")),
    ),
    min_size=1,
    max_size=8,
).map(tuple)


def test_without_tools_no_call_is_expected_and_nothing_else_changes() -> None:
    asked = resolve_scenario(CATALOG, "tool-call")
    changed = changes.without_tools(asked)
    assert (changed.tools, changed.tool_choice, changed.check.tool_call) == ((), None, False)
    assert (changed.messages, changed.max_tokens, changed.name) == (asked.messages, asked.max_tokens, asked.name)
    assert asked.check.tool_call


def test_a_result_is_told_in_words_with_the_name_of_its_tool() -> None:
    changed = changes.results_as_text(TOKYO)
    assert [message.role for message in changed.messages] == ["user", "assistant", "user"]
    assert changed.messages[-1].content == 'The result of get_weather is: {"temp":22}'
    assert changed.tools == TOKYO.tools and not any(message.tool_calls for message in changed.messages)


@given(MESSAGES)
def test_no_call_and_no_result_are_left_and_no_text_is_lost(messages: tuple[PromptMessage, ...]) -> None:
    changed = changes.results_as_text(Scenario(name="s", messages=messages)).messages
    assert all(message.role != "tool" and not message.tool_calls and message.content for message in changed)
    kept = "\n".join(message.content for message in changed)
    assert all(message.content in kept for message in messages)
    assert all(before.role != after.role for before, after in pairwise(changed))
    assert len(turns_of(changed)) <= len(changed)


@given(MESSAGES)
def test_the_last_question_keeps_what_the_system_said_and_what_follows_the_question(
    messages: tuple[PromptMessage, ...],
) -> None:
    scenario = Scenario(name="s", messages=messages)
    changed = changes.last_question(scenario)
    kept = list(changed.messages)
    assert kept[-1] == messages[-1]
    assert [message for message in messages if message in kept and message.role == "system"] == [
        message for message in kept if message.role == "system"
    ]
    assert sum(message.role == "user" for message in kept) <= 1
    assert changes.last_question(changed) == changed


def test_long_messages_lose_their_middle_and_short_ones_nothing() -> None:
    long = resolve_scenario(CATALOG, "long-context:5000")
    changed = changes.shortened(long)
    assert changes.is_long(long) and not changes.is_long(changed)
    assert changed.messages[0].content.endswith("Question: in one sentence, what kind of text was that?")
    assert changes.shortened(TOKYO).messages == TOKYO.messages


def test_without_a_check_any_answer_will_do() -> None:
    checked = replace(TOKYO, check=AnswerCheck(contains=("22",), tool_call=True))
    assert changes.unchecked(checked).check == AnswerCheck()


def test_the_tools_of_a_scenario_are_those_of_the_changed_one() -> None:
    scenario = Scenario(name="s", messages=(PromptMessage(role="user", content="x" * 9_000),), tools=(Tool(name="t"),))
    assert changes.shortened(scenario).tools == changes.last_question(scenario).tools == scenario.tools
