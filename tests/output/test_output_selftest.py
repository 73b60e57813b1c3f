"""Promises of the self-test: a small matrix of real streams is right, and the rates decide the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.cli import main
from kmon.output.selftest import as_object, matrix, rates
from kmon.output.selftest_bench import Bench, RowResult, run_bench
from kmon.output.selftest_cases import Case, cases

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("measures")]


async def test_every_case_is_called_by_its_name() -> None:
    bench = await run_bench(cases(), seeds=1, speed=8.0, concurrency=128)
    counted = rates(bench.rows)
    assert counted.faults + counted.twins + sum(row.unmeasured for row in bench.rows) == len(cases())
    # What a busy machine disturbs is made again, and left out if it is disturbed each time: it is never called wrong.
    wrong = [row for row in bench.rows if row.right < row.runs]
    assert not wrong, "\n".join(matrix(bench, counted, speed=8.0))


def row(expects: str | None, **said: int) -> RowResult:
    told = {None if name == "nothing" else name.replace("_", "-"): times for name, times in said.items()}
    return RowResult(Case("stall", expects), told, {})


def test_the_rates_count_names_of_faults_and_flags_of_twins() -> None:
    good = rates([row("stall-resumed", stall_resumed=98, nothing=2), row(None, nothing=99, stall_resumed=1)])
    assert (good.right, good.faults, good.flagged, good.twins, good.good) == (98, 100, 1, 100, True)
    assert not rates([row("stall-resumed", stall_resumed=97, nothing=3), row(None, nothing=100)]).good
    assert not rates([row("stall-resumed", stall_resumed=100), row(None, nothing=98, stall_resumed=2)]).good


def test_a_case_that_was_disturbed_nearly_each_time_is_not_told_and_never_flagged() -> None:
    twin = RowResult(Case("padded-stream"), {None: 3}, {}, unmeasured=4)
    fault = row("stall-resumed", stall_resumed=100)
    counted = rates([fault, twin])
    assert (counted.flagged, counted.twins, counted.unmeasured, counted.good) == (0, 3, 1, False)
    lines = matrix(Bench((fault, twin), 900.0, 9), counted, speed=5.0)
    assert any(said.startswith("! padded-stream") and said.endswith("not measured 4") for said in lines)
    assert lines[-1] == "1 case could not be told: this machine is too busy to measure them"
    told = json.loads(as_object(Bench((fault, twin), 900.0, 9), counted))
    assert (told["ok"], told["untold"], told["rows"][1]["unmeasured"]) == (False, 1, 4)
    calm = rates([fault, RowResult(Case("padded-stream"), {None: 4}, {}, unmeasured=4)])
    assert calm.good


def test_the_matrix_marks_wrong_rows_and_says_both_rates() -> None:
    bench = Bench((row("stall-resumed", stall_resumed=1, nothing=1), row(None, nothing=2)), 12.0)
    lines = matrix(bench, rates(bench.rows), speed=5.0)
    assert lines[1].startswith("! stall") and lines[1].endswith("nothing 1") and lines[2].startswith("  stall")
    assert any("1 of 2 faults (50.00%" in line for line in lines)
    assert json.loads(as_object(bench, rates(bench.rows)))["ok"] is False


@pytest.mark.parametrize("flags", [["--seeds", "0"], ["--speed", "0"], ["--speed", "nan"], ["--speed", "21"]])
def test_a_bench_that_could_not_tell_anything_is_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", *flags]) == 2
    assert capsys.readouterr().err.startswith("kmon: --")


def test_the_matrix_is_kept_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bench(*_: object, **__: object) -> Bench:
        return Bench((row("stall-resumed", stall_resumed=1), row(None, nothing=1)), 1.0)

    monkeypatch.setattr("kmon.output.selftest_bench.run_bench", bench)
    assert main(["selftest", "--output", str(tmp_path / "matrix.json")]) == 0
    kept = json.loads((tmp_path / "matrix.json").read_text())
    assert (kept["ok"], [found["said"] for found in kept["rows"]]) == (True, [{"stall-resumed": 1}, {"nothing": 1}])


def test_a_matrix_that_cannot_be_kept_is_printed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def bench(*_: object, **__: object) -> Bench:
        return Bench((row("stall-resumed", stall_resumed=1), row(None, nothing=1)), 1.0)

    monkeypatch.setattr("kmon.output.selftest_bench.run_bench", bench)
    assert main(["selftest", "--json", "--output", "/dev/full"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] is True
    assert said.err == "kmon: --output /dev/full: the result could not be kept (No space left on device)\n"


def test_a_file_that_cannot_be_written_is_refused_before_the_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--output", "/no/such/folder/matrix.json"]) == 2
    assert "--output /no/such/folder/matrix.json: cannot be written" in capsys.readouterr().err


def test_the_numbers_are_listed_and_each_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signatures", "--numbers"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\nF{number:02}  " in listed for number in range(1, 61))
    assert main(["explain", "f20"]) == 0
    assert "kmon run --fault hang-mid-stream | held-until-next | half-open" in capsys.readouterr().out
    assert main(["explain", "F55"]) == 0
    assert "kmon run --fault clock-skew" in capsys.readouterr().out


def test_signatures_lists_all_and_explain_tells_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signatures"]) == 0
    listed = capsys.readouterr().out
    assert "  hang-mid-stream " in listed and "F60" in listed
    assert main(["explain", "hang-mid-stream"]) == 0
    assert "half-open" in capsys.readouterr().out
    assert main(["explain", "hang"]) == 2
    assert "did you mean hang-mid-stream?" in capsys.readouterr().err
