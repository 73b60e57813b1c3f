"""Promises about the flags of ``kmon test``: what is refused before anything is sent, and what comes of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kmon.commands.flags import duration_s
from tests.support.cli import kmon

DEMO = ("test", "--demo", "groq", "--profile", "smooth", "--scenario", "minimal", "--speed", "20", "--no-tui")
PAIR = ("test", "groq", "together", *DEMO[1:2], *DEMO[3:])


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21_600), ("90m", 5_400), ("1h30m", 5_400), ("45s", 45), ("0.5h", 1_800), ("2m1s", 121)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--over", "6"), "'6' is no duration; write"),
        (("--over", "h"), "'h' is no duration"),
        (("--over", "0s"), "--over must be above 0 s"),
        (("--over", "9999h"), "at most 720h"),
        (("--over", "1h", "--spacing", "3"), "not allowed with argument"),
        (("--save", "a", "--resume", "b"), "not allowed with argument"),
        (("--resume", "missing"), "there is no file missing to resume"),
        (("--save", "missing/file"), "cannot write missing/file"),
        (("--junit", "missing/file.xml"), "cannot write missing/file.xml"),
        (("--junit", "."), "it is not a regular file"),
        (("--github",), "--github works in GitHub Actions only"),
        (("--github", "--json"), "annotations between the lines of --json"),
        (("--pass-max-gap", "-1"), "--pass-max-gap must be from 0"),
        (("--fail-under", "2"), "--fail-under must be from 0 to 1"),
        (("--suspect", "grok"), "--suspect grok: no such target is raced here; did you mean groq?"),
        (("--suspect", "groq"), "--suspect groq needs at least one control beside it"),
        (("--suspect", "groq", "--control", "groq"), "groq cannot be the suspect and a control"),
        (("--until-proven", "--pass-rate", "0.99"), "to prove this may take 777 rounds; give --count 777 if"),
        (("--control", "groq"), "--control groq needs --suspect"),
        (
            ("--until-proven", "--pass-rate", "0.95", "--count", "2"),
            "a pass rate of 95 % kept or missed; give --count 4",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    done = kmon(*DEMO, *flags, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("a")) and not list(tmp_path.glob("*.xml"))


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--fail-under", "0.3", "--count", "3"), 0),
        (("--fail-under", "0.99", "--count", "3"), 4),
        (("--fail-under", "0.99", "--count", "3", "--fault", "truncated-no-finish"), 1),
        (("--max-ttft", "5", "--count", "1"), 0),
        (("--max-ttft", "0", "--count", "1"), 1),
    ],
)
def test_the_exit_code_tells_met_missed_and_undecided(tmp_path: Path, flags: tuple[str, ...], code: int) -> None:
    assert kmon(*DEMO, *flags, cwd=tmp_path).returncode == code


def test_the_plan_says_what_passes_and_what_it_cannot_decide(tmp_path: Path) -> None:
    told = kmon(
        *DEMO, "--fail-under", "0.95", "--count", "2", "--pass-max-gap", "7", "--over", "2s", cwd=tmp_path
    ).stderr
    assert "no later silence over 7 s" in told
    assert "2 runs per target may miss --fail-under 0.95, but can never meet it" in told
    assert "2 rounds over 2 s, one about every 1 s" in told
    free = kmon(*DEMO, "--count", "1", "--pass-max-gap", "0", "--pass-ttft", "0", cwd=tmp_path).stderr
    assert "a run passes: right answer, however long it takes" in free


def test_a_test_is_saved_continued_and_reported(tmp_path: Path) -> None:
    kept = (*DEMO, "--fail-under", "0.5", "--count", "2")
    first = kmon(*kept, "--save", "t.jsonl", cwd=tmp_path)
    assert (first.returncode, "2 of 2 passed" in first.stdout) == (4, True)
    again = kmon(*kept, "--save", "t.jsonl", cwd=tmp_path)
    assert again.returncode == 2 and "go on with it by --resume t.jsonl" in again.stderr
    more = kmon(*DEMO, "--fail-under", "0.5", "--count", "12", "--resume", "t.jsonl", "--junit", "t.xml", cwd=tmp_path)
    assert "goes on after 2 rounds of an earlier test" in more.stderr
    assert "Test 14: " in more.stdout and "Test  2: " not in more.stdout
    assert more.returncode == 0 and "14 of 14 passed" in more.stdout
    suite = ET.parse(tmp_path / "t.xml").getroot()[0]
    assert suite.get("tests") == "14"
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines[1:]] == list(range(1, 15))
    other = kmon(*DEMO, "--pass-max-gap", "3", "--resume", "t.jsonl", cwd=tmp_path)
    assert other.returncode == 2 and "is the test of another plan: scenario minimal changed" in other.stderr


def test_the_output_of_json_can_be_continued(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(kmon(*DEMO, "--count", "2", "--json", cwd=tmp_path).stdout)
    done = kmon(*DEMO, "--count", "1", "--resume", "t.jsonl", "--json", cwd=tmp_path)
    arms = [json.loads(line)["arms"] for line in done.stdout.splitlines() if '"type":"verdict"' in line]
    assert done.returncode == 0 and arms[0][0]["n"] == 3


def test_github_gets_a_summary_and_annotations(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    done = kmon(*DEMO, "--count", "2", "--fail-under", "0.9", "--github", cwd=tmp_path, env=env)
    assert done.returncode == 4
    assert done.stdout.splitlines()[-1].startswith("::warning title=groq%3A --fail-under::groq: ")
    assert summary.read_text().startswith("### kmon test")


def test_a_plan_says_what_its_rounds_can_prove(tmp_path: Path) -> None:
    done = kmon(*PAIR, "--count", "2", "--json", cwd=tmp_path)
    assert "kmon: 2 rounds x 2 targets: too few to prove a difference, which takes 6 failures" in done.stderr
    (plan,) = (event for event in map(json.loads, done.stdout.splitlines()) if event["type"] == "test_plan")
    assert (plan["rounds"], plan["question"]) == (2, None)
    assert plan["budget"]["least_rounds"] == 11 and plan["budget"]["rounds_for_power"] == 30


def test_a_declared_question_is_in_the_plan_and_in_the_verdict(tmp_path: Path) -> None:
    targets = ("test", "together@control", *PAIR[1:], "--count", "1", "--json")
    done = kmon(*targets, "--suspect", "groq", "--control", "together", cwd=tmp_path)
    assert "kmon: the question: does groq fail as often as together?" in done.stderr
    (verdict,) = (event for event in map(json.loads, done.stdout.splitlines()) if event["type"] == "verdict")
    assert verdict["question"] == {"suspect": "groq", "controls": ["together"]}
    assert [pair["asked"] for pair in verdict["comparisons"]] == [False, False, True]
    done = kmon(*targets, cwd=tmp_path)  # the target whose control is raced is the suspect
    assert "does together fail as often as together@control and groq?" in done.stderr


def test_a_question_cannot_be_changed_after_a_look(tmp_path: Path) -> None:
    asked = (*PAIR, "--count", "1")
    assert kmon(*asked, "--save", "t.jsonl", cwd=tmp_path).returncode == 0
    done = kmon(*asked, "--resume", "t.jsonl", "--suspect", "groq", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is the test of another plan: question is new" in done.stderr


def test_a_suspect_and_its_controls_are_raced_without_naming_them_again(tmp_path: Path) -> None:
    done = kmon("test", "--suspect", "nobody-knows", "--control", "groq", "--no-tui", cwd=tmp_path)
    assert done.returncode == 2 and "there is no target 'nobody-knows'" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--count", "10"), "10 rounds can never prove a difference, which takes 6 failures of one target"),
        (("--max-requests", "50"), "this would send 60 requests, more than --max-requests 50"),
    ],
)
def test_what_can_prove_nothing_is_refused(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    done = kmon(*PAIR, "--until-proven", *flags, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_a_test_until_proven_gets_the_rounds_it_needs(tmp_path: Path) -> None:
    done = kmon(*PAIR, "--until-proven", "--json", cwd=tmp_path)
    (plan,) = (event for event in map(json.loads, done.stdout.splitlines()) if event["type"] == "test_plan")
    assert plan["rounds"] == plan["budget"]["rounds_for_power"] > 10
    assert plan["budget"]["watched"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rounds", "said"), [("10", "This is not proven: chance alone may explain it"), ("35", "This is proven (p = ")]
)
def test_the_field_report_ends_in_what_its_rounds_can_prove(tmp_path: Path, rounds: str, said: str) -> None:
    """With ten rounds as in the report, and with as many as the plan recommends."""
    done = kmon("test", "--demo", "--count", rounds, "--speed", "20", "--json", cwd=tmp_path)
    assert ("with --count 35" in done.stderr) == (rounds == "10")
    (verdict,) = (event for event in map(json.loads, done.stdout.splitlines()) if event["type"] == "verdict")
    told = verdict["conclusion"]
    assert told.startswith("bedrock/kimi-k2.5 failed ")
    assert said in told
    assert ("how this provider serves this model, or the dialect" in told) == (rounds == "35")
