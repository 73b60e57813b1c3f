"""Promises about what is asked: the field report's requests, and a long text of any size."""

from pathlib import Path

import pytest

from kmon.catalog.load import load_catalog
from kmon.catalog.long_prompt import MARK, filler
from kmon.catalog.resolve import resolve_scenario
from kmon.catalog.toml_source import parse_toml
from kmon.errors import UsageError

CATALOG = load_catalog()


def test_all_scenarios_are_there() -> None:
    names = "code code-tools tool-call tool-result minimal long-context tool-chain tool-chain-parallel"
    assert list(CATALOG.scenarios) == names.split()


def test_code_with_and_without_tools_differ_in_the_tools_only() -> None:
    code, with_tools = CATALOG.scenarios["code"], CATALOG.scenarios["code-tools"]
    assert code.messages == with_tools.messages
    assert code.max_tokens == with_tools.max_tokens == 4096
    assert not code.tools
    assert len(with_tools.tools) == 3


def test_the_tokyo_exchange_is_the_one_of_the_field_report() -> None:
    scenario = CATALOG.scenarios["tool-result"]
    user, assistant, tool = scenario.messages
    assert [message.role for message in scenario.messages] == ["user", "assistant", "tool"]
    assert (user.content, assistant.content, tool.content) == ("Weather for Tokyo?", "Getting it.", '{"temp":22}')
    (call,) = assistant.tool_calls
    assert (call.id, call.name, call.arguments) == ("abc123xyz", "get_weather", {"city": "Tokyo"})
    assert tool.tool_call_id == call.id
    assert [offered.name for offered in scenario.tools] == ["get_weather"]


def test_nobody_is_forced_to_call_a_tool() -> None:
    assert {scenario.tool_choice for scenario in CATALOG.scenarios.values()} == {None}


@pytest.mark.parametrize("tokens", [2_000, 20_000, 50_000, 128_000])
def test_a_long_context_has_the_size_asked_for_within_five_percent(tokens: int) -> None:
    scenario = resolve_scenario(CATALOG, f"long-context:{tokens}")
    (message,) = scenario.messages
    words_and_stops = len(message.content.split()) + message.content.count(".")
    assert words_and_stops == pytest.approx(tokens, rel=0.05)
    assert len(message.content) / 4 == pytest.approx(tokens, rel=0.05)
    assert scenario.name == f"long-context:{tokens}"
    assert MARK not in message.content


def test_without_a_size_a_long_context_has_twenty_thousand_tokens() -> None:
    scenario = resolve_scenario(CATALOG, "long-context")
    assert scenario.filler_tokens == 20_000
    assert len(scenario.messages[0].content) / 4 == pytest.approx(20_000, rel=0.05)


def test_the_same_size_is_the_same_text() -> None:
    assert filler(5_000) == filler(5_000)
    assert filler(6_000).startswith(filler(5_000))


@pytest.mark.parametrize("size", ["0", "-1", "many", "1e4", "", "2000001", "99999999999", "²"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="the size is a number of tokens, 1 to 2000000"):
        resolve_scenario(CATALOG, f"long-context:{size}")


def test_a_size_where_there_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="scenario 'code' has no size"):
        resolve_scenario(CATALOG, "code:50")


def test_an_unknown_scenario_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"there is no scenario 'code-tool'; did you mean code-tools"):
        resolve_scenario(CATALOG, "code-tool")
    with pytest.raises(UsageError, match="use one of code, code-tools, tool-call"):
        resolve_scenario(CATALOG, "xyz")


@pytest.mark.parametrize("title", ["t\\u001b[31m", "t\\u202e", "a\\nb"])
def test_a_title_that_could_act_on_a_terminal_is_refused(title: str) -> None:
    toml = f'[scenarios.mine]\ntitle = "{title}"\nmax_tokens = 9\nmessages = [{{role = "user", content = "hi"}}]\n'
    with pytest.raises(UsageError, match=r"line 2, key 'scenarios\.mine\.title': must be one line without control"):
        load_catalog([parse_toml(Path("kmon.toml"), toml)])
