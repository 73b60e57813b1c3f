"""The zoom: flow that follows until the user scrolls, gaps with their stalls, raw chunks."""

from __future__ import annotations

from kmon.stream import events as ev
from kmon.tui.zoom_screen import ZoomScreen
from tests.support.scripted import CODE, S, Script, showcase
from tests.support.tui_stage import Stage

SIZE = (80, 24)


def zoom(stage: Stage) -> ZoomScreen:
    assert isinstance(stage.app.screen, ZoomScreen)
    return stage.app.screen


async def test_the_flow_follows_until_the_user_scrolls_up_and_resumes_at_the_end() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, CODE * 20, piece=40)])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z")
        assert "following" in stage.text()
        await stage.press(pilot, "pageup")
        await stage.until(pilot, lambda: not zoom(stage).view.follow, "the view let go of its end")
        assert "scrolled back" in stage.text()
        held = zoom(stage).view.scroll_y
        stage.source.add(ev.DeltaArrived(29 * S, "r1", 1, "text", "\nmore\n" * 30))
        await stage.settle(pilot)
        assert zoom(stage).view.scroll_y == held
        await stage.press(pilot, "end")
        await stage.until(pilot, lambda: "more" in stage.text(), "the end of the flow")
        assert zoom(stage).view.follow


async def test_the_raw_tab_says_whether_it_follows_however_narrow() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, CODE * 20, piece=40)])
    async with stage.app.run_test(size=(60, 24)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z", "left", "space")
        await stage.until(pilot, lambda: "scrolled back" in stage.text(), "the view let go of its end")
        await stage.press(pilot, "space")
        await stage.until(pilot, lambda: " following " in stage.text(), "the view follows again")


async def test_space_switches_following_on_and_off() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, CODE * 20, piece=40)])
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z", "space")
        assert "scrolled back" in stage.text()
        await stage.press(pilot, "space")
        assert "following" in stage.text()


async def test_the_flow_keeps_the_history_of_all_attempts() -> None:
    script = (
        Script("r1", "together").start().say(0.5, "first try").end(2.0, "failed", signature="reset", evidence="gone")
    )
    script.start(3.0, "retry").say(4.0, "second try").start(12.0, "nudge").say(13.0, "still here").finish(14.0)
    script.nudged(14.5, "nudge answered, first still silent")
    stage = Stage([script])
    async with stage.app.run_test(size=(100, 40)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z")
        shown = stage.text()
    places = [
        shown.index(part)
        for part in (
            "attempt 1", "first try", "failed, reset: gone", "attempt 2", "second try", "nudge: are you still there?",
            "still here", "nudge answered, first still silent",
        )
    ]  # fmt: skip
    assert places == sorted(places)


async def test_the_flow_keeps_every_turn_of_a_tool_chain() -> None:
    script = Script("r1", "groq").start().call(0.4, "weather", "{}").finish(1.0, "tool_calls")
    script.start(1.1, "turn").say(1.5, "It is 22 degrees.")
    stage = Stage([script], at_s=2.0)
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z")
        shown = stage.text()
    parts = ("attempt 1", "weather {}", "turn 2 · tools run", "It is 22 degrees.")
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)


async def test_the_gaps_tab_lists_stalls_longest_gaps_phases_and_origin() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=(100, 80)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "4", "z", "right")
        shown = stage.text()
    assert "Stalls over 5 s: 2" in shown
    assert "mid-text  never ended" in shown
    assert "Longest gaps of 30" in shown
    assert "TLS" in shown
    assert "0.085 s" in shown
    assert "x-request-id" in shown
    assert "req-7f3a" in shown
    assert "progress" in shown


async def test_the_raw_tab_shows_chunks_with_arrival_gap_and_kind() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z", "left")
        lines = stage.text().splitlines()
    assert any(line.strip().startswith("12.320 s   +0.280 s  text") for line in lines)
    assert any("keepalive" in line and ": ping" in line for line in lines)


async def test_digits_zoom_into_another_run() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z", "3")
        assert zoom(stage).run_id == "r3"
        assert "weather" in stage.text()


async def test_commands_go_to_the_zoomed_run() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "2", "z", "x")
        assert [command.run for command in stage.source.commands] == ["r2"]


async def test_a_tab_can_be_clicked() -> None:
    stage = Stage(showcase())
    async with stage.app.run_test(size=SIZE) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z")
        await pilot.click("#tabs", offset=(8, 0))
        await stage.settle(pilot)
        assert zoom(stage).tab == 1
