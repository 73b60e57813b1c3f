"""The board on the screen: keys, what they act on, stopping early, and the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kmon.engine.api import Command
from kmon.format import TextLine
from kmon.stream import events as ev
from kmon.stream.view import RaceView
from kmon.tui.board_screen import BoardScreen
from kmon.tui.board_window import BoardPosition
from kmon.tui.plan_screen import PlanScreen
from kmon.tui.race_screen import RaceScreen
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.board_scripts import ANSWER, ARMS, BoardScript, board_plan, board_scripts
from tests.support.scripted import S, Script
from tests.support.tui_stage import Stage

SIZE = (80, 24)
VERDICT = [
    TextLine("target  rate", table=True),
    TextLine("kimi    60 %", table=True),
    TextLine(""),
    TextLine("Conclusion: kimi fails more often."),
]


def board_stage(scripts: Sequence[Script] | None = None, *, at_s: float = 66.3, rounds: int = 10, **more: Any) -> Stage:  # noqa: ANN401
    options = {"plan": board_plan(rounds), "board": True, **more}
    return Stage(list(board_scripts() if scripts is None else scripts), at_s=at_s, options=options)


def board(stage: Stage) -> BoardScreen:
    screen = stage.app.screen
    assert isinstance(screen, BoardScreen)
    return screen


def race_ended(at_s: float) -> ev.RaceEnded:
    return ev.RaceEnded(int(at_s * S), 1, 0, at_s * 1000)


async def test_it_opens_on_the_board_and_says_where_the_test_stands() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        shown = stage.text()
        assert "tool-result · round 7 of 10 · simulated" in shown
        assert "67 % (22-96 %), 6 runs" in shown
        assert "bedrock/kimi-k2.5, round 7 " in shown
        assert "claims streaming, silent 6.2 s (headers, then nothing)" in shown


async def test_arrows_home_end_and_digits_move_the_focus_and_stop_at_the_edge() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        seen = [board(stage).focus_place]
        for key in ("left", "down", "up", "up", "home", "left", "3", "end", "right"):
            await stage.press(pilot, key)
            seen.append(board(stage).focus_place)
    places = [(0, 7), (0, 6), (1, 6), (0, 6), (0, 6), (0, 1), (0, 1), (2, 1), (2, 7), (2, 8)]
    assert seen == [BoardPosition(*place) for place in places]


async def test_the_focus_follows_the_newest_round_until_it_is_moved_and_again_after_end() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)

        async def begin(number: int) -> None:
            run = ev.RunQueued(int(66 * S), f"new{number}", ARMS[0], ARMS[0], "tool-result", number, "chat")
            stage.source.add(run)
            await stage.settle(pilot)

        await begin(8)
        assert board(stage).focus_place.round == 8
        await stage.press(pilot, "left")
        await begin(9)
        assert board(stage).focus_place.round == 7
        await stage.press(pilot, "end")
        await begin(10)
        assert board(stage).focus_place.round == 10


async def test_enter_opens_the_run_and_escape_comes_back_to_its_cell() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "down", "left")
        for key in ("enter", "z"):
            await stage.press(pilot, key)
            assert isinstance(stage.app.screen, ZoomScreen)
            assert stage.app.screen.run_id == f"{ARMS[1]}.tool-result.6"
            assert ANSWER in stage.text()
            await stage.press(pilot, "escape")
            assert board(stage).focus_place == BoardPosition(1, 6)


async def test_a_cell_without_a_run_opens_nothing_and_takes_no_command() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "right", "enter", "x", "n", "r", "y")
        assert isinstance(stage.app.screen, BoardScreen)
        assert "not begun" in stage.text()
        assert stage.source.commands == []


async def test_nudge_cancel_and_retry_go_to_the_cell_in_focus() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "4", "n", "x", "r")
        run = f"{ARMS[3]}.tool-result.7"
        assert stage.source.commands == [Command("nudge", run), Command("cancel", run), Command("retry", run)]


async def test_cancel_all_and_retry_all_take_the_whole_board() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "X", "R")
        cancelled = [command.run for command in stage.source.commands if command.action == "cancel"]
        retried = [command.run for command in stage.source.commands if command.action == "retry"]
    assert cancelled == [f"{ARMS[n]}.tool-result.7" for n in (0, 1, 3)]
    assert [run.rpartition(".")[2] for run in retried] == ["2", "4", "5", "6"]


async def test_a_click_focuses_a_cell_and_a_double_click_opens_it() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        at = next(n for n, line in enumerate(stage.text().splitlines()) if "nova-pro" in line) + 1
        await pilot.click(offset=(1 + 4 * 2 + 2, at))
        await stage.settle(pilot)
        assert board(stage).focus_place == BoardPosition(2, 3)
        await pilot.click(offset=(1 + 4 * 4 + 2, at), times=2)
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, ZoomScreen)
        assert stage.app.screen.run_id == f"{ARMS[2]}.tool-result.5"


@pytest.mark.parametrize("key", ["b", "tab"])
async def test_board_and_panes_are_one_key_apart_and_keep_the_run_in_focus(key: str) -> None:
    stage = board_stage()
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "down", "left", "left", key)
        await stage.until(pilot, lambda: isinstance(stage.app.screen, RaceScreen), "the panes")
        assert stage.focus() == ARMS[1]
        assert stage.app.current is not None
        assert stage.app.current.round == 5
        assert {pane.run.round for pane in stage.panes()} == {5, 7}
        await stage.press(pilot, "4")
        run = stage.app.current.run
        await stage.press(pilot, key)
        await stage.until(pilot, lambda: isinstance(stage.app.screen, BoardScreen), "the board")
        assert board(stage).current is not None
        assert board(stage).current.run == run  # type: ignore[union-attr]


async def test_the_board_is_there_in_any_race() -> None:
    stage = board_stage(board=False)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, RaceScreen)
        await stage.press(pilot, "b")
        assert "67 % (22-96 %), 6 runs" in stage.text()


async def test_when_enough_is_measured_the_engine_is_told_once_and_the_user_why() -> None:
    judged: list[str] = []

    def judge(ended: ev.RunEnded) -> str | None:
        judged.append(ended.run)
        return "kimi fails more [often]" if len(judged) >= 3 else None

    stage = board_stage(judge=judge)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.app.tell()
        await stage.settle(pilot)
        assert stage.source.commands == [Command("enough")]
        assert len(judged) == len(set(judged)) == 25
        assert stage.toasts() == ["enough: kimi fails more [often]"]  # and none for what the board shows anyway
        assert " kimi fails more [often]" in stage.text()
        await stage.press(pilot, "left")
        assert " kimi fails more [often]" not in stage.text()


async def test_when_the_race_has_ended_the_board_says_what_it_has_shown() -> None:
    seen: list[RaceView] = []

    def conclude(race: RaceView) -> list[TextLine]:
        seen.append(race)
        return VERDICT

    stage = board_stage(board_scripts(10, open_round=False), at_s=120.0, conclude=conclude)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert seen == []
        stage.source.add(race_ended(110))
        await stage.until(pilot, lambda: "Conclusion: kimi fails more often." in stage.text(), "the conclusion")
        assert "60 % (26-88 %), 10 runs" in stage.text()
        assert len(seen) == 1
        again = BoardScript(ARMS[0], 2, at_s=115.0)
        again.run = stage.scripts[4].run
        again.attempt = 1
        again.events.clear()
        again.start(115.0, "retry").say(115.5, ANSWER).finish(116.0)
        again.ended(1.0, "done", text=ANSWER, ttft_s=0.5)
        stage.source.add(*again.events)
        await stage.until(pilot, lambda: len(seen) == 2, "a second conclusion")
        assert "60 % (26-88 %), 10 runs" in stage.text()


async def test_a_long_conclusion_starts_at_its_end_and_can_be_read_back() -> None:
    lines = [*(TextLine(f"line {n}") for n in range(60)), TextLine("Conclusion: enough.")]
    stage = board_stage(board_scripts(2, open_round=False), at_s=30.0, rounds=2, conclude=lambda _race: lines)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(race_ended(29))
        await stage.until(pilot, lambda: "Conclusion: enough." in stage.text(), "the end of the conclusion")
        for _ in range(10):
            await stage.press(pilot, "pageup")
        await stage.until(pilot, lambda: "line 0" in stage.text(), "the start of the conclusion")
        await stage.press(pilot, "pagedown")
        await stage.until(pilot, lambda: "line 0" not in stage.text(), "the next page")


async def test_wide_tables_below_the_board_move_sideways() -> None:
    lines = [TextLine("name" + " " * 70 + "failures" + " " * 20 + "cause", table=True)]
    stage = board_stage(board_scripts(1, open_round=False), at_s=20.0, rounds=1, conclude=lambda _race: lines)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(race_ended(19))
        await stage.until(pilot, lambda: "name    " in stage.text(), "the table")
        assert "cause" not in stage.text()
        await stage.press(pilot, "shift+right", "shift+right")
        assert "cause" in stage.text()
        await stage.press(pilot, "shift+left", "shift+left")
        assert "cause" not in stage.text()


async def test_the_run_in_focus_is_watched_below_the_board() -> None:
    stage = board_stage()
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "4")
        assert "│ It is" in stage.text()
        await stage.press(pilot, "2", "home")
        assert f"│ {ANSWER}" in stage.text()
        await stage.press(pilot, "end", "right")
        assert "│" not in stage.text()


async def test_the_plan_comes_before_the_board() -> None:
    stage = board_stage(start_now=False)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, PlanScreen)
        await stage.press(pilot, "enter")
        assert "67 % (22-96 %), 6 runs" in stage.text()


async def test_starting_anew_counts_anew() -> None:
    stage = board_stage(board_scripts(2, open_round=False), at_s=30.0, rounds=2, conclude=lambda _race: VERDICT)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(race_ended(29))
        await stage.until(pilot, lambda: "Conclusion" in stage.text(), "the conclusion")
        await stage.press(pilot, "ctrl+n", "enter")
        await stage.until(pilot, lambda: len(stage.sources) == 2, "a second race")
        await stage.until(pilot, lambda: "2 runs" in stage.text(), "its runs")
        assert "Conclusion" not in stage.text()
        assert "4 runs" not in stage.text()


async def test_an_engine_that_cannot_start_is_said_on_the_board() -> None:
    async def refuse() -> None:
        raise OSError("no such file")

    stage = board_stage(open_source=refuse)
    async with stage.app.run_test(size=SIZE) as pilot:
        for _ in range(500):
            if "the engine was lost: no such file" in stage.text():
                return
            await pilot.pause(0.02)
    raise AssertionError(stage.text())


@pytest.mark.slow
@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
async def test_every_size_draws_the_board_and_resizes(ended: bool) -> None:
    stage = board_stage(conclude=lambda _race: VERDICT * 20)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        if ended:
            open_runs = [run for run in stage.app.shown.reader.race.runs.values() if run.ended is None]
            for run in open_runs:
                script = BoardScript(run.target, run.round)
                stage.source.add(*script.ended(1.0, "cancelled").events[1:])
            stage.source.add(race_ended(66))
        for size in ((120, 40), (200, 60), (40, 10), (24, 6), (20, 5), (7, 3), (1, 1), (80, 24)):
            await pilot.resize_terminal(*size)
            await stage.press(pilot, "right", "end")
        assert "67 % (22-96 %), 6 runs" in stage.text()
        assert ("Conclusion" in stage.text()) == ended
