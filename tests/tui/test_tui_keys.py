"""Every key does what the help says."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from kmon.engine.api import Command
from kmon.stream import events as ev
from kmon.tui.help_screen import HelpScreen
from kmon.tui.plan_screen import PlanScreen
from kmon.tui.race_screen import RaceScreen
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.scripted import S, Script, showcase
from tests.support.tui_stage import Stage

SIZE = (80, 24)


async def test_focus_moves_with_arrows_tab_and_digits() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        seen = [stage.focus()]
        for key in ("right", "down", "left", "up", "tab", "shift+tab", "8", "tab", "shift+tab", "3"):
            await stage.press(pilot, key)
            seen.append(stage.focus())
    assert seen == [
        "together", "fireworks", "nvidia", "groq", "together", "fireworks", "together", "local", "together", "local",
        "groq",
    ]  # fmt: skip


async def test_arrows_stop_at_the_edge() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "up", "left")
        assert stage.focus() == "together"


async def test_nudge_cancel_and_retry_go_to_the_run_in_focus() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "right", "n", "x", "r")
        assert stage.source.commands == [Command("nudge", "r2"), Command("cancel", "r2"), Command("retry", "r2")]


async def test_an_ended_run_takes_no_nudge_and_no_cancel() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "3", "n", "x")
        assert stage.source.commands == []
        assert stage.toasts() == ["groq is done: nothing to nudge", "groq is done: nothing to cancel"]


async def test_a_run_that_waits_for_a_retry_can_be_hurried_and_called_off() -> None:
    waiting = Script("r1", "together").start().end(1.0, "failed", signature="rate-limited").again(1.0, 60.0)
    stage = Stage([waiting])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "r", "x", "X", "R")
        assert stage.source.commands == [Command("retry", "r1"), Command("cancel", "r1"), Command("cancel", "r1")]


async def test_cancel_all_and_retry_all() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "X")
        assert [c.run for c in stage.source.commands if c.action == "cancel"] == ["r1", "r2", "r5", "r6", "r8"]
        await stage.press(pilot, "R")
        assert [c.run for c in stage.source.commands if c.action == "retry"] == ["r4", "r7"]


async def test_a_click_focuses_and_a_double_click_zooms() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await pilot.click(stage.panes()[3])
        assert stage.focus() == "nvidia"
        await pilot.click(stage.panes()[1], times=2)
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, ZoomScreen)
        assert stage.app.screen.run_id == "r2"


async def test_zoom_and_back() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for there, back in (("z", "escape"), ("enter", "z"), ("z", "enter")):
            await stage.press(pilot, there)
            assert isinstance(stage.app.screen, ZoomScreen)
            await stage.press(pilot, back)
            assert isinstance(stage.app.screen, RaceScreen)


async def test_freeze_holds_the_picture_while_the_race_goes_on() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, "one ")], at_s=2.0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "p")
        assert "FROZEN" in stage.text()
        before = stage.text()
        stage.source.add(ev.DeltaArrived(3 * S, "r1", 1, "text", "two"))
        stage.clock.now_ns = 9 * S
        await stage.settle(pilot)
        assert stage.text() == before
        await stage.press(pilot, "p")
        assert "FROZEN" not in stage.text()
        assert "one two" in stage.text()
        assert "STALLED 6.0 s" in stage.text()


async def test_filter_narrows_and_escape_shows_all() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "slash", *"stalled")
        assert [pane.run.target for pane in stage.panes()] == ["together", "openrouter"]
        assert 'filter "stalled"' in stage.text()
        await stage.press(pilot, "enter", "down")
        assert stage.focus() == "openrouter"
        await stage.press(pilot, "escape")
        assert len(stage.panes()) == 8


async def test_a_filter_that_matches_nothing_says_so() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "slash", *"[b", "enter")
        assert 'no run matches "[b": Esc shows all' in stage.text()
        await stage.press(pilot, "escape")
        assert stage.focus() == "together"


async def test_keys_typed_into_the_filter_are_not_commands() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "slash", "n", "x", "q")
        assert stage.source.commands == []
        assert stage.app.is_running


async def test_sort_cycles_and_says_so() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "s")
        assert [pane.run.target for pane in stage.panes()][:3] == ["openrouter", "together", "nvidia"]
        assert "worst first" in stage.toasts()[-1]
        await stage.press(pilot, "s", "s")
        assert [pane.run.target for pane in stage.panes()][:3] == ["together", "fireworks", "groq"]


async def test_copy_puts_the_output_on_the_clipboard() -> None:
    stage = Stage([Script("r1", "groq").start().say(0.5, "hmm", "reasoning").say(1.0, "Hello [b]you[/b]")])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "y")
        assert stage.app.clipboard == "hmm\n\nHello [b]you[/b]"
        assert base64.b64encode(stage.app.clipboard.encode())
        assert stage.toasts()[-1] == "copied 21 characters of groq"


async def test_theme_switch_goes_through_all_themes() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        names = [stage.app.theme]
        for _ in range(4):
            await stage.press(pilot, "t")
            names.append(stage.app.theme)
            assert stage.app.shown.styles.palette.name == stage.app.theme
    assert sorted(names[:4]) == ["kmon-colourblind", "kmon-contrast", "kmon-dark", "kmon-light"]
    assert names[4] == names[0]


async def test_the_screenshot_is_an_svg_in_the_current_directory(here: Path) -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "ctrl+s")
        (picture,) = here.glob("*.svg")
        assert "together" in picture.read_text("utf-8")
        assert picture.name in stage.toasts()[-1].replace(" ", "")


async def test_help_opens_and_closes() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for there, back in (("question_mark", "escape"), ("f1", "q")):
            await stage.press(pilot, there)
            assert isinstance(stage.app.screen, HelpScreen)
            await stage.press(pilot, back)
            assert isinstance(stage.app.screen, RaceScreen)


async def test_the_command_palette_runs_kmons_own_commands() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "ctrl+p", *"nudge")
        await stage.until(pilot, lambda: "are you still there?" in stage.text(), "the command that was searched for")
        await stage.press(pilot, "enter")
        await stage.until(pilot, lambda: bool(stage.source.commands), "a command")
        assert stage.source.commands == [Command("nudge", "r1")]


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_one_key_quits_and_closes_every_stream(key: str) -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await pilot.press(key)
    assert stage.source.closed
    assert stage.app.interrupted
    assert not stage.app.is_running


async def test_leaving_before_the_engine_is_up_is_an_interruption() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    stage = Stage([], options={"open_source": never})
    async with stage.app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
    assert stage.app.interrupted


async def test_leaving_twice_is_still_an_interruption() -> None:
    stage = Stage([Script("r1", "groq").start().say(0.5, "hi")])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.app.action_quit()
        stage.app.shown.reader.race.apply(ev.RunForgotten(S, "r1"))
        stage.app.shown.reader.race.apply(ev.RaceEnded(S, 0, 0, 1_000.0, interrupted=True))
        assert stage.app.shown.reader.over
        await stage.app.action_quit()
    assert stage.app.interrupted


async def test_the_plan_comes_first_and_enter_starts() -> None:
    stage = Stage(showcase()[:2], options={"start_now": False, "key_notes": {"together": "TOGETHER_API_KEY from .env"}})
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, PlanScreen)
        assert stage.sources == []
        assert "TOGETHER_API_KEY from .env" in stage.text()
        await stage.press(pilot, "enter")
        assert [pane.run.target for pane in stage.panes()] == ["together", "fireworks"]


@pytest.mark.parametrize("key", ["escape", "q"])
async def test_leaving_the_plan_sends_nothing(key: str) -> None:
    stage = Stage(showcase()[:2], options={"start_now": False})
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await pilot.press(key)
    assert stage.sources == []
    assert not stage.app.interrupted


async def test_starting_anew_shows_the_plan_and_opens_a_second_source() -> None:
    stage = Stage(showcase()[:2])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "ctrl+n")
        assert isinstance(stage.app.screen, PlanScreen)
        await stage.press(pilot, "enter")
        await stage.until(pilot, lambda: len(stage.sources) == 2, "a second source")
        assert [source.closed for source in stage.sources] == [True, False]
        assert len(stage.panes()) == 2
