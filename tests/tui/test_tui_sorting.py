"""Sorting moves the panes, not only the order in which keys go through them."""

from __future__ import annotations

from tests.support.scripted import showcase
from tests.support.tui_stage import Stage


async def test_sorting_moves_the_panes_and_back() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=(80, 40)) as pilot:
        await stage.settle(pilot)
        places = [pane.region for pane in stage.panes()]
        queued = [pane.run.target for pane in stage.panes()]
        await stage.press(pilot, "s")
        await stage.until(pilot, lambda: [pane.region for pane in stage.panes()] == places, "the panes in new places")
        assert [pane.run.target for pane in stage.panes()] != queued
        assert stage.panes()[0].run.target in stage.text().splitlines()[1]
        await stage.press(pilot, "s", "s")
        await stage.until(pilot, lambda: [pane.region for pane in stage.panes()] == places, "the panes back again")
        assert [pane.run.target for pane in stage.panes()] == queued
