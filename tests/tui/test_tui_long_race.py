"""A race that runs for hours: a frame costs what is open and what is in view, and nothing moves once it is over."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

import kmon.stream.state
from kmon.dialects.delta import StreamError
from kmon.stream import events as ev
from kmon.stream.attempt_view import SHORT_CHARS
from kmon.tui.board_screen import BoardScreen
from kmon.tui.event_reader import SET_ASIDE_RUNS
from kmon.tui.pane import Pane
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.board_scripts import ARMS, BoardScript, board_plan
from tests.support.scripted import MS, S, Script, plan
from tests.support.tui_stage import Stage

pytestmark = pytest.mark.slow

ROUND_S = 1.0


def run_name(number: int) -> str:
    return f"r{number}.1"


def small_run(number: int, *, fails: bool = False, target: str = "together") -> Script:
    """One round of one run: a word, and the end."""
    at_s = (number - 1) * ROUND_S
    script = Script(run_name(number), target, round=number, scenario="code-tools").start(at_s)
    script.events[0] = ev.RunQueued(
        int(at_s * S), script.run, target, f"{target}/moonshotai/Kimi-K2.6", "code-tools", number, "chat"
    )
    script.say(at_s + 0.2, f"answer {number}", piece=20)
    error = StreamError("http", "HTTP 500: no", 500) if fails else None
    script.end(at_s + 0.4, "failed" if fails else "done", signature="http-error" if fails else None, error=error)
    ended = ev.RunEnded(
        int((at_s + 0.4) * S) + MS, script.run, target, 1, "failed" if fails else "done", None, "", error, 200.0,
        50.0, (), 1, f"answer {number}", "", (), "stop", None, "", {}, label=f"{target}/m", scenario="code-tools",
        round=number, duration_ms=400.0,
    )  # fmt: skip
    script.events.append(ended)
    return script


def open_run(number: int) -> Script:
    """A round that has begun and not ended."""
    script = small_run(number)
    script.events = [event for event in script.events if not isinstance(event, ev.RunEnded | ev.AttemptEnded)]
    return script


SIZE = (80, 24)
ENDED = 400
"""Enough that work per ended run cannot be taken for work per frame."""


def over(rounds: int) -> ev.RaceEnded:
    return ev.RaceEnded(int(rounds * ROUND_S * S), rounds, 0, rounds * 1000.0)


def hours(ended: int = ENDED, opened: int = 2, *, fails: Callable[[int], bool] = lambda _: False) -> Stage:
    """A race of one target in which so many rounds have ended."""
    scripts = [small_run(number, fails=fails(number)) for number in range(1, ended + 1)]
    scripts += [open_run(number) for number in range(ended + 1, ended + opened + 1)]
    at_s = (ended + opened) * ROUND_S
    return Stage(scripts, at_s=at_s, options={"plan": plan("together", rounds=10_000), "fps": 10})


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> Iterator[list[tuple[Any, ...]]]:
    """The calls of a function or method, wherever in kmon it was imported."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(owner, name)

    def counting(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        calls.append(args)
        return real(*args, **named)

    modules = [m for key, m in sys.modules.items() if key.startswith("kmon.") and getattr(m, name, None) is real]
    with monkeypatch.context() as patch:
        for where in {id(place): place for place in (owner, *modules)}.values():
            patch.setattr(where, name, counting)
        yield calls


async def test_a_frame_derives_only_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = hours()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for keys in ((), ("z",), ("escape", "b")):
            await stage.press(pilot, *keys)
            with counted(monkeypatch, kmon.stream.state, "derive") as calls:
                stage.app.redraw()
            assert len(calls) == 2, keys


async def test_ended_runs_are_no_widgets_and_the_newest_round_is_in_view() -> None:
    stage = hours()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.until(pilot, lambda: f"answer {ENDED + 2}" in stage.text(), "the newest round")
        assert len(stage.app.race_screen.query(Pane)) <= 2 * SIZE[1]
        assert f"round {ENDED + 2} of 10000" in stage.text()
        assert f"✔ {ENDED}" in stage.text().splitlines()[0]


async def test_a_new_round_comes_into_view_though_the_one_before_was_out_of_it() -> None:
    stage = hours(40, 0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for newest in range(41, 44):
            await stage.press(pilot, *["pageup"] * 20)
            await stage.until(pilot, lambda: "answer 1 " in stage.text(), "the first round")
            stage.clock.now_ns = int(newest * ROUND_S * S)
            stage.source.add(*small_run(newest).events)
            await stage.until(pilot, lambda n=newest: f"answer {n} " in stage.text(), "the newest round")
            assert stage.app.current is not None
            assert stage.app.current.run == run_name(newest)


async def test_every_ended_run_can_be_reached_and_is_drawn_as_itself() -> None:
    stage = hours(300)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "1")
        await stage.until(pilot, lambda: "answer 1 " in stage.text(), "the first round")
        for number in range(2, 12):
            await stage.press(pilot, "tab")
            assert stage.app.current is not None
            assert stage.app.current.run == run_name(number)
            await stage.until(pilot, lambda n=number: f"answer {n} " in stage.text(), "the next round")
        await stage.press(pilot, *["pagedown"] * 20)
        focused = stage.app.current
        assert focused is not None and focused.run == run_name(11)  # what the keys act on stays, out of view or not
        await stage.press(pilot, "z")
        assert isinstance(stage.app.screen, ZoomScreen)
        assert "answer 11" in stage.text()


async def rest(stage: Stage, pilot: Pilot[None]) -> None:
    """Wait until the app has stopped asking for frames."""
    for _ in range(200):
        if stage.app.frames.resting:
            return
        await pilot.pause(0.05)
    raise AssertionError("it never rests")


@pytest.mark.parametrize("keys", [(), ("z",), ("b",)], ids=["panes", "zoom", "board"])
async def test_when_the_race_is_over_nothing_is_drawn(keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = hours(20, 0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(over(20))
        await stage.settle(pilot)
        await stage.press(pilot, *keys)
        top = stage.app._top
        assert top is not None
        for _ in range(20):
            with (
                counted(monkeypatch, type(top), "draw") as frames,
                counted(monkeypatch, Widget, "refresh") as refreshed,
            ):
                for _ in range(10):
                    await pilot.pause(0.1)
            if not frames and not refreshed:
                return
        raise AssertionError(f"every second there are frames ({len(frames)}) or repaints ({len(refreshed)})")


async def test_a_key_an_event_and_a_new_size_wake_the_frames_again() -> None:
    stage = hours(20, 0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(over(20))
        await stage.settle(pilot)
        frames = stage.app.frames
        await rest(stage, pilot)
        await pilot.press("right")
        assert not frames.resting
        await rest(stage, pilot)
        stage.source.add(ev.EngineHealth(21 * S, 7.5, 5_100))
        while frames.resting:
            await pilot.pause(0.05)
        for _ in range(100):
            if "lag 7.5 ms" in stage.text():
                break
            await pilot.pause(0.05)
        assert "lag 7.5 ms" in stage.text()
        await rest(stage, pilot)
        await pilot.resize_terminal(120, 40)
        assert not frames.resting


async def test_an_open_run_keeps_the_frames_coming() -> None:
    stage = hours(5, 1)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for _ in range(25):
            await pilot.pause(0.1)
        assert not stage.app.frames.resting


async def test_a_retry_of_an_old_run_is_seen_as_it_goes_on() -> None:
    stage = hours(50, 0, fails=lambda number: number == 3)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "✖ 1" in stage.text().splitlines()[0]
        again = small_run(3)
        again.events.clear()
        again.start(49.0, "retry").say(49.5, "at last", piece=20)
        stage.source.add(*again.events)
        await stage.settle(pilot)
        head = stage.text().splitlines()[0]
        assert "✖" not in head
        assert "● 1" in head
        await stage.press(pilot, "3")
        await stage.until(pilot, lambda: "at last" in stage.text(), "the second attempt")


async def test_filter_and_sort_look_at_an_ended_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from kmon.tui import ordering

    stage = hours(fails=lambda number: number % 100 == 7)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "s", "slash", *"failed", "enter")
        await stage.until(pilot, lambda: f"round {7}" in stage.text(), "the first failure")
        assert len(stage.app.race_screen.grid.order) == ENDED // 100
        with counted(monkeypatch, ordering, "matches") as matched, counted(monkeypatch, ordering, "key") as keys:
            stage.clock.now_ns += 2 * S
            stage.app.redraw()
        assert (len(matched), len(keys)) == (2, 2)


async def test_the_garbage_collector_does_not_walk_through_the_results() -> None:
    stage = hours(SET_ASIDE_RUNS + 20)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        walked = {id(found) for found in gc.get_objects()}
        runs = list(stage.app.shown.reader.race.runs.values())
        assert sum(id(run) in walked for run in runs) <= 30
        await stage.app.shown.reader.close()
        assert gc.get_freeze_count() == 0


async def test_workers_of_ended_runs_end() -> None:
    stage = hours(200)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.until(pilot, lambda: len(list(stage.app.workers)) <= 3, "a reader and two runs")


async def test_the_board_counts_a_run_once_and_forgets_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from kmon.stats import outcome

    scripts = [BoardScript(ARMS[0], n).passes() for n in range(1, 301)]
    options = {"plan": board_plan(400, arms=ARMS[:1]), "board": True}
    stage = Stage([*scripts], at_s=3_100.0, options=options)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert isinstance(stage.app.screen, BoardScreen)
        with counted(monkeypatch, outcome, "classify") as classified:
            stage.source.add(*BoardScript(ARMS[0], 301).passes().events)
            await stage.settle(pilot)
        assert len(classified) == 2  # once for the cell, once for the trial
        assert "301/301" in stage.text()
        assert not any(run.ended is None or run.ended.text for run in stage.app.shown.reader.race.runs.values())


async def test_a_long_answer_of_long_ago_is_zoomed_by_its_end_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.stream.attempt_view.WHOLE_LIMIT_CHARS", 20_000)
    scripts = [small_run(number) for number in range(1, 31)]
    said = " ".join(f"word{n}" for n in range(2_000))
    scripts[0].events[6:-2] = []
    scripts[0].say(0.2, said, every_s=0.00005, piece=8)
    scripts[0].events.sort(key=lambda event: event.t_ns)
    stage = Stage(scripts, at_s=40.0, options={"plan": plan("together", rounds=30)})
    async with stage.app.run_test(size=(100, 36)) as pilot:
        await stage.settle(pilot)
        kept = stage.app.shown.reader.race.runs[run_name(1)].main
        assert kept is not None
        assert len(kept.joined("text")) == SHORT_CHARS
        assert kept.segments_dropped + SHORT_CHARS == len(said)
        await stage.press(pilot, "1", "z")
        await stage.until(pilot, lambda: "word1999" in stage.text(), "the end of the answer")
        await stage.press(pilot, "home")
        await stage.until(pilot, lambda: "characters before this were let go" in stage.text(), "what is gone")
        await stage.press(pilot, "left", "home")
        await stage.until(pilot, lambda: "before this let go" in stage.text(), "chunks that are gone")
