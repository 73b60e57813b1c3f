"""Rules may be about a dialect, and a fault that a dialect cannot have is never forced upon it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.errors import UsageError
from kmon.simulator.profile import Facts, Profile, load


def written(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load(str(path))


def fault(profile: Profile, dialect: str) -> str:
    asked = Facts("p", "m", tools=False, tool_result=False, nudge=False, dialect=dialect)
    return profile.fault(asked, seed=1, turn=1).name


def test_a_rule_may_name_a_dialect(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\ndialect = "messages"\nfault = "no-headers"\n')
    assert fault(profile, "messages") == "no-headers"
    assert fault(profile, "chat") == fault(profile, "converse") == "smooth"


def test_a_rule_passes_dialects_by_that_cannot_have_its_fault(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\nfault = "crc-error"\n\n[[rule]]\nfault = "keepalives-only"\n')
    assert fault(profile, "converse") == "crc-error"
    assert fault(profile, "chat") == fault(profile, "deepinfra") == "keepalives-only"


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('[[rule]]\ndialect = "converse"\nfault = "json-200"', 3, "converse cannot have the fault json-200"),
        ('[[rule]]\ndialect = "chat"\nfault = "half-frame"', 3, "chat cannot have the fault half-frame; converse can"),
        ('[[rule]]\ndialect = "smoke"\nfault = "stall"', 2, "rule[0].dialect"),
        ('[[rule]]\nfault = "exception-frame"\nexception = "oops"', 3, "rule[0].exception"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, line: int, part: str) -> None:
    with pytest.raises(UsageError) as refused:
        written(tmp_path, text)
    assert f"mine.toml line {line}" in str(refused.value)
    assert part in str(refused.value)
