"""The screen over a watch without end: forgotten runs leave, open ones stay, and what cannot be done says why."""

from __future__ import annotations

from dataclasses import replace

from scripted import S, Script
from tui_stage import Stage

from kmon.probe import events as ev
from kmon.race.plan import RacePlan

NOT_HERE = "nudge is not possible here"


def requests(count: int) -> list[Script]:
    return [Script(f"p{n}", f"target{n}").start().say(0.5, "hello") for n in range(1, count + 1)]


def watching(scripts: list[Script]) -> Stage:
    options = {"impossible": {"nudge": NOT_HERE}, "sort": "newest first", "nothing_yet": "listening on somewhere"}
    return Stage(scripts, options=options)


async def test_a_forgotten_run_leaves_the_screen_and_the_memory() -> None:
    scripts = requests(3)
    stage = watching(scripts)
    async with stage.app.run_test(size=(100, 40)) as pilot:
        await stage.settle(pilot)
        assert "target1" in stage.text()
        await stage.app.feed._take([ev.RunForgotten(31 * S, "p1")])
        await stage.settle(pilot)
        assert "target1" not in stage.text()
        assert list(stage.app.feed.race.runs) == ["p2", "p3"]
        assert list(stage.app.race_screen.panes) == ["p2", "p3"]


async def test_the_newest_comes_first_and_the_impossible_says_why() -> None:
    stage = watching(requests(3))
    async with stage.app.run_test(size=(100, 40)) as pilot:
        await stage.settle(pilot)
        text = stage.text()
        assert text.find("target3") < text.find("target2") < text.find("target1")
        assert "n nudge" not in text
        await stage.press(pilot, "n")
        assert NOT_HERE in stage._told[-1]


async def test_nothing_yet_is_said_in_the_words_of_the_watch() -> None:
    stage = watching([])
    stage.app.options = replace(stage.app.options, plan=RacePlan(rows=()))
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        assert "listening on somewhere" in stage.text()
        stage.app.action_start_anew()
        assert "nothing to start anew" in stage._told[-1]
