"""Pictures of the screen that a person has looked at. ``pytest --snapshot-update`` takes them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from kmon.format import TextLine
from kmon.stream.events import RaceEnded
from tests.support.board_scripts import board_plan, board_scripts
from tests.support.isolation_stage import CAUSE, isolation_stage, painted
from tests.support.scripted import S, showcase, stuck
from tests.support.tui_stage import Stage

Compare = Callable[..., bool]
BOARD: dict[str, Any] = {"plan": board_plan(), "board": True}


def compare(snap_compare: Compare, stage: Stage, size: tuple[int, int], *keys: str) -> bool:
    async def arrange(pilot: Pilot[Any]) -> None:
        await stage.settle(pilot)
        await stage.press(pilot, *keys)

    return snap_compare(stage.app, terminal_size=size, run_before=arrange)


def board(**options: object) -> Stage:
    return Stage(board_scripts(), at_s=66.3, options={**BOARD, **options})


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_race_dark(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert compare(snap_compare, Stage(showcase()), size)


def test_race_light(snap_compare: Compare) -> None:
    assert compare(snap_compare, Stage(showcase(), options={"theme": "kmon-light"}), (120, 40))


def test_race_ascii(snap_compare: Compare) -> None:
    assert compare(snap_compare, Stage(showcase()[:4], options={"ascii": True}), (80, 24))


def test_race_without_colour(snap_compare: Compare) -> None:
    assert compare(snap_compare, Stage(showcase()[:4], plain=True), (80, 24))


@pytest.mark.parametrize("keys", [("1", "z"), ("1", "z", "right"), ("1", "z", "left")], ids=["flow", "gaps", "raw"])
def test_zoom(snap_compare: Compare, keys: tuple[str, ...]) -> None:
    assert compare(snap_compare, Stage(showcase()), (100, 36), *keys)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_board_dark(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert compare(snap_compare, board(), size)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_stuck_chat(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert compare(snap_compare, Stage(stuck(), at_s=16.0), size, "2")


def test_stuck_chat_light(snap_compare: Compare) -> None:
    assert compare(snap_compare, Stage(stuck(), at_s=16.0, options={"theme": "kmon-light"}), (120, 40), "2")


@pytest.mark.parametrize("keys", [("2", "z"), ("2", "z", "right")], ids=["flow", "gaps"])
def test_stuck_chat_zoomed(snap_compare: Compare, keys: tuple[str, ...]) -> None:
    assert compare(snap_compare, Stage(stuck(), at_s=16.0), (100, 36), *keys)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_isolation_dark(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert compare(snap_compare, isolation_stage(painted()), size)


def test_isolation_light(snap_compare: Compare) -> None:
    assert compare(snap_compare, isolation_stage(painted(found=CAUSE), theme="kmon-light"), (120, 40), "down")


def test_isolation_ascii(snap_compare: Compare) -> None:
    assert compare(snap_compare, isolation_stage(painted(), ascii=True), (80, 24))


def test_board_light(snap_compare: Compare) -> None:
    assert compare(snap_compare, board(theme="kmon-light"), (80, 24), "left")


def test_board_ascii(snap_compare: Compare) -> None:
    assert compare(snap_compare, board(ascii=True), (80, 24))


def test_board_concluded(snap_compare: Compare) -> None:
    lines = [
        TextLine("target  pass rate (95 %)", table=True),
        TextLine("kimi    60 % (26-88 %), 10 runs", table=True),
        TextLine(""),
        TextLine("Conclusion: " + "kimi fails more often; " * 6),
    ]
    stage = Stage(board_scripts(10, open_round=False), at_s=110.0, options={**BOARD, "conclude": lambda _race: lines})

    async def arrange(pilot: Pilot[Any]) -> None:
        await stage.settle(pilot)
        stage.source.add(RaceEnded(105 * S, 36, 4, 105_000.0))
        await stage.settle(pilot)
        await stage.press(pilot, "2", "home", "right", "right")

    assert snap_compare(stage.app, terminal_size=(80, 24), run_before=arrange)


def test_help(snap_compare: Compare) -> None:
    assert compare(snap_compare, Stage(showcase()), (100, 96), "question_mark")


def test_plan(snap_compare: Compare) -> None:
    notes = {"together": "TOGETHER_API_KEY in .env", "fireworks": "FIREWORKS_API_KEY in the environment"}
    stage = Stage(showcase()[:2], options={"start_now": False, "key_notes": notes})
    assert compare(snap_compare, stage, (80, 24))
