"""Every complaint of the field reports has a command, and the command shows it."""

from __future__ import annotations

import json
import shlex

import pytest

from kmon.catalog.signatures import field_reports, signatures
from kmon.cli import main
from kmon.simulator import profile

pytestmark = pytest.mark.slow

COMMANDS: dict[str, set[str]] = {}
for told in field_reports().values():
    for complaint in told.fault:
        COMMANDS.setdefault(complaint.command, set()).add(complaint.shows)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_shows_what_was_complained_of(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    program, name, *options = shlex.split(command)
    assert (program, name) == ("kmon", "run")
    assert main(["run", *options, "--json"]) in (0, 1)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = {event["signature"] for event in events if event["type"] == "run_ended"}
    assert COMMANDS[command] <= said


@pytest.mark.parametrize("name", field_reports())
def test_each_report_is_a_profile_and_can_be_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = field_reports()[name]
    assert report.profile in profile.built_in()
    assert {complaint.shows for complaint in report.fault} <= set(signatures())
    assert main(["explain", name]) == 0
    said = capsys.readouterr().out
    assert all(complaint.command in said for complaint in report.fault)
