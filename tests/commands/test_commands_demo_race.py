"""What ``--demo``, ``--dialect`` and ``--fault`` show: which targets, asked what, in which dialect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.catalog.load import load_catalog
from kmon.cli import parser_of
from kmon.commands.demo_race import DemoRace, demo_race
from kmon.dialects.registry import dialect
from kmon.engine.selection import RACE_DEMO, TEST_DEMO, Demo
from kmon.errors import UsageError
from kmon.simulator.dialects.registry import server_dialects
from kmon.simulator.faults.registry import FAULTS
from tests.support.cli import kmon

CATALOG = load_catalog()
SIMULATED = [entry.name for entry in server_dialects()]


def shown(*flags: str, demo: Demo = RACE_DEMO) -> DemoRace:
    return demo_race(parser_of("run").parse_args(list(flags)), CATALOG, demo, [])


@pytest.mark.parametrize("demo", [RACE_DEMO, TEST_DEMO], ids=["run", "test"])
@pytest.mark.parametrize("name", SIMULATED)
def test_the_demonstration_is_shown_in_each_dialect(name: str, demo: Demo) -> None:
    race = shown("--demo", "--dialect", name, demo=demo)
    assert [target.name for target in race.targets] == list(demo.targets)
    assert {target.dialect for target in race.targets} == {name}
    (scenario,) = race.scenarios
    assert all(dialect(name).unsupported(target, scenario) is None for target in race.targets)
    assert (race.profile, race.speed, race.timeout_s) == (demo.profile, demo.speed, demo.timeout_s)


def test_without_a_dialect_the_targets_keep_their_own() -> None:
    assert {target.dialect for target in shown("--demo", demo=TEST_DEMO).targets} == {"converse", "chat"}


def test_a_scenario_that_the_dialect_does_not_support_is_replaced_with_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [scenario.name for scenario in shown("--demo", "--dialect", "deepinfra").scenarios] == ["code"]
    assert "the deepinfra dialect does not support the scenario code-tools" in capsys.readouterr().err
    assert [scenario.name for scenario in shown("--demo", "--dialect", "messages").scenarios] == ["code-tools"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", SIMULATED)
def test_a_fault_is_shown_in_each_dialect(name: str) -> None:
    race = shown("--fault", "truncated-no-finish", "--dialect", name)
    assert [target.dialect for target in race.targets] == [name]
    assert race.profile == "smooth"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_shown_in_a_dialect_that_can_have_it_and_refused_in_the_others(fault: str) -> None:
    (target,) = shown("--fault", fault).targets
    sides = {entry.on_socket if FAULTS[fault].carrier == "websocket" else entry for entry in server_dialects()}
    able = {side.name for side in sides if side is not None and FAULTS[fault].needs <= side.traits}
    assert target.dialect in able
    for name in SIMULATED:
        if name in able and FAULTS[fault].carrier == "websocket":
            assert shown("--fault", fault, "--dialect", name).targets[0].base_url.startswith("ws")
        elif name in able:
            assert shown("--fault", fault, "--dialect", name).targets[0].dialect == name
        else:
            with pytest.raises(UsageError, match=f"{name} cannot have the fault {fault}; .* can"):
                shown("--fault", fault, "--dialect", name)


def test_a_race_in_a_dialect_is_run_in_it(tmp_path: Path) -> None:
    done = kmon(
        "run", "--demo", "--dialect", "converse", "--scenario", "minimal", "--speed", "50", "--json", cwd=tmp_path
    )
    queued = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "run_queued"]
    assert {line["dialect"] for line in queued} == {"converse"}
    ended = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "run_ended"]
    assert len(queued) == len(ended) == len(RACE_DEMO.targets)
    assert {line["state"] for line in ended if line["target"] == "groq"} == {"done"}, ended
