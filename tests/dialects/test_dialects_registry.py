"""Dialects are found by name and by path, and an unknown one is refused in a sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kmon
from kmon.dialects.dialect import Dialect, HttpDialect, WireFormat
from kmon.dialects.registry import dialect, dialects, formats, http_dialect, http_dialects, names, routed, wire_format
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT
from kmon.simulator.dialects.registry import server_dialect, server_dialects
from kmon.simulator.wire import ServerDialect

NAMES = {*names(), *(entry.name for entry in formats())}
OWN_FILES = {"model.py", "dialects", "simulator"}
"""Of kmon, where a dialect may be called by its name: the default, the dialects themselves, the server's side."""


def test_every_name_finds_its_object() -> None:
    assert [entry.name for entry in dialects()] == list(names())
    assert names()[0] == DEFAULT_DIALECT
    for entry in dialects():
        assert dialect(entry.name) is entry
    for spoken in formats():
        assert wire_format(spoken.name) is spoken
        assert spoken.decoder().feed(b"") == spoken.decoder().end() == []


def test_the_simulator_speaks_whatever_kmon_asks_in_over_http() -> None:
    assert {entry.name for entry in server_dialects()} == {entry.name for entry in http_dialects()}
    for entry in http_dialects():
        assert server_dialect(entry.name) is not None


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'nonsense'.*chat.*openclaw"):
        dialect("nonsense")
    with pytest.raises(UsageError, match=r"'ws' is no HTTP request.*chat"):
        http_dialect("ws")


def test_what_nobody_knows_is_none() -> None:
    assert wire_format("ws") is None
    assert routed("/v2/chat") is None


def test_a_dialect_that_forgets_a_part_cannot_be_made() -> None:
    assert Dialect.__abstractmethods__ | WireFormat.__abstractmethods__ <= HttpDialect.__abstractmethods__
    for base in (HttpDialect, ServerDialect):
        for part in base.__abstractmethods__:
            others = {name: "x" for name in base.__abstractmethods__ if name != part}
            with pytest.raises(TypeError, match=part):
                type("Forgetful", (base,), others)()


@pytest.mark.slow
def test_no_other_file_knows_a_dialect_by_its_name() -> None:
    """Whatever is particular to one is asked of its object: comparing names is how places were forgotten."""
    house = Path(kmon.__file__).parent
    others = [file for file in house.rglob("*.py") if file.relative_to(house).parts[0] not in OWN_FILES]
    found = {str(file): said for file in others if (said := names_in(file.read_text("utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        'x = 1 if target.dialect == "chat" else 2',
        'match dialect:\n    case "converse":\n        pass',
        'AUTH_BY_DIALECT = {"messages": "x-api-key"}',
        'case.run(dialect="deepinfra")',
        'def ask(dialect: str = "chat") -> None: ...',
    ],
)
def test_a_name_would_be_found(code: str) -> None:
    assert names_in(code)


def names_in(code: str) -> list[str]:
    """The expressions and statements that speak of a dialect and hold the name of one."""
    whole = ast.Compare | ast.Match | ast.keyword | ast.Assign | ast.AnnAssign | ast.arguments
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, whole) and "dialect" in ast.unparse(node).lower():
            texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if NAMES & {text for text in texts if isinstance(text, str)}:
                found.append(ast.unparse(node))
    return found
