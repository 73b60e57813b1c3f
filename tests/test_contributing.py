"""``.github/CONTRIBUTING.md`` is true: its paths exist, its map is complete, its recipes name the files needed.

That a new dialect, fault, subcommand and column work from these files alone is shown by the examples that the recipes
name; here their files are compared with the recipes. A provider is added here.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from kmon.catalog import load
from kmon.catalog.toml_source import parse_toml
from kmon.cli import COMMANDS, main
from kmon.dialects.registry import http_dialects, registered
from kmon.output.summary import run_columns
from kmon.simulator.dialects.registry import served, server_dialects
from kmon.simulator.faults.registry import FAULTS
from kmon.tui.board_columns import text_of
from tests.commands import test_commands_canary as canary

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
LINES_LIMIT = 150
PATH = re.compile(r"`((?:(?:kmon|tests|themes|\.ci)/|pyproject\.toml|\.env\.example)[\w./-]*)`")


def recipe(name: str) -> str:
    return PAGE.partition(f"### Add {name}\n")[2].partition("\n### ")[0]


def steps(name: str) -> set[str]:
    """The files that the points of a recipe begin with: those that are touched."""
    return set(re.findall(r"^- `([^`]+)`", recipe(name), re.MULTILINE))


def file_of(thing: type | Callable[..., object]) -> str:
    return Path(inspect.getfile(inspect.unwrap(thing))).relative_to(ROOT).as_posix()


def test_the_page_is_short_and_the_readme_points_to_it() -> None:
    assert len(PAGE.splitlines()) <= LINES_LIMIT
    assert "(.github/CONTRIBUTING.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted({found for found in PATH.findall(PAGE) if "NAME" not in found}))
def test_a_path_on_the_page_exists(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_the_map_names_every_folder_and_no_other() -> None:
    rows = re.findall(r"^\| `kmon/(\w+)/` \| \S", PAGE, re.MULTILINE)
    folders = {file.parent.name for file in (ROOT / "kmon").glob("*/__init__.py")}
    assert len(rows) == len(set(rows)) and set(rows) == folders


@pytest.mark.parametrize("file", sorted((ROOT / "kmon").rglob("__init__.py")), ids=lambda file: file.parent.name)
def test_a_folder_says_what_is_in_it(file: Path) -> None:
    name = ".".join(file.parent.relative_to(ROOT).parts)
    assert len((import_module(name).__doc__ or "").split()) >= 4


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("kmon/transport/http.py", "def reads("), ("kmon/dialects/delta.py", "class Delta("),
        ("kmon/probe/recorder.py", "class AttemptRecorder:"), ("kmon/stream/events.py", "class DeltaArrived("),
        ("kmon/engine/event_queue.py", "class EventQueue:"), ("kmon/tui/event_reader.py", "class EventReader:"),
        ("kmon/stream/view.py", "class RunView:"), ("kmon/dialects/dialect.py", "class HttpDialect("),
        ("kmon/simulator/wire.py", "class ServerDialect("), ("kmon/simulator/faults/base.py", "class Fault("),
        ("kmon/dialects/registry.py", "NAMES = "), ("kmon/dialects/registry.py", "def _built_in("),
        ("kmon/simulator/dialects/registry.py", "_TABLE: "), ("kmon/findings/content.py", "CHECKS: "),
        ("kmon/commands/flags.py", "def add_settings("), ("kmon/cli.py", "COMMANDS = "),
        ("kmon/output/summary.py", "def run_columns("), ("kmon/tui/board_columns.py", "COLUMNS = "),
    ],
)  # fmt: skip
def test_a_name_on_the_page_is_in_the_file_that_it_names(file: str, code: str) -> None:
    name = code.strip(" (:=").split()[-1]
    assert f"`{file}`" in PAGE and re.search(rf"\b{name}\b", PAGE)
    assert re.search(rf"^ *(?:async )?{re.escape(code)}", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_a_provider_is_its_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps("a provider") == {"kmon/catalog/targets.toml", ".env.example", "tests/golden/data/catalogue.jsonl"}
    table = b'\n[targets.toy]\nbase_url = "https://toy.example/v1"\nkey_env = ["TOY_KEY"]\nmodel = "bear"\n'
    whole = (ROOT / "kmon" / "catalog" / "targets.toml").read_bytes() + table
    extended = {"targets.toml": parse_toml(Path("targets.toml"), whole.decode())}
    built_in = load._built_in
    monkeypatch.setattr(load, "_built_in", lambda name: extended.get(name) or built_in(name))
    monkeypatch.setenv("TOY_KEY", "toy-key-0123456789")
    assert main(["targets", "toy", "--json"]) == 0
    (listed,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (listed["provider"], listed["dialect"], listed["ready"]) == ("toy", "chat", True)


def test_a_dialect_is_a_file_on_each_side_and_its_lines_in_the_registries() -> None:
    assert steps("a dialect") == {
        "kmon/dialects/NAME.py", file_of(registered),
        "kmon/simulator/dialects/NAME.py", file_of(served),
        "tests/dialects/test_dialects_NAME.py",
    }  # fmt: skip
    for entry in http_dialects():
        assert file_of(type(entry)) == f"kmon/dialects/{entry.name}.py"
        assert (ROOT / "tests" / "dialects" / f"test_dialects_{entry.name}.py").is_file()
    for side in server_dialects():
        assert file_of(type(side)) == f"kmon/simulator/dialects/{side.name}.py"


def test_a_fault_is_a_class_in_the_folder_and_a_word_in_the_signatures() -> None:
    assert steps("a fault with its signature") == {"kmon/simulator/faults/NAME.py", "kmon/catalog/signatures.toml"}
    assert {Path(file_of(fault)).parent.as_posix() for fault in FAULTS.values()} == {"kmon/simulator/faults"}


def test_a_subcommand_is_a_file_and_a_line() -> None:
    tried = file_of(canary.test_every_command_is_tried)
    assert steps("a subcommand") == {"kmon/commands/NAME.py", file_of(main), tried}
    for module, _, _ in COMMANDS.values():
        assert (ROOT / "kmon" / "commands" / f"{module.removeprefix('kmon.commands.')}.py").is_file()


def test_a_column_is_one_object() -> None:
    assert steps("a column") == {file_of(text_of), file_of(run_columns)}
