"""Promises about GitHub Actions: the summary is Markdown that shows text as it is, annotations cannot be forged."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from kmon.errors import UsageError
from kmon.output.github import VARIABLE, append_summary, markdown, summary_path, workflow_commands
from kmon.stats.compare import Verdict, compare
from kmon.stats.outcome import OutcomeName
from kmon.stats.thresholds import Thresholds, decide
from tests.support.seed import KIMI, run


def verdict(outcome: OutcomeName, runs: int, thresholds: Thresholds | None = None, name: str = KIMI.name) -> Verdict:
    trials = [run(replace(KIMI, name=name), n, outcome) for n in range(1, runs + 1)]
    found = compare(trials, [])
    return replace(found, thresholds=decide(thresholds or Thresholds(), found.arms, trials))


def test_annotations_by_the_decision() -> None:
    rate = Thresholds(fail_under=0.95)
    assert workflow_commands(verdict("pass", 59, rate)) == []
    (missed,) = workflow_commands(verdict("http-error", 9, rate))
    (undecided,) = workflow_commands(verdict("pass", 9, rate))
    assert missed.startswith(
        "::error title=bedrock/kimi-k2.5%3A --fail-under::bedrock/kimi-k2.5 passes less than 95 %25"
    )
    assert undecided.startswith("::warning title=")


def test_without_thresholds_a_target_that_failed_is_an_error() -> None:
    assert workflow_commands(verdict("pass", 9)) == []
    (failed,) = workflow_commands(verdict("http-error", 9))
    assert failed.startswith("::error title=bedrock/kimi-k2.5::") and failed.endswith("9 http-error")


def test_text_from_outside_cannot_end_an_annotation_or_begin_another() -> None:
    (command,) = workflow_commands(verdict("http-error", 2, name="a,b:c\n::error::forged\r%0A"))
    assert "\n" not in command and "\r" not in command
    assert command.startswith("::error title=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Aforged%0D%250A::")


def test_the_summary_shows_names_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    append_summary(path, verdict("http-error", 9, Thresholds(fail_under=0.9), name="a|b<img src=x>[c](d)\n# e"))
    text = path.read_text()
    assert text.startswith("before\n### kmon test, measured over ")
    assert "| a\\|b\\<img src=x\\>\\[c\\]\\(d\\) \\# e | 0 %" in text
    assert "- ❌ `--fail-under` missed: " in text
    assert text.count("\n| ") == 2  # the heading and one target


def test_the_decisions_have_their_signs() -> None:
    assert "- ✅ `--max-stall` met: " in markdown(verdict("pass", 9, Thresholds(max_stall_s=5)))
    assert "- ❔ `--fail-under` undecided: " in markdown(verdict("pass", 9, Thresholds(fail_under=0.9)))


def test_outside_of_github_actions_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="works in GitHub Actions only"):
        summary_path({})
    with pytest.raises(UsageError, match="cannot write"):
        summary_path({VARIABLE: str(tmp_path / "missing" / "x")})
    assert summary_path({VARIABLE: str(tmp_path / "x")}) == tmp_path / "x"
