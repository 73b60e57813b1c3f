"""What kmon prints for other programs is what it printed before (see ``make.py`` for when to write it anew)."""

from __future__ import annotations

import os

import pytest

from tests.golden.cases import CASES, NEEDS
from tests.golden.make import DATA, made

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CASES)
def test_the_output_for_other_programs_is_as_it_was(name: str) -> None:
    if name in NEEDS and NEEDS[name] not in os.environ:
        pytest.skip(f"{NEEDS[name]} is not set: no recorded streams to compare with")
    before = (DATA / f"{name}.jsonl").read_text().splitlines()
    assert made(name).splitlines() == before, f"where the change is intended: python -m tests.golden.make {name}"
