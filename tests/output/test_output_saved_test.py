"""Promises about the file of a test: what is read back is what was measured, and another plan is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kmon.engine.fingerprint import differences, fingerprint, parts_of
from kmon.engine.plan import RacePlan, Row
from kmon.errors import UsageError
from kmon.model import PassLimits
from kmon.output.experiment import Design, Experiment, completed
from kmon.output.saved_test import TestFile, read_saved
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.trial import Arm, Trial
from tests.support.ended import ended, failed, scenario
from tests.support.seed import KIMI, NOVA, run

TOKYO = scenario("tool-result")


def plan(*targets: str, **changes: object) -> RacePlan:
    rows = tuple(Row(replace(KIMI, name=name), TOKYO) for name in targets or (KIMI.name,))
    return replace(RacePlan(rows=rows, nonce=True), **changes)


def saved_by(race: RacePlan, path: Path, rounds: int) -> Experiment:
    file = TestFile(path)
    experiment = Experiment(race, Design(), file=file)
    experiment.begin()
    for number in range(1, rounds + 1):
        experiment.add(ended(round=number) if number % 2 else failed("reset", round=number))
    file.close()
    return experiment


def test_what_is_read_is_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    experiment = saved_by(plan(), path, 4)
    saved = read_saved(path, plan())
    assert list(saved.trials) == experiment.trials and not saved.note
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert [line["type"] for line in lines] == ["test_plan", *["test_outcome"] * 4]
    assert lines[0]["fingerprint"] == fingerprint(parts_of(plan()))


def test_a_continued_test_appends_and_can_be_continued_again(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    saved_by(plan(), path, 2)
    for more in (3, 4):
        saved = read_saved(path, plan())
        file = TestFile(path, saved)
        experiment = Experiment(plan(), Design(earlier=tuple(saved.trials)), file=file)
        experiment.begin()
        experiment.add(ended(round=more))
        file.close()
        assert len(experiment.trials) == more
    assert [trial.round for trial in read_saved(path, plan()).trials] == [1, 2, 3, 4]


def test_a_race_that_is_begun_again_drops_its_own_runs_only(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    saved_by(plan(), path, 2)
    saved = read_saved(path, plan())
    file = TestFile(path, saved)
    experiment = Experiment(plan(), Design(earlier=tuple(saved.trials)), file=file)
    experiment.begin()
    experiment.add(failed("reset", round=3))
    experiment.begin()
    experiment.add(ended(round=3))
    file.close()
    again = read_saved(path, plan())
    assert [trial.round for trial in again.trials] == [1, 2, 3] and again.trials[-1].outcome == "pass"


@pytest.mark.parametrize(
    "damage", [b'{"type":"test_outcome","run":"r5.1","tar', b"\xff\xfe", b'{"type":"test_outcome"}']
)
def test_a_damaged_last_line_is_left_out_and_told_and_never_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "t.jsonl"
    saved_by(plan(), path, 4)
    with path.open("ab") as file:
        file.write(damage)
    saved = read_saved(path, plan())
    assert len(saved.trials) == 4 and "last line of" in saved.note
    TestFile(path, saved).close()
    assert not read_saved(path, plan()).note


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    saved_by(plan(), path, 4)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{broken\n", *lines[2:]]))
    with pytest.raises(UsageError, match="line 3: this is no line of a test"):
        read_saved(path, plan())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (plan("bedrock/kimi-k2.5", "b"), "target b is new"),
        (plan("b"), "target b is new and target bedrock/kimi-k2.5 is missing"),
        (plan(nonce=False), "prompts was each unique and is the same"),
        (plan(rows=(Row(replace(KIMI, model="other"), TOKYO),)), "target bedrock/kimi-k2.5 changed"),
        (plan(rows=(Row(KIMI, replace(TOKYO, limits=PassLimits())),)), "scenario tool-result changed"),
        (plan(policy=replace(plan().policy, timeout_s=7)), "time limit was 300 s and is 7 s"),
    ],
)
def test_another_plan_is_refused_and_what_differs_is_said(tmp_path: Path, other: RacePlan, said: str) -> None:
    path = tmp_path / "t.jsonl"
    saved_by(plan(), path, 1)
    with pytest.raises(UsageError, match="is the test of another plan") as refused:
        read_saved(path, other)
    assert said in str(refused.value)


def test_rounds_pace_and_seed_do_not_make_another_plan() -> None:
    same = plan(rounds=99, spacing_s=5.0, order_seed=7, first_round=11, concurrency=2)
    assert differences(parts_of(plan()), parts_of(same)) == ""
    assert fingerprint(parts_of(plan())) == fingerprint(parts_of(same))


def test_the_port_of_the_simulator_does_not_make_another_plan() -> None:
    one, two = (
        plan(rows=(Row(replace(KIMI, base_url=f"http://127.0.0.1:{port}/v1", simulated=True), TOKYO),), simulated=True)
        for port in (1_234, 5_678)
    )
    assert fingerprint(parts_of(one)) == fingerprint(parts_of(two)) != fingerprint(parts_of(plan()))


def test_files_that_are_no_test_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_saved(tmp_path / "none", plan())
    with pytest.raises(UsageError, match="not a regular file"):
        read_saved(tmp_path, plan())
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no test"):
        read_saved(tmp_path / "empty", plan())
    with pytest.raises(UsageError, match=r"exists; go on with it by --resume"):
        TestFile(tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot write"):
        TestFile(tmp_path / "missing" / "t")


def test_a_file_of_a_test_that_never_began_is_removed(tmp_path: Path) -> None:
    TestFile(tmp_path / "t").close()
    assert not (tmp_path / "t").exists()


def test_a_continued_test_is_judged_by_evidence_that_may_be_watched() -> None:
    arms = [replace(KIMI, name="a"), replace(KIMI, name="b", provider="other")]
    race = RacePlan(rows=tuple(Row(arm, TOKYO) for arm in arms))
    earlier = [run(arm, n, "http-error" if arm.name == "a" else "pass") for n in range(1, 13) for arm in arms]
    cells = [(row.target, row.scenario) for row in race.rows]
    design = Design(earlier=tuple(earlier), new_watch=lambda: SequentialTest(cells), stops=False)
    experiment = Experiment(race, design)
    alone = SequentialTest(cells)
    for trial in earlier:
        alone.add(trial)
    assert (experiment.verdict().watched, experiment.verdict().conclusion) == (
        True,
        f"{alone.summary()}. A test of 2 s says nothing about other hours",
    )
    assert experiment.enough() is None


def test_one_target_continued_without_a_rate_says_that_its_interval_is_too_narrow() -> None:
    experiment = Experiment(plan(), Design(earlier=(run(KIMI, 1), run(KIMI, 2))))
    assert experiment.verdict().conclusion.endswith("its interval does not allow for that")
    assert experiment.verdict().watched


def test_rounds_that_were_not_finished_do_not_hold_up_those_after_them() -> None:
    trials = [run(KIMI, 1), run(NOVA, 1), run(KIMI, 2), run(KIMI, 3), run(NOVA, 3)]
    whole = list(completed(trials, [Arm(of.name, "tool-result") for of in (KIMI, NOVA)]))
    assert [(trial.target, trial.round) for trial in whole] == [
        (of.name, number) for number in (1, 2, 3) for of in (KIMI, NOVA)
    ]
    assert isinstance(whole[3], Trial) and whole[3].outcome == "cancelled"
