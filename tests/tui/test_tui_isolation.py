"""The screen of an isolation: factors at both levels, the requests under way, the sentence, and the keys."""

from __future__ import annotations

import pytest

from kmon.engine.api import Command
from kmon.stats.isolation.state import Rate
from kmon.stats.statistics import Interval
from kmon.tui.isolation_drawing import Moment, draw
from kmon.tui.isolation_screen import IsolationScreen
from kmon.tui.race_screen import RaceScreen
from kmon.tui.rate_bars import bar_cells, rate_bar
from kmon.tui.spans import row_width
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.isolating import answer_round, experiment, failing, has_result
from tests.support.isolation_stage import CAUSE, isolation_stage, painted
from tests.support.tui_stage import Stage

SIZE = (80, 24)


def bar(failures: int, runs: int, low: float, high: float, *, ascii: bool = True) -> str:
    row = rate_bar(Rate(runs, failures, Interval(low, high)), 20, "text", ascii)
    assert row_width(row) == 20
    return "".join(span.text for span in row)


def test_a_bar_shows_the_rate_and_its_interval() -> None:
    assert bar(5, 10, 0.19, 0.81) == "...=======o======..."
    assert bar(0, 10, 0.0, 0.31) == "o======............."
    assert bar(10, 10, 0.69, 1.0) == ".............======o"
    assert bar(0, 0, 0.0, 1.0) == "...................."
    assert bar(5, 10, 0.19, 0.81, ascii=False) == "···━━━━━━━●━━━━━━···"


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200, 400])
@pytest.mark.parametrize("rounds", [0, 5, 60])
def test_no_row_is_higher_or_wider_than_there_is_room(width: int, rounds: int) -> None:
    running = experiment(seed=2)
    for _ in range(rounds):
        answer_round(running, failing(lambda row: 0.5 if has_result(row) else 0.0, rounds))
    for height in (5, 12, 24, 60):
        rows = draw(running, [], None, (width, height), Moment(0))
        assert len(rows) == height
    assert 8 <= bar_cells(width, 38) <= 40


def screen(stage: Stage) -> IsolationScreen:
    shown = stage.app.screen
    assert isinstance(shown, IsolationScreen)
    return shown


async def test_it_shows_the_factors_the_open_requests_and_the_sentence_so_far() -> None:
    stage = isolation_stage(painted())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        shown = stage.text()
    assert "bedrock/kimi-k2.5 with tool-result   24 requests of 120" in shown
    for name in ("dialect", "tools", "streaming"):
        assert f"\n {name} " in shown
    assert "\n elsewhere   not asked yet" in shown
    assert "▲ STALLED 6.9 s" in shown and "failed when changed" in shown
    assert "so far" in shown


async def test_keys_move_the_focus_zoom_cancel_and_change_to_the_panes() -> None:
    stage = isolation_stage(painted())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert stage.app.current is not None and stage.app.current.run == "r6.1"
        await stage.press(pilot, "down", "down", "x")
        assert stage.source.commands == [Command("cancel", "r6.3")]
        await stage.press(pilot, "end", "enter")
        assert isinstance(stage.app.screen, ZoomScreen) and stage.app.screen.run_id == "r6.1"
        await stage.press(pilot, "escape", "b")
        assert isinstance(stage.app.screen, RaceScreen)
        await stage.press(pilot, "b")
        assert screen(stage).current is not None


async def test_the_focus_does_not_leave_the_list() -> None:
    stage = isolation_stage(painted())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "up")
        assert stage.app.current is not None and stage.app.current.run == "r6.1"
        await stage.press(pilot, *["down"] * 30)
        assert stage.app.current is not None and stage.app.current.run == "r1.1"


async def test_in_the_end_the_sentence_is_the_answer() -> None:
    running = painted(found=CAUSE)
    assert running.over
    stage = isolation_stage(running)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await stage.settle(pilot)
        shown = stage.text()
    assert "\n answer" in shown and "fails when the request offers tools: 12 of 34 with it" in shown
    assert "the cause" in shown


async def test_before_the_first_run_it_says_that_it_starts() -> None:
    running = experiment()
    stage = isolation_stage(running)
    stage.scripts.clear()
    async with stage.app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.2)
        assert "nothing was measured" in stage.text()
