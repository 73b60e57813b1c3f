"""A scenario that was written is the scenario that is read, whatever its texts are, and no text harms a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kmon.catalog.load import load_catalog
from kmon.catalog.scenario_toml import file_name, scenario_toml
from kmon.catalog.toml_source import parse_toml
from kmon.model import PassLimits, PromptMessage, Scenario, Tool, ToolUse
from tests.support.hostile import CONTROL, FORBIDDEN
from tests.support.shrinking import CONVERSATION

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def read(text: str, name: str) -> Scenario:
    return load_catalog((parse_toml(Path("kmon.toml"), text),)).scenarios[name]


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3), st.text(max_size=30))
def test_what_is_written_is_what_is_read(said: str, tool: str, schema: dict[str, object], note: str) -> None:
    asked = Scenario(
        name="mine",
        messages=(
            PromptMessage(role="user", content=said),
            PromptMessage(role="assistant", tool_calls=(ToolUse(id="1", name=tool, arguments=schema),)),
            PromptMessage(role="tool", tool_call_id="1", content=said),
        ),
        tools=(Tool(name=tool, description=said, parameters=schema),),
        tool_choice="auto",
        parallel_calls=False,
        max_tokens=17,
        limits=PassLimits(ttft_s=1.5),
    )
    written = scenario_toml(asked, note)
    assert read(written, "mine") == asked
    assert not FORBIDDEN.search(written)


def test_a_scenario_with_all_its_keys_is_kept() -> None:
    assert read(scenario_toml(CONVERSATION, ""), "everything") == CONVERSATION


def test_hostile_texts_are_escaped_and_read_back() -> None:
    hostile = CONTROL.replace("\ud800", "")
    asked = replace(CONVERSATION, messages=(PromptMessage(role="user", content=f'"""\n]{hostile}\\'),))
    written = scenario_toml(asked, f"{hostile}\n[scenarios.code]\ntitle = 'x'")
    assert not FORBIDDEN.search(written) and read(written, "everything") == asked
    assert read(written, "code").title == "a code sample", "a comment has one line"


def test_half_a_character_is_refused() -> None:
    asked = replace(CONVERSATION, messages=(PromptMessage(role="user", content="\ud800"),))
    with pytest.raises(ValueError, match="half a character"):
        scenario_toml(asked, "")


@given(st.text(max_size=30))
def test_every_name_becomes_one_that_a_file_can_have(name: str) -> None:
    written = file_name(name)
    assert read(scenario_toml(replace(CONVERSATION, name=name), ""), written).name == written


def test_a_size_stays_in_the_name() -> None:
    assert file_name("long-context:5000") == "long-context-5000" and file_name("code") == "code"
