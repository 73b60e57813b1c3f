"""Promises about a scenario's check: the built-in ones, a user's own, and mistakes found by file, line and key."""

from pathlib import Path

import pytest

from kmon.catalog.load import Catalog, load_catalog
from kmon.catalog.toml_source import parse_toml
from kmon.errors import UsageError
from kmon.model import AnswerCheck


def overlaid(text: str) -> Catalog:
    return load_catalog([parse_toml(Path("kmon.toml"), text)])


def test_the_built_in_checks() -> None:
    checks = {name: scenario.check for name, scenario in load_catalog().scenarios.items()}
    assert checks["tool-result"] == AnswerCheck(contains=("22",))
    assert checks["tool-call"] == AnswerCheck(tool_call=True)
    assert checks["code"] == checks["code-tools"] == checks["minimal"] == AnswerCheck()


def test_a_scenario_of_ones_own_may_carry_a_check() -> None:
    text = '[scenarios.sum]\nmessages = [{ role = "user", content = "2+2?" }]\ncheck = { contains = ["4"] }\n'
    assert overlaid(text).scenarios["sum"].check == AnswerCheck(contains=("4",))


def test_a_check_is_inherited_and_can_be_replaced() -> None:
    text = '[scenarios.a]\nlike = "tool-result"\n[scenarios.b]\nlike = "tool-result"\ncheck = {}\n'
    scenarios = overlaid(text).scenarios
    assert scenarios["a"].check == AnswerCheck(contains=("22",))
    assert scenarios["b"].check == AnswerCheck()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("check = 5", "key 'scenarios.minimal.check': expected object, got int"),
        ('check = { contains = "22" }', "key 'scenarios.minimal.check.contains': expected array, got str"),
        ("check = { contains = [22] }", "key 'scenarios.minimal.check.contains[0]': expected str, got int"),
        ('check = { contains = ["a", " "] }', "key 'scenarios.minimal.check.contains[1]': is blank"),
        ("check = { tool_call = true }", "key 'scenarios.minimal.check.tool_call': there are no tools to call"),
        ("check = { tool_cal = true }", "key 'scenarios.minimal.check.tool_cal': unknown key"),
    ],
)
def test_a_mistake_in_a_check_is_found_by_file_line_and_key(check: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        overlaid(f"[scenarios.minimal]\n{check}\n")
    assert f"kmon.toml line 2, {said}" in str(refused.value)
