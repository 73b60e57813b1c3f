"""The screen tells the truth: failures, stalls, hostile text, small terminals, a lost engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Resize
from textual.geometry import Region, Size
from textual.widgets._toast import Toast

from kmon.stream import events as ev
from kmon.stream.view import RaceView
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.scripted import CODE, S, Script, showcase
from tests.support.tui_stage import Stage

SIZE = (80, 24)


@pytest.mark.slow
async def test_every_size_draws_and_resizes() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=(1, 1)) as pilot:
        await stage.settle(pilot)
        for size in ((200, 60), (120, 40), (40, 10), (24, 6), (20, 5), (7, 3), (100, 30)):
            await pilot.resize_terminal(*size)
            await stage.press(pilot, "z", "right", "right", "escape")
        assert "STALLED" in stage.text()


async def test_a_resize_that_is_out_of_date_is_dropped() -> None:
    """Two sizes under way at once used to chase each other for ever."""
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        screen, old = stage.app.screen, Size(80, 25)
        screen.post_message(Resize(old, old))
        for _ in range(5):  # what a resize answers, it answers in the next few turns
            await stage.settle(pilot)
        assert screen.size == Size(*SIZE)


async def test_a_terminal_that_is_too_small_says_what_is_needed() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=(20, 5)) as pilot:
        await stage.settle(pilot)
        assert " ".join(stage.text().split()).find("20x5 is too small: kmon needs 24x6") >= 0


async def test_all_eight_panes_are_on_an_80x24_screen() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        for script in stage.scripts:
            assert script.target in stage.text()
        assert "engine ok" in stage.text()


async def test_with_more_panes_than_fit_the_focus_scrolls_into_view() -> None:
    stage = Stage([Script(f"r{n}", f"target{n}").start().say(0.5, CODE) for n in range(20)])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "target19" not in stage.text()
        await stage.press(pilot, "shift+tab")
        await stage.until(pilot, lambda: "target19" in stage.text(), "the last pane")


async def test_no_run_yet_is_said() -> None:
    stage = Stage([])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "no run yet" in stage.text()


async def test_a_lost_engine_is_said_and_what_was_there_is_kept() -> None:
    stage = Stage(showcase(), crash="pipe closed")
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.app.tell()
        assert "engine gone" in stage.text()
        assert len(stage.panes()) == 8
        assert (stage.app.shown.reader.engine_error or "").startswith("the engine was lost: pipe closed; ")
        assert any("pipe closed" in toast for toast in stage.toasts())
        await stage.press(pilot, "x")
        assert "no engine" in stage.toasts()[-1]


async def test_of_a_lost_engine_no_pane_goes_on_to_a_stall_and_no_provider_is_accused() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, "one "), Script("r2", "groq").start()], at_s=2.0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "streaming" in stage.text()
        stage.source.fail("pipe closed")
        await stage.until(pilot, lambda: "engine gone" in stage.text(), "the loss")
        stage.clock.now_ns = 60 * S
        await stage.settle(pilot)
        text = stage.text()
        assert "streaming, engine gone" in text
        assert "together: was streaming when the engine was lost" in text
        assert "STALLED" not in text
        assert "claims" not in text
        await stage.press(pilot, "z")
        await stage.until(pilot, lambda: "Raw" in stage.text(), "the zoomed pane")
        assert "streaming, engine gone" in stage.text()
    assert [run.target for run in stage.app.shown.reader.race.runs.values()] == ["together", "groq"]
    assert not stage.app.interrupted


async def test_an_engine_that_cannot_start_is_said() -> None:
    async def refuse() -> None:
        raise OSError("no such file")

    stage = Stage([], options={"open_source": refuse})
    stage.app.started = False
    async with stage.app.run_test(size=SIZE) as pilot:
        for _ in range(500):
            if "the engine was lost: no such file" in stage.text():
                return
            await pilot.pause(0.02)
    raise AssertionError(stage.text())


class FragileRace(RaceView):
    """Falls over the words of one run."""

    def apply(self, event: ev.Event) -> None:
        if isinstance(event, ev.DeltaArrived) and event.run == "r1":
            raise ValueError("odd event")
        super().apply(event)


async def test_a_run_that_cannot_be_folded_breaks_only_its_own_pane() -> None:
    stage = Stage(showcase()[:2])
    stage.app.shown.reader.race = FragileRace()
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "kmon could not follow this run" in stage.text()
        assert "streaming" in stage.text()
        assert stage.app.is_running


async def test_a_stall_is_told_once_and_rings_only_when_asked() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, "one")], options={"bell": True})
    rung: list[bool] = []
    stage.app.bell = lambda: rung.append(True)  # type: ignore[method-assign]
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        stage.source.add(ev.StallStarted(6 * S, "r1", 1, "mid-text", 5_000.0))
        await stage.settle(pilot)
        for _ in range(5):
            stage.app.tell()
        assert stage.toasts() == ["stalled: together (mid-text)"]
    assert rung == [True]


async def test_a_failed_run_and_a_notice_are_told_without_markup() -> None:
    stage = Stage([Script("r1", "[@click=app.quit]x[/]").start()])
    async with stage.app.run_test(size=SIZE, notifications=True) as pilot:
        await stage.settle(pilot)
        ended = ev.RunEnded(
            S, "r1", "[@click=app.quit]x[/]", 1, "failed", "reset", "", None, None, None, (), 0, "", "", (), None,
            None, "", {},
        )  # fmt: skip
        stage.source.add(ended, ev.Notice(S, "warning", "[/] [b"))
        await stage.settle(pilot)
        stage.app.tell()
        await stage.settle(pilot)
        assert stage.toasts() == ["[@click=app.quit]x[/] failed, reset; [/] [b"]
        assert "[@click=app.quit]x[/] failed, reset; [/] [b" in stage.text()


async def test_a_large_screen_too_has_one_toast_at_a_time() -> None:
    stage = Stage([Script("r1", "together").start()])
    async with stage.app.run_test(size=(120, 40), notifications=True) as pilot:
        await stage.settle(pilot)
        stage.source.add(ev.StallStarted(6 * S, "r1", 1, "before-first-token", 5_000.0), ev.Notice(S, "info", "noted"))
        await stage.settle(pilot)
        stage.app.tell()
        await stage.settle(pilot)
        assert stage.toasts() == ["stalled: together (before-first-token); noted"]
        stage.app.say("something else")
        await stage.settle(pilot)
        assert len(stage.app.screen.query(Toast)) == 1


async def test_toasts_come_one_at_a_time_and_none_is_lost() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE, notifications=True) as pilot:
        await stage.settle(pilot)
        for n in range(3):
            stage.source.add(ev.Notice(S, "warning", f"notice {n}"))
        await stage.settle(pilot)
        stage.app.tell()
        assert stage.toasts() == ["notice 0; notice 1; notice 2"]
        stage.source.add(ev.Notice(S, "warning", "notice 3"))
        await stage.settle(pilot)
        stage.app.tell()
        assert stage.toasts() == ["notice 0; notice 1; notice 2"]
        stage.app.tell()
        stage.app.tell()
        await stage.settle(pilot)
        assert stage.toasts() == ["notice 0; notice 1; notice 2", "notice 3"]
        assert len(stage.app.screen.query(Toast)) <= 1


async def test_no_toast_covers_the_title_of_the_pane_in_focus() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=(80, 24), notifications=True) as pilot:
        grid = stage.app.race_screen.grid
        for height in (10, 16, 24, 29):
            await pilot.resize_terminal(80, height)
            for key in "28":
                await stage.press(pilot, key)
                focused = stage.app.focused
                assert focused is not None
                await stage.until(pilot, lambda pane=focused: pane.region in grid.region, "the pane in full view")
                stage.app.say("a sentence that is much longer than one line " * 20, "error")
                await stage.until(pilot, lambda: bool(stage.app.screen.query(Toast)), "the toast")
                toast = stage.app.screen.query_one(Toast).region
                assert not toast.overlaps(Region(focused.region.x, focused.region.y, focused.region.width, 1))


async def test_markup_from_a_model_is_shown_and_never_obeyed() -> None:
    hostile = "[@click=app.quit]click me[/] [b]bold [/foo] x [b + y"
    stage = Stage([Script("r1", "together").start().say(0.5, hostile, piece=60)])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "[@click=app.quit]click me[/]" in stage.text()
        await pilot.click(stage.panes()[0], offset=(8, 1))
        await stage.press(pilot, "z")
        assert "[@click=app.quit]click me[/]" in stage.text()
        await pilot.click(offset=(4, 3))
        assert stage.app.is_running


async def test_a_megabyte_without_a_newline_stays_bounded() -> None:
    script = Script("r1", "together").start().say(0.5, "x" * 1_000_000 + "END", piece=20_000_000)
    stage = Stage([script])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "END" in stage.text()
        await stage.press(pilot, "z")
        assert "END" in stage.text()
        assert isinstance(stage.app.screen, ZoomScreen)


async def test_plain_mode_sends_no_colour_and_still_tells_the_state() -> None:
    stage = Stage(showcase(), plain=True)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        strips = stage.app.screen._compositor.render_strips()
        colours = {segment.style.color for strip in strips for segment in strip if segment.style} - {None}
        assert all(colour is not None and colour.is_default for colour in colours)
        assert "▲ STALLED" in stage.text()


async def test_ascii_mode_draws_nothing_but_ascii() -> None:
    stage = Stage(showcase(), options={"ascii": True})
    async with stage.app.run_test(size=SIZE, notifications=True) as pilot:
        await stage.settle(pilot)
        for keys in ((), ("p",), ("s",), ("z",), ("right",), ("right",), ("escape",), ("question_mark",)):
            await stage.press(pilot, *keys)
            assert stage.text().isascii(), (keys, set(stage.text()) - set(map(chr, range(128))))


async def test_a_broken_user_theme_is_told_and_the_screen_starts(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "kmon-dark"\n[ui]\naccent = "pink"\n')
    stage = Stage(showcase()[:1], options={"user_theme_dirs": [tmp_path]})
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert "mine.toml, line 3, ui.accent: 'pink' is not a colour" in stage.toasts()[0]


async def test_a_new_round_is_followed_until_the_user_moves() -> None:
    scripts = [Script(f"a{n}", f"t{n}").start().say(0.5, "one") for n in range(8)]
    scripts += [Script(f"b{n}", f"t{n}", round=2) for n in range(8)]
    for script in scripts[8:]:
        script.start(5.0)
    stage = Stage(scripts)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        assert stage.app.current is not None
        assert stage.app.current.run == "b0"


async def test_the_outcome_of_a_race_that_ended_is_not_an_interruption() -> None:
    stage = Stage([Script("r1", "groq").start().say(0.5, "hi").finish(1.0)])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        ended = ev.RunEnded(
            2 * S, "r1", "groq", 1, "done", None, "", None, 410.0, 0.0, (), 1, "hi", "", (), "stop", None, "", {}
        )
        stage.source.add(ended, ev.RaceEnded(2 * S, 1, 0, 2_000.0))
        await stage.settle(pilot)
        assert "00:02" in stage.text()
        await pilot.press("q")
    assert not stage.app.interrupted
    assert stage.app.shown.reader.race.ended is not None
