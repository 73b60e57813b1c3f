"""Filter and sort."""

from __future__ import annotations

import pytest

from kmon.stream.state import derive
from kmon.stream.view import RaceView
from kmon.tui.ordering import Seen, key, matches
from tests.support.scripted import S, race, showcase

NOW = 30 * S


@pytest.fixture
def runs() -> list[Seen]:
    view = RaceView()
    for event in race(showcase()):
        if event.t_ns <= NOW:
            view.apply(event)
    return [Seen(run, derive(run, NOW)) for run in view.runs.values()]


def names(runs: list[Seen]) -> list[str]:
    return [seen.run.target for seen in runs]


def ordered(runs: list[Seen], sort: str, now_ns: int) -> list[Seen]:
    return sorted(runs, key=lambda seen: key(seen, sort, now_ns))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stalled", ["together", "openrouter"]),
        ("STALLED open", ["openrouter"]),
        ("kimi-k2p6", ["fireworks"]),
        ("code-tools done", ["groq"]),
        ("no such thing", []),
    ],
)
def test_a_filter_matches_state_target_model_and_scenario(runs: list[Seen], query: str, expected: list[str]) -> None:
    assert names([seen for seen in runs if matches(seen, query)]) == expected


def test_an_empty_filter_shows_all(runs: list[Seen]) -> None:
    assert all(matches(seen, "") for seen in runs)


def test_queued_order_is_kept(runs: list[Seen]) -> None:
    assert names(ordered(runs, "queued order", NOW)) == names(runs)


def test_worst_first_is_the_longest_open_stall_then_what_failed(runs: list[Seen]) -> None:
    assert names(ordered(runs, "worst first", NOW))[:4] == ["openrouter", "together", "nvidia", "mistral"]


def test_longest_gap_first(runs: list[Seen]) -> None:
    assert names(ordered(runs, "longest gap first", NOW))[:3] == ["openrouter", "together", "nvidia"]
