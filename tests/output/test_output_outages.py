"""``kmon test --until-proven`` on the simulator's outages: equal targets stay equal, a true difference is proven."""

from __future__ import annotations

import json
import shlex

import pytest

from kmon.cli import main
from kmon.stats.e_values import ln_e_pairs_differ

pytestmark = pytest.mark.slow


def conclusion_of(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, list[tuple[str, int, bool]]]:
    """The conclusion, and the target, round and success of each run."""
    fixed = shlex.split("--demo --profile outages --scenario minimal --until-proven --count 60 --speed 50 --json")
    assert main(["test", *options, *fixed]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (conclusion,) = (event["conclusion"] for event in events if event["type"] == "verdict")
    runs = [(one["target"], one["round"], one["passed"]) for one in events if one["type"] == "test_outcome"]
    return conclusion, runs


@pytest.mark.parametrize("seed", [8, 32, 48])
def test_equal_outages_prove_nothing_where_counting_rounds_would(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    conclusion, runs = conclusion_of(capsys, "together", "fireworks", "--seed", str(seed))
    assert "proven in 60 rounds" in conclusion and "is proven" not in conclusion.replace("is not proven", "")
    passed = {(target, number): ok for target, number, ok in runs}
    alone, most = {"together": 0, "fireworks": 0}, 0.0
    for number in range(1, 61):
        first, second = passed["together", number], passed["fireworks", number]
        if first != second:
            alone["fireworks" if first else "together"] += 1
        most = max(most, ln_e_pairs_differ(alone["together"], alone["fireworks"]))
    assert most > 3  # e = 20


def test_a_true_difference_is_proven(capsys: pytest.CaptureFixture[str]) -> None:
    conclusion, runs = conclusion_of(capsys, "groq", "moonshot")
    assert conclusion.startswith("groq failed ") and "more often than moonshot" in conclusion
    assert "This is proven after" in conclusion
    assert len(runs) < 2 * 60
