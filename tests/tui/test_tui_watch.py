"""The screen over a watch without end: forgotten runs leave, open ones stay, and what cannot be done says why."""

from __future__ import annotations

from dataclasses import replace

from kmon.engine.plan import RacePlan
from kmon.stream import events as ev
from tests.support.scripted import S, Script, stuck
from tests.support.tui_stage import Stage

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
        await stage.app.shown.reader._take([ev.RunForgotten(31 * S, "p1")])
        await stage.settle(pilot)
        assert "target1" not in stage.text()
        assert list(stage.app.shown.reader.race.runs) == ["p2", "p3"]
        assert set(stage.app.race_screen.grid.panes) == {"p2", "p3"}


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
    stage.app.shown.options = replace(stage.app.shown.options, plan=RacePlan(rows=()))
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        assert "listening on somewhere" in stage.text()
        stage.app.action_start_anew()
        assert "nothing to start anew" in stage._told[-1]


async def test_no_screen_offers_a_key_that_cannot_be_obeyed() -> None:
    impossible = {action: f"{action} is not possible here" for action in ("nudge", "cancel", "retry")}
    stage = Stage(requests(2), options={"impossible": impossible})
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await stage.settle(pilot)
        for keys in ((), ("z",)):
            await stage.press(pilot, *keys)
            assert not {"n nudge", "x cancel", "r retry"} & set(stage.text().splitlines()[-1].strip().split("  "))
        await stage.press(pilot, "X")
        assert "cancel is not possible here" in stage._told[-1]
        assert not stage.source.commands


async def test_the_hint_is_told_and_stands_below_until_a_run_was_nudged() -> None:
    stage = Stage(requests(1), at_s=2.0, options={"hint": "press 2, then n"})
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        assert "press 2, then n" in stage.toasts()
        assert "press 2, then n" in stage.text().splitlines()[-2]
        stage.source.add(*Script("p1", "target1").start().start(1.0, "nudge").events[1:])
        await stage.settle(pilot)
        assert "press 2, then n" not in stage.text().splitlines()[-2]


async def test_the_verdict_of_a_stuck_chat_stays_when_its_run_has_ended() -> None:
    a, b, c = stuck()
    stage = Stage([a, b, c], at_s=16.0)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await stage.settle(pilot)
        assert not [toast for toast in stage.toasts() if "stalled" in toast]  # their panes say it
        hung = "chat-link-lost: the chat was told error, and the run goes on"
        ended = ev.RunEnded(
            15 * S, "r3", "c-silent-retry", 1, "done", None, "", None, 400.0, 2400.0, (), 120, "", "", (), "stop", None,
            "", {}, diagnosis=hung,
        )  # fmt: skip
        stage.source.add(*c.end(15.0).events[-1:], ended)
        await stage.settle(pilot)
        assert f"it hung: {hung}" in stage.text()
        assert "TUI  connected | error" in stage.text()


async def test_while_no_request_is_open_only_the_clock_is_drawn_once_a_second() -> None:
    stage = watching([])
    stage.app.shown.options = replace(stage.app.shown.options, plan=RacePlan(rows=()))
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        assert "00:30" in stage.text()
        for _ in range(200):
            if stage.app.frames.resting:
                break
            await pilot.pause(0.05)
        assert stage.app.frames.resting
        stage.clock.now_ns = 31 * S
        stage.app.tell()
        assert stage.app.frames.resting
        await pilot.pause(0.05)
        assert "00:31" in stage.text()


async def test_a_key_after_a_run_was_forgotten_acts_on_what_is_left() -> None:
    stage = watching(requests(40))
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await stage.settle(pilot)
        for n in range(1, 40):  # between two frames
            stage.app.shown.reader.race.apply(ev.RunForgotten(31 * S, f"p{n}"))
        await stage.app.race_screen.action_step(-1)  # what shift+tab does
        stage.app.race_screen.action_choose(9)
        await stage.press(pilot, "down", "tab", "z")
        assert stage.app.current is not None
        assert stage.app.current.run == "p40"
