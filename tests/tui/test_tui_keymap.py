"""The keys are declared once: bindings, hints, help page, palette and README follow the table."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget

from kmon.tui import app as app_module
from kmon.tui.app import KmonApp
from kmon.tui.board_screen import BoardScreen
from kmon.tui.help_screen import HelpScreen, help_content
from kmon.tui.isolation_screen import IsolationScreen
from kmon.tui.keymap import KEYS, HelpLine, Hint, Key, Scope, View, bindings, help_lines, hints, palette_keys
from kmon.tui.plan_screen import PlanScreen
from kmon.tui.race_screen import FilterInput, RaceScreen
from kmon.tui.row_view import RowView
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.scripted import showcase
from tests.support.tui_stage import Stage

OWNERS: dict[Scope, type[App[None] | Screen[object] | Widget]] = {
    "app": KmonApp, "race": RaceScreen, "board": BoardScreen, "zoom": ZoomScreen, "view": RowView,
    "filter": FilterInput, "plan": PlanScreen, "help": HelpScreen, "isolation": IsolationScreen,
}  # type: ignore[dict-item]  # fmt: skip
TOY = Key("race.toy", "k", "toy", "Toy", Hint("k", "toy", ("race",), 0), HelpLine("k", "a toy"), "Plays with a toy")


def test_every_scope_has_an_owner_and_every_key_a_scope() -> None:
    assert set(OWNERS) == set(get_args(Scope))
    assert {key.scope for key in KEYS} == set(OWNERS)


@pytest.mark.parametrize("scope", OWNERS)
def test_an_owner_binds_exactly_the_keys_of_its_scope(scope: Scope) -> None:
    assert bindings(scope) == OWNERS[scope].BINDINGS
    assert [b.id for b in bindings(scope) if isinstance(b, Binding)] == [k.id for k in KEYS if k.scope == scope]


def test_every_id_is_given_once() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scope", OWNERS)
def test_no_key_is_bound_twice_in_one_scope(scope: Scope) -> None:
    names = [name for key in KEYS if key.scope == scope for name in key.keys.split(",")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.id)
def test_every_action_exists_and_takes_its_arguments(key: Key) -> None:
    place, _, rest = key.action.rpartition(".") if "." in key.action.partition("(")[0] else ("", "", key.action)
    name, _, arguments = rest.partition("(")
    owner = {"": OWNERS[key.scope], "app": KmonApp, "screen": RaceScreen}[place]  # type: ignore[index]
    values = eval(f"({arguments.rstrip(')')},)") if arguments else ()
    inspect.signature(getattr(owner, f"action_{name}")).bind(None, *values)


def test_a_new_key_is_bound_hinted_explained_and_offered() -> None:
    keys = (*KEYS, TOY)
    assert bindings("race", keys)[-1] == Binding("k", "toy", "Toy", id="race.toy")
    assert TOY.hint in hints("race", keys=keys)
    assert TOY.hint not in hints("zoom", keys=keys)
    assert "k               a toy" in str(help_content(ascii=False, keys=keys))
    assert TOY in palette_keys({"app", "race"}, keys)
    assert TOY not in palette_keys({"app", "zoom"}, keys)


@pytest.mark.parametrize("view", get_args(View))
def test_a_command_that_is_impossible_is_not_hinted(view: View) -> None:
    allowed = {hint.word for hint in hints(view)}
    left = {hint.word for hint in hints(view, {"retry": "no"})}
    assert allowed - left == allowed & {"retry", "retry all"}


@pytest.mark.parametrize("scope", ["race", "board", "zoom"])
def test_a_hint_names_a_key_that_works_there(scope: Scope) -> None:
    spoken = {"?": "question_mark", "/": "slash", "esc": "escape", "←→": "right", "pgup pgdn": "pageup",
              "shift+arrows": "shift+left"}  # fmt: skip
    views: dict[str, tuple[View, ...]] = {"race": ("race", "panes"), "board": ("board", "concluded"), "zoom": ("zoom",)}
    bound = {name for key in KEYS if key.scope in ("app", scope) for name in key.keys.split(",")}
    hinted = {hint.key for view in views[scope] for hint in hints(view)}
    assert {spoken.get(key, key) for key in hinted} <= bound


def test_the_help_page_names_every_key_of_the_race_and_the_application() -> None:
    page = " ".join(f"{line.keys} {line.text}" for line in help_lines())
    spoken = {"up": "arrows", "down": "arrows", "left": "arrows", "right": "arrows", "slash": "/", "escape": "Esc",
              "pageup": "pgup", "pagedown": "pgdn", "enter": "Enter", "shift+tab": "tab", "shift+left": "shift+arrows",
              "shift+right": "shift+arrows", "ctrl+q": "ctrl+c"}  # fmt: skip
    shown = set(re.findall(r"[\w+/]+", page.replace("1-9", " ".join("123456789"))))
    itself = {"question_mark", "f1"}  # whoever reads the page has found it
    keys = {name for key in KEYS if key.scope in ("app", "race") for name in key.keys.split(",")} - itself
    assert {spoken.get(key, key) for key in keys} <= shown


def test_the_readme_names_the_keys_of_the_help_page() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    table = text[text.index("| key | does |") :].partition("\n\n")[0]
    listed = set(re.findall(r"`([^`]+)`", table)) | {"arrows"}
    known = {key for line in help_lines() for key in line.keys.replace("1-9", "1 9").split()}
    assert known <= listed
    assert listed - known == {"?", "F1", "Esc", "fg", "--concurrency"}


async def test_the_palette_offers_what_the_screen_can_do_and_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "PALETTE_GONE_S", 0.001)
    stage = Stage(showcase())
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        offered = {command.title: command for command in stage.app.get_system_commands(stage.app.screen)}
        assert set(offered) == {
            *(key.label for key in palette_keys({"app", "race"})), *(f"Theme {n}" for n in stage.app.themes.palettes)
        }  # fmt: skip
        offered["Zoom"].callback()
        await stage.until(pilot, lambda: isinstance(stage.app.screen, ZoomScreen), "the zoomed run")
        there = {command.title for command in stage.app.get_system_commands(stage.app.screen)}
        assert {"Zoom", "Filter", "Board"} & there == set()
        offered["Freeze or go on"].callback()
        await stage.until(pilot, lambda: "FROZEN" in stage.text(), "a frozen view")
