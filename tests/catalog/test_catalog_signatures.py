"""Promises about the signatures as data: complete, true to the code, and each with a way to see it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from typing import get_args

import pytest

from kmon.catalog import signatures as names_of_failures
from kmon.catalog.signatures import NUMBERS, beyond, coverage, signature_text, signatures
from kmon.errors import UsageError
from kmon.findings import content, endings, signature, silence, tool_call, usage
from kmon.findings import websocket as socket_faults
from kmon.output.selftest_cases import cases
from kmon.simulator.endpoints import PLACES
from kmon.simulator.faults.registry import FAULTS
from kmon.stream.events import Ending
from kmon.stream.stall import StallPhase

DECIDING = (endings, names_of_failures, content, signature, silence, socket_faults, tool_call, usage)
KEBAB = re.compile(r"[a-z]+(?:-[a-z]+)+\Z")
OTHER_WORDS = {*get_args(Ending), *get_args(StallPhase), "in-stream", "utf-8", "keep-alive", *socket_faults.REFUSALS}


def decided() -> set[str]:
    """Every kebab-case word in the modules that decide: signatures, and a few words that are known to be none."""
    words: set[str] = set()
    for module in DECIDING:
        tree = ast.parse(inspect.getsource(importlib.import_module(module.__name__)))
        words |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {word for word in words if KEBAB.match(word)} - OTHER_WORDS


def test_every_signature_the_code_can_give_is_in_the_data_and_the_other_way_round() -> None:
    assert decided() == set(signatures())


def test_the_fault_list_is_60_numbers_and_none_beside_them() -> None:
    named = {number for text in signatures().values() for number in text.f}
    named |= {number for left_out in beyond() for number in left_out.f}
    assert named == set(NUMBERS) == set(coverage())


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_has_a_signature_and_a_fault_that_shows_it_or_says_why_not(number: str) -> None:
    covered = coverage()[number]
    assert (covered.signatures and covered.faults) or covered.why
    faults, places = {f for f in covered.faults if f[0] != "("}, {f[1:-1] for f in covered.faults if f[0] == "("}
    assert faults <= set(FAULTS) and places <= set(PLACES)
    tested = {case.fault.partition(":")[0] for case in cases()}
    assert set(covered.faults) <= tested


@pytest.mark.parametrize("name", signatures())
def test_what_a_signature_can_be_seen_with_exists_and_is_tested(name: str) -> None:
    text = signatures()[name]
    tested = {(case.fault.partition(":")[0], case.expects) for case in cases()}
    assert {(fault, name) for fault in text.faults} - tested <= {("stall", name)}
    assert {(twin, None) for twin in text.twins} <= tested
    assert {fault for fault in (*text.faults, *text.twins) if not fault.startswith("(")} <= set(FAULTS)
    assert text.faults or text.unsimulated


def test_every_case_expects_a_signature_that_exists() -> None:
    assert {case.expects for case in cases()} - {None} <= set(signatures())


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*keep-alives-only"):
        signature_text("keepalive-only")
