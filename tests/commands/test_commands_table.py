"""Promises of the table of commands: a line and a file make a command, and every command has what the table needs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from kmon import cli
from kmon.cli import COMMANDS, HELP_COLUMN, WATCH, main, parser_of

ROOT = Path(__file__).parents[2]


def printed(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a call prints that ends in argparse's own exit, as ``--help`` does."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    return capsys.readouterr().out


def test_a_line_and_a_file_make_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(cli.COMMANDS, "toy", ("tests.commands.toy", "N", "count to a number"))
    assert main(["toy", "3", "--timeout", "7"]) == 1
    assert capsys.readouterr().out == "1 2 3 7.0\n"
    assert main(["toy", "0"]) == 2
    assert capsys.readouterr().err == "kmon: N must be 1 or more, not 0\n"
    assert main(["toy", "--no-such-flag", "3"]) == 2
    assert capsys.readouterr().err.endswith("'kmon toy --help' tells the options\n")
    assert "  kmon toy N            count to a number\n" in printed(["--help"], capsys)
    said = printed(["toy", "--help"], capsys)
    assert "Count to a number." in said and "end an attempt (default 300)" in said


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_has_a_description_flags_and_a_body(name: str) -> None:
    module = import_module(COMMANDS[name][0] if name else WATCH[0])
    assert module.HELP.endswith(".") and module.__doc__
    assert list(signature(module.arguments).parameters) == ["parser"]
    assert list(signature(module.run).parameters) == ["options"]
    assert module.HELP.split()[0] in parser_of(name).format_help()


def test_every_file_of_a_command_is_in_the_table() -> None:
    modules = {f"kmon.commands.{file.stem}" for file in (ROOT / "kmon" / "commands").glob("*.py")}
    commands = {name for name in modules if hasattr(import_module(name), "HELP")}
    assert commands == {module for module, _, _ in (WATCH, *COMMANDS.values())}


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_lists_every_command_in_two_columns(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = printed(["--help"], capsys)
    listed = said[said.index("\ncommands:") :].splitlines()
    assert max(map(len, listed)) <= columns and "  4    test: undecided; isolate: no answer" in listed
    assert all(
        line[:HELP_COLUMN].isspace() and not line[HELP_COLUMN].isspace() for line in listed if line.startswith("      ")
    )
    flat = " ".join(" ".join(listed).split())
    for name, (_, takes, words) in COMMANDS.items():
        assert f"{f'kmon {name} {takes}'.strip()} {words}" in flat
    assert "1 a run failed, or kmon failed between the runs 2 wrong usage" in flat
