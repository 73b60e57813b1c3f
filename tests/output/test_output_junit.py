"""Promises about the JUnit file: the form that CI reads, hostile text made harmless, and no half-written file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kmon.errors import UsageError
from kmon.output.junit import check_writable, junit, write_whole
from kmon.stats.compare import compare
from kmon.stats.outcome import OutcomeName
from kmon.stats.thresholds import Thresholds, decide
from kmon.stats.trial import Trial
from tests.support.seed import KIMI, NOVA, run

OUTCOMES: tuple[OutcomeName, ...] = ("pass", "hang-mid-stream", "rate-limited", "not-asked", "cut-short", "disturbed")


def document(trials: list[Trial], thresholds: Thresholds | None = None) -> ET.Element:
    verdict = compare(trials, [KIMI, NOVA])
    results = decide(thresholds or Thresholds(), verdict.arms, trials)
    return ET.fromstring(junit(replace(verdict, thresholds=results), trials))


def test_a_suite_per_target_and_a_case_per_run() -> None:
    trials = [run(KIMI, n, outcome) for n, outcome in enumerate(OUTCOMES, 1)] + [run(NOVA, 1)]
    root = document(trials, Thresholds(fail_under=0.99))
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == ["bedrock/kimi-k2.5", "bedrock/nova-pro", "thresholds"]
    kimi = root[0]
    assert {name: kimi.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "1", "errors": "1", "skipped": "3",
    }  # fmt: skip
    assert [case.get("name") for case in kimi.findall("testcase")] == [f"round {n}" for n in range(1, 7)]
    assert kimi.find("testcase/failure").get("type") == "hang-mid-stream"  # type: ignore[union-attr]
    assert kimi.find("testcase[@time='2.000']") is not None
    assert kimi.find("properties/property[@name='pass rate']") is not None
    assert root[2].find("testcase/error").get("type") == "undecided"  # type: ignore[union-attr]
    assert (root.get("tests"), root.get("failures")) == ("9", "2")
    assert "more often" in root.findtext(".//system-out", "")


def test_a_missed_threshold_is_a_failure_and_a_met_one_a_pass() -> None:
    missed = document([run(KIMI, n, "http-error") for n in range(1, 9)], Thresholds(fail_under=0.9))[-1]
    assert (missed.get("failures"), missed.get("errors")) == ("1", "0")
    met = document([run(KIMI, n) for n in range(1, 60)], Thresholds(fail_under=0.95))[-1]
    assert (met.get("tests"), met.get("failures"), met.get("errors")) == ("1", "0", "0")


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    trial = replace(run(replace(KIMI, name=f"x{text}"), 1, "http-error"), sentence=f']]>&<"\x00\x1b{text}\ud800')
    failure = document([trial]).find("testsuite/testcase/failure")
    assert failure is not None and (failure.text or "").startswith(']]>&<"\ufffd\ufffd')


def test_a_test_without_runs_is_an_empty_document() -> None:
    assert document([]).get("tests") == "0"


def test_a_path_that_cannot_be_written_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "x.xml"):
        with pytest.raises(UsageError, match="cannot write"):
            check_writable(path)
    check_writable(tmp_path / "x.xml")
    assert not list(tmp_path.iterdir())


def test_the_file_is_replaced_whole_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.xml").write_text("old")
    (tmp_path / "link.xml").symlink_to(tmp_path / "real.xml")
    check_writable(tmp_path / "link.xml")
    write_whole(tmp_path / "link.xml", b"new")
    assert (tmp_path / "real.xml").read_text() == "new" and (tmp_path / "link.xml").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.xml", "real.xml"]
