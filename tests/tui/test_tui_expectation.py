"""Promises of the screen about silences, learned thresholds, health and alerts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kmon.engine.alert_hooks import AlertHooks
from kmon.stream import events as ev
from kmon.stream.target_events import Alert, ErrorCount, TargetHealth
from tests.support.scripted import S, Script
from tests.support.tui_stage import Stage

ALERT = Alert(
    40 * S, "together", "success-rate", 0.9, 0.95, 30, "together: only 90 % of 30 streams ended well (alert below 95 %)"
)
HEALTH = TargetHealth(40 * S, "together", 30, 27, 0.9, 0, 52.1, (ErrorCount("hang-mid-stream", 3),))


def silent_again() -> list[Script]:
    """Eleven runs that went on after eight seconds of silence, twelve that their timeout ended, and one silent now."""
    scripts = []
    for number in range(23):
        script = Script(f"r{number}", "together", round=number + 1).start().say(0.5, "word", piece=4)
        if number < 11:
            script.say(8.5, "more").finish(8.6)
        else:
            script.end(30.5, "timed-out")
        scripts.append(script)
    return [*scripts, Script("now", "together", round=24).start(31.0).say(31.5, "word")]


async def shown(stage: Stage, size: tuple[int, int], *keys: str) -> str:
    async with stage.app.run_test(size=size) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, *keys)
        return stage.text()


async def test_the_pane_and_the_status_bar_say_how_many_silences_this_long_ended() -> None:
    stage = Stage(silent_again(), at_s=39.0)
    async with stage.app.run_test(size=(150, 40)) as pilot:
        await stage.settle(pilot)
        stage.app.race_screen.focus_run(stage.app.shown.reader.race.runs["now"])
        await stage.settle(pilot)
        rows = stage.text().splitlines()
        status = next(row for row in rows if "claims streaming, silent 7.5 s" in row)
        assert "; 11 of 23 silences this long ended (48 %, 27-69 %)" in status
        assert sum("11 of 23 silences" in row for row in rows) == 2  # and nowhere but in its pane


async def test_too_few_silences_are_no_ground_to_say_anything() -> None:
    stage = Stage(silent_again()[-15:], at_s=39.0)
    assert "silences this long" not in await shown(stage, (150, 40))


async def test_the_threshold_that_was_learned_is_named_where_a_stall_is_open() -> None:
    script = Script("r1", "together").start()
    script.events.append(ev.StallThreshold(0, "r1", 1, "mid-text", 1840.0, 412))
    stage = Stage([script.say(0.5, "word")], at_s=4.0)
    text = await shown(stage, (100, 16))
    assert "▲ STALLED 3.5 s" in text
    assert "stall after 1.8 s mid-text (learned, 412 gaps)" in text
    assert "1.84 s┄" in text


async def test_the_zoom_tells_the_health_of_the_target() -> None:
    stage = Stage([Script("r1", "together").start().say(0.5, "word")], at_s=41.0)
    async with stage.app.run_test(size=(110, 60)) as pilot:
        await stage.settle(pilot)
        stage.source.add(HEALTH)
        await stage.press(pilot, "z", "right")
        await stage.until(pilot, lambda: "Health of together" in stage.text(), "the health")
        assert "90 % of 30 streams ended well; 52.1 chunks per stream; 3 hang-mid-stream" in stage.text()


@pytest.mark.parametrize("board", [False, True])
async def test_an_alert_is_told_and_rings_unasked_and_sets_off_the_program(tmp_path: Path, board: bool) -> None:
    told = tmp_path / "told"
    code = f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read()); sys.exit('broken')"
    alarm = AlertHooks((sys.executable, "-c", code))
    stage = Stage([Script("r1", "together").start()], at_s=41.0, options={"alarm": alarm, "board": board})
    rung: list[bool] = []
    stage.app.bell = lambda: rung.append(True)  # type: ignore[method-assign]
    async with stage.app.run_test(size=(100, 20), notifications=True) as pilot:
        await stage.settle(pilot)
        stage.source.add(ALERT)
        await stage.settle(pilot)
        stage.app.tell()
        assert stage.toasts()[0].startswith(ALERT.sentence)
        assert rung == [True]
        notices = stage.app.shown.reader.race.notices
        await stage.until(pilot, lambda: bool(notices), "the notice of the program's failure")
        assert notices[0].message.endswith("ended with exit code 1: broken")
    assert ALERT.sentence in told.read_text()
