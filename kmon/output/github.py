"""A test in GitHub Actions: a summary of the step in Markdown, and annotations on stdout.

The step's summary is a file that the runner names; annotations are workflow commands, which the runner reads from
stdout. Both are escaped by GitHub's rules, because names and sentences may quote text from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kmon.errors import UsageError
from kmon.format import duration_words
from kmon.output.verdict_text import DECISIONS, failures_of
from kmon.stats.compare import Verdict

VARIABLE = "GITHUB_STEP_SUMMARY"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_SIGNS = {"met": "✅", "missed": "❌", "undecided": "❔"}


def summary_path(env: Mapping[str, str]) -> Path:
    """The file of the step's summary. Raises :class:`UsageError` outside GitHub Actions, or if it cannot be written."""
    name = env.get(VARIABLE)
    if not name:
        raise UsageError(f"--github works in GitHub Actions only, which set {VARIABLE}; leave it out here")
    path = Path(name)
    try:
        with path.open("ab"):
            return path
    except OSError as error:
        raise UsageError(f"cannot write {path}, the summary of the step: {error.strerror}") from None


def append_summary(path: Path, verdict: Verdict) -> None:
    """Append the verdict to the summary of the step. Raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(markdown(verdict))


def markdown(verdict: Verdict) -> str:
    """The verdict as Markdown: a table of the targets, the conclusion, the thresholds."""
    took = f", measured over {duration_words(verdict.duration_s)}" if verdict.duration_s else ""
    lines = [f"### kmon test{took}", "", "| target | pass rate (95 %) | failures |", "|---|---|---|"]
    for arm in verdict.arms:
        lines.append(f"| {_plain(arm.name)} | {_plain(arm.words)} | {_plain(failures_of(arm))} |")
    lines += ["", f"**Conclusion:** {_plain(verdict.conclusion)}", ""]
    for of in verdict.thresholds:
        lines.append(f"- {_SIGNS[of.decision]} `--{of.threshold}` {DECISIONS[of.decision]}: {_plain(of.sentence)}")
    return "\n".join([*lines, "", ""])


def workflow_commands(verdict: Verdict) -> list[str]:
    """A workflow command per threshold that is not met; without thresholds, one per target that failed."""
    found = [
        _command("error" if of.decision == "missed" else "warning", f"{of.name}: --{of.threshold}", of.sentence)
        for of in verdict.thresholds
        if of.decision != "met"
    ]
    if verdict.thresholds:
        return found
    return [
        _command("error", arm.name, f"{arm.name} passes {arm.words}: {failures_of(arm)}")
        for arm in verdict.arms
        if arm.failed
    ]


def _command(level: str, title: str, message: str) -> str:
    escaped = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={escaped}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
