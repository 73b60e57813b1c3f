"""Panes are as wide as can be, tall enough to read, and fill the screen."""

from __future__ import annotations

import pytest

from kmon.tui.grid import MIN_HEIGHT, MIN_WIDTH, Cell, Places, columns_for


def cells(count: int, width: int, height: int) -> list[Cell]:
    places = Places(count, width, height)
    return [places.at(index) for index in range(count)]


@pytest.mark.parametrize(
    ("count", "width", "height", "columns"),
    [
        (2, 80, 21, 1), (4, 80, 21, 2), (8, 80, 21, 2), (2, 200, 57, 2), (4, 200, 57, 2), (5, 200, 57, 3),
        (8, 200, 57, 3), (5, 120, 37, 2), (32, 160, 45, 4), (1, 200, 57, 1), (3, 30, 5, 1),
    ],
)  # fmt: skip
def test_columns(count: int, width: int, height: int, columns: int) -> None:
    assert columns_for(count, width, height) == columns


def test_eight_panes_are_all_visible_at_80x24() -> None:
    places = cells(8, 80, 21)
    assert max(place.y + place.height for place in places) == 21
    assert all(place.height >= MIN_HEIGHT and place.width >= MIN_WIDTH for place in places)


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize(("width", "height"), [(80, 21), (120, 37), (200, 57), (40, 7), (20, 2)])
def test_panes_tile_the_screen(count: int, width: int, height: int) -> None:
    places = cells(count, width, height)
    assert len(places) == count
    bottom = max(place.y + place.height for place in places)
    assert sum(place.width * place.height for place in places) == width * bottom
    assert bottom >= min(height, count * MIN_HEIGHT)
    assert bottom == Places(count, width, height).total_height


def test_no_panes_need_no_places() -> None:
    assert cells(0, 80, 24) == []
