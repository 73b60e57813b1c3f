"""The bench of a long race tells what each process used, of a race that is really drawn."""

from __future__ import annotations

import sys

import pytest

from tests.bench.long_race import Front, windows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("measures"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


@pytest.mark.parametrize("front", ["panes", "board", "json"])
def test_each_front_is_measured_window_by_window(front: str) -> None:
    shown = Front(front, 6, 50.0, "together")
    try:
        told = list(windows(shown, 6, 3))
    finally:
        shown.process.terminate()
        while shown.process.poll() is None:
            shown.read(0.1)
    assert shown.ended == 6
    assert told and all("front end" in line and "ms/round" in line for line in told)
