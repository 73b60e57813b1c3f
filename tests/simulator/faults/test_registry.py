"""A fault is one class in the folder of the faults; everything else finds it by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from kmon.catalog import signatures as catalog
from kmon.catalog.signatures import beyond, signatures
from kmon.cli import main
from kmon.output.selftest_bench import run_cases
from kmon.output.selftest_cases import cases
from kmon.probe.send import Shared
from kmon.simulator import profile
from kmon.simulator.faults.base import Fault, Setting, TokensSpan, tokens_in
from kmon.simulator.faults.registry import FAULTS, FaultError, from_header, from_model, registered
from kmon.simulator.faults.silences import MidStreamStall
from kmon.simulator.script import EndBody, Script, split
from kmon.simulator.server import Simulator

SIGNATURE = "truncated-no-finish"


class ToyEnding(Fault, frozen=True, tag="toy-ending"):
    """The body ends after some tokens."""

    after_tokens: TokensSpan = 3

    def script(self, script: Script, setting: Setting) -> Script:
        return (*split(script, tokens_in(self.after_tokens, setting.rng))[0], EndBody())


class HealthyToy(Fault, frozen=True, tag="toy-twin"):
    """Nothing changes."""

    healthy: ClassVar[bool] = True


@pytest.fixture
def toy() -> Iterator[None]:
    with registered(ToyEnding):
        yield


@pytest.fixture
def toy_signature(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The signatures as data, with the toy as one more fault of one of them."""
    source = catalog._source()
    table = source.table["signatures"][SIGNATURE]
    changed = {**source.table["signatures"], SIGNATURE: {**table, "faults": [*table["faults"], "toy-ending"]}}
    extended = replace(source, table={**source.table, "signatures": changed})
    monkeypatch.setattr(catalog, "_source", lambda: extended)
    for cached in (catalog.signatures, catalog.coverage):
        cached.cache_clear()
    yield
    for cached in (catalog.signatures, catalog.coverage):
        cached.cache_clear()


def test_every_fault_is_healthy_or_named_by_a_signature() -> None:
    named = {fault for text in (*signatures().values(), *beyond()) for fault in text.faults}
    assert {name for name, fault in FAULTS.items() if not fault.healthy} <= named
    by_signature = {fault for text in signatures().values() for fault in text.faults}
    assert not {name for name, fault in FAULTS.items() if fault.healthy} & by_signature


def test_every_fault_says_what_it_does_and_has_a_case_in_the_self_test() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())
    assert set(FAULTS) == {case.fault.partition(":")[0] for case in cases()} - {f"({case.place})" for case in cases()}


def test_a_new_fault_is_found_by_header_and_model_only_while_it_is_registered() -> None:
    with registered(ToyEnding):
        assert from_header("toy-ending:after_tokens=1..2") == ToyEnding(after_tokens=(1, 2))
        assert from_model("sim/Toy-Ending") == ToyEnding()
    assert from_model("sim/toy-ending") is None
    with pytest.raises(FaultError, match="unknown fault 'toy-ending'; the faults are "):
        from_header("toy-ending")


def test_a_name_cannot_be_taken_twice() -> None:
    class Again(MidStreamStall, frozen=True, tag="stall"):
        """Another fault of the same name."""

    with pytest.raises(ValueError, match="there is a fault 'stall' already"), registered(Again):
        pass
    assert FAULTS["stall"] is MidStreamStall


@pytest.mark.usefixtures("toy")
async def test_a_new_fault_works_in_a_profile_and_listed(
    tmp_path: Path, http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    file = tmp_path / "toy.toml"
    file.write_text('[[rule]]\nprovider = "acme"\nfault = "toy-ending"\nafter_tokens = 2\n')
    async with Simulator(profile.load(str(file)), speed=200.0) as sim:
        answers = [
            (await http.post(f"{sim.base_url(provider)}/chat/completions", json=body)).text
            for provider in ("acme", "other")
        ]
        assert [answer.endswith("data: [DONE]\n\n") for answer in answers] == [False, True]
        assert sim.request_log.newest[0].fault == "toy-ending"
        listed = (await http.get(f"{sim.origin}/v1/models")).json()["data"]
        assert "sim/toy-ending" in {model["id"] for model in listed}


@pytest.mark.usefixtures("toy", "toy_signature")
async def test_a_new_fault_gets_a_case_in_the_self_test() -> None:
    with registered(HealthyToy):
        toys = [case for case in cases() if case.fault.startswith("toy-")]
        assert [(case.fault, case.expects) for case in toys] == [("toy-ending", SIGNATURE), ("toy-twin", None)]
        async with Simulator(profile.load("smooth"), speed=8.0) as sim:
            bench = await run_cases(toys, {"": sim.origin}, Shared(), seeds=1, speed=8.0, concurrency=2)
    assert [row.right for row in bench.rows] == [1, 1]


@pytest.mark.usefixtures("toy")
def test_a_fault_without_signature_is_said_so() -> None:
    with pytest.raises(LookupError, match="no signature names the fault 'toy-ending'"):
        cases()


@pytest.mark.usefixtures("toy", "toy_signature")
def test_a_new_fault_is_shown_with_its_signature(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", SIGNATURE]) == 0
    assert "toy-ending" in capsys.readouterr().out
