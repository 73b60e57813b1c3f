"""The screen of an isolation: factors at both levels, the requests under way, the sentence, and the keys."""

from __future__ import annotations

import pytest

from kmon.engine.api import Command
from kmon.engine.plan import Row
from kmon.stats.isolation.state import Rate
from kmon.stats.statistics import Interval
from kmon.tui.isolation_drawing import Moment, draw
from kmon.tui.isolation_screen import IsolationScreen
from kmon.tui.race_screen import RaceScreen
from kmon.tui.rate_bars import bar_cells, rate_bar
from kmon.tui.shrink_drawing import part_rows
from kmon.tui.spans import row_width
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.isolating import answer_round, experiment, failing, has_result
from tests.support.isolation_stage import CAUSE, isolation_stage, painted
from tests.support.shrinking import CONVERSATION, at_provider, shrink_round, shrinking
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


# -- the parts of a request that is reduced ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("rounds", [0, 4, 100])
def test_the_parts_have_rows_where_there_is_room(width: int, rounds: int) -> None:
    running = shrinking(Row(at_provider("chat"), CONVERSATION))
    for _ in range(rounds):
        shrink_round(running, failing(lambda row: 0.5 if row.scenario.tools else 0.0, rounds))
    for height in (5, 12, 24, 60):
        assert len(draw(running, [], None, (width, height), Moment(0))) == height
    most = 6
    rows = ["".join(span.text for span in row) for row in part_rows(running, width, most, True)]
    assert len(rows) == most + 1 and rows[-1] == " and 30 more parts"
    assert len({at for at, row in enumerate(rows[1:-1]) if "not needed" not in row}) == min(5, len(running.left))


async def test_a_reduction_shows_its_parts_its_requests_and_what_is_left() -> None:
    running = shrinking()
    for number in range(60):
        shrink_round(running, failing(lambda row: 0.5 if row.scenario.tools else 0.0, number))
    assert running.over
    stage = isolation_stage(running)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await stage.settle(pilot)
        shown = stage.text()
        await stage.press(pilot, "enter")
        assert isinstance(stage.app.screen, ZoomScreen)
    assert f"bedrock/kimi-k2.5 with tool-result   {running.requests} requests of 400" in shown
    rows = {line[5:].partition("  ")[0]: line.rstrip() for line in shown.splitlines()}
    assert rows["the tool get_weather"].endswith("  needed")
    assert rows["the property city of get_weather"].endswith("not needed")
    assert "failed without it" in shown and "still fails with 1 of its 5 parts: the tool get_weather" in shown
    assert " whole request " in shown and " part 3 " in shown
