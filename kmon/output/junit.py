"""A test as JUnit XML, in the form that Jenkins, GitLab and GitHub's reporters read.

A suite per target and scenario, a case per run: ``failure`` for one that failed, ``error`` for one that this machine
could not send, ``skipped`` for one that counts neither way. A last suite holds the thresholds: ``failure`` for one that
is missed, ``error`` for one that is undecided.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from kmon.errors import UsageError
from kmon.stats.compare import Verdict
from kmon.stats.summary import ArmFigures
from kmon.stats.trial import Arm, Trial

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, not even escaped."""


def junit(verdict: Verdict, trials: Sequence[Trial]) -> bytes:
    """The document, UTF-8. ``trials`` may hold several runs of a round; all of them are shown."""
    root = ET.Element("testsuites", name="kmon test")
    for arm in verdict.arms:
        root.append(_suite(arm, [trial for trial in trials if trial.arm == Arm(arm.target, arm.scenario)]))
    if verdict.thresholds:
        root.append(_thresholds(verdict))
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{verdict.duration_s:.3f}")
    for suite in root[:1]:  # the document has no place of its own for it
        ET.SubElement(suite, "system-out").text = _text(verdict.conclusion)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(arm: ArmFigures, trials: Sequence[Trial]) -> ET.Element:
    suite = ET.Element("testsuite", name=_text(arm.name))
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("pass rate", arm.words),
        ("runs", str(arm.n)),
        ("passes", str(arm.passes)),
        ("rate-limited", str(arm.rate_limited)),
        ("cut short", str(arm.cut_short)),
        ("disturbed", str(arm.disturbed)),
    ):
        ET.SubElement(properties, "property", name=name, value=_text(value))
    for trial in trials:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_text(f"kmon.{arm.name}"),
            name=f"round {trial.round}",
            time=f"{trial.duration_s:.3f}",
        )
        if trial.failed:
            _because(case, "failure", trial.outcome, trial.sentence)
        elif trial.outcome == "not-asked":
            _because(case, "error", trial.outcome, trial.sentence)
        elif not trial.counted:
            ET.SubElement(case, "skipped", message=_text(f"{trial.outcome}: {trial.sentence}"))
    return _counted(suite, sum(trial.duration_s for trial in trials))


def _thresholds(verdict: Verdict) -> ET.Element:
    suite = ET.Element("testsuite", name="thresholds")
    for of in verdict.thresholds:
        case = ET.SubElement(suite, "testcase", classname="kmon.thresholds", name=_text(f"{of.name}: --{of.threshold}"))
        case.set("time", "0")
        if of.decision != "met":
            _because(case, "failure" if of.decision == "missed" else "error", of.decision, of.sentence)
    return _counted(suite, 0.0)


def _because(case: ET.Element, element: str, kind: str, sentence: str) -> None:
    ET.SubElement(case, element, message=_text(sentence), type=kind).text = _text(sentence)


def _counted(suite: ET.Element, time_s: float) -> ET.Element:
    """The suite with the numbers of its cases, which readers show without looking at the cases."""
    for name, found in (
        ("tests", "testcase"),
        ("failures", "testcase/failure"),
        ("errors", "testcase/error"),
        ("skipped", "testcase/skipped"),
    ):
        suite.set(name, str(len(suite.findall(found))))
    suite.set("time", f"{time_s:.3f}")
    return suite


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def check_writable(path: Path) -> None:
    """Raise :class:`UsageError` if a file cannot be written there; nothing is left behind."""
    if path.exists() and not path.is_file():
        raise UsageError(f"cannot write {path}: it is not a regular file")
    try:
        draft = _draft(path)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        draft.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write the file, or leave what is there: a reader sees no half of it. Raises OSError."""
    draft = _draft(path)
    try:
        draft.write_bytes(data)
        draft.replace(path.resolve())
    finally:
        draft.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    return path.resolve().with_name(f".{path.name}.{secrets.token_hex(4)}")
