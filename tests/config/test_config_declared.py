"""Promises of the declarations: what a setting may be is said once, and flags, files and texts follow it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from kmon.cli import COMMANDS, parser_of
from kmon.commands.flags import Parser, add_settings
from kmon.config.kinds import Count, Declaration, Limit, Names, Number, OneLine, Seconds, SecondsOrAuto, Switch
from kmon.config.settings import KEYS, SETTINGS, Settings
from kmon.config.sources import load_settings
from kmon.errors import UsageError

README = (Path(__file__).parents[2] / "README.md").read_text()
SAMPLES: dict[type[Declaration], tuple[str, str]] = {
    Count: ("7", "7"), Number: ("0.5", "0.5"), Seconds: ("2.5", "2.5"), Limit: ("2.5", "2.5"),
    SecondsOrAuto: ("2.5", "2.5"), Switch: ("true", "true"), OneLine: ("mine", '"mine"'),
    Names: ("groq,mistral", '["groq", "mistral"]'),
}  # fmt: skip
"""Per kind, a value as variables and flags have it, and as TOML does."""


def sample(setting: Declaration) -> tuple[str, str]:
    """One value of a setting that is not its default."""
    if isinstance(setting, OneLine | Names) and setting.choices:
        other = setting.choices[-1]
        return other, f'"{other}"' if isinstance(setting, OneLine) else f'["{other}"]'
    return SAMPLES[type(setting)]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_the_same_from_a_flag_a_variable_and_a_file(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    plain, toml = sample(setting)
    user, project = tmp_path / "user", tmp_path / "project"
    user.mkdir()
    project.mkdir()
    by_variable = load_settings({}, {setting.variable: plain}, project, user).settings
    assert getattr(by_variable, name) not in (None, setting.default)
    if setting.flag:
        parser = Parser()
        add_settings(parser, name)
        flags = vars(parser.parse_args([setting.flag] if isinstance(setting, Switch) else [setting.flag, plain]))
        by_flag = load_settings(flags, {}, project, user)
        assert (by_flag.settings, by_flag.provenance[name]) == (by_variable, setting.flag)
    (user / "kmon.toml").write_text(f"[{setting.section}]\n{setting.key} = {toml}\n")
    by_file = load_settings({}, {}, project, user)
    assert (by_file.settings, by_file.provenance[name]) == (by_variable, f"{user / 'kmon.toml'} line 2")
    if setting.own:
        (project / "kmon.toml").write_text((user / "kmon.toml").read_text())
        with pytest.raises(UsageError, match="a project's file may not set off anything"):
            load_settings({}, {}, project, user)


def flags_of_commands() -> dict[str, list[argparse.Action]]:
    """Per flag, what each command has of it."""
    found: dict[str, list[argparse.Action]] = {}
    for name in ("", *COMMANDS):
        for action in parser_of(name)._actions:
            for flag in action.option_strings:
                found.setdefault(flag, []).append(action)
    return found


def test_every_flag_of_a_setting_is_a_commands_and_stands_for_that_setting() -> None:
    flags = flags_of_commands()
    for name, setting in SETTINGS.items():
        if setting.flag and setting.flag != "--timeout":  # the doctor has one of its own
            assert {action.dest for action in flags[setting.flag]} == {name}


def test_the_reference_of_settings_says_where_each_is_given_and_what_it_may_be() -> None:
    said = parser_of("config").format_help()
    for setting in SETTINGS.values():
        words = f"  {'  '.join(filter(None, (setting.key, setting.variable, setting.flag)))}\n"
        assert f"{words}      {setting.described()}\n      {setting.wanted}\n" in said


def test_help_shows_the_default_that_is_declared() -> None:
    assert "{" not in "".join(setting.described() for setting in SETTINGS.values())
    assert SETTINGS["stall_s"].described().startswith("silence that is a stall (default 5)")
    assert SETTINGS["rounds"].described(10).endswith("(default 10)")


def test_the_tables_of_the_readme_can_be_used_and_hold_the_defaults(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        (tmp_path / "kmon.toml").write_text(block)
        load_settings({}, {}, tmp_path / "project", tmp_path)
    rows = re.findall(r"^\| `(--alert-[a-z-]+)` `([a-z_]+)` \| ([0-9.]+) \|", README, re.MULTILINE)
    assert len(rows) == 3
    for flag, key, default in rows:
        setting = SETTINGS[KEYS["alerts", key]]
        assert (setting.flag, setting.default) == (flag, float(default))


def test_the_defaults_are_values_the_settings_may_have() -> None:
    for name, setting in SETTINGS.items():
        default = getattr(Settings(), name)
        if default not in (None, "", ()):
            given = list(default) if isinstance(default, tuple) else default
            assert setting.value(given) == default
