"""Each dialect of the simulator is asked, decoded and replayed. A new dialect is tried here by itself."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from kmon.dialects.registry import http_dialect
from kmon.findings.recorded import decode
from kmon.output.selftest_bench import run_cases
from kmon.output.selftest_cases import Case
from kmon.probe.send import Shared
from kmon.recording import load
from kmon.recording.decode import Decoded, decodable
from kmon.simulator import profile
from kmon.simulator.dialects.registry import server_dialects
from kmon.simulator.replay import replay_scripts, replay_targets
from kmon.simulator.server import Simulator
from kmon.simulator.wire import ServerDialect
from tests.support.simulated_streams import CALL, WORDS, body

each_dialect = pytest.mark.parametrize("side", [pytest.param(side, id=side.name) for side in server_dialects()])


def decoded(folder: Path, data: bytes) -> Decoded:
    file = folder / "x.body"
    file.write_bytes(data)
    (interaction,) = load(file)
    assert decodable(interaction)
    return decode(str(file), interaction)


@each_dialect
def test_a_recorded_body_is_decoded(side: ServerDialect, tmp_path: Path) -> None:
    got = decoded(tmp_path, body(side))
    assert (got.dialect, got.text, got.done, got.error) == (side.name, "".join(WORDS), True, None)
    assert got.finish_reason
    assert got.signature is None


@each_dialect
def test_a_body_without_its_end_is_truncated(side: ServerDialect, tmp_path: Path) -> None:
    data = body(side)
    got = decoded(tmp_path, data[: len(data) // 2])
    assert (got.dialect, got.done) == (side.name, False)
    assert got.signature is not None


@each_dialect
def test_a_recorded_call_is_decoded(side: ServerDialect, tmp_path: Path) -> None:
    if "tools" in side.traits:
        (call,) = decoded(tmp_path, body(side, *CALL)).tool_calls
        assert (call.name, call.arguments) == ("get_weather", '{"city":"Oslo"}')


@each_dialect
async def test_a_recorded_body_is_replayed_byte_for_byte(side: ServerDialect, tmp_path: Path) -> None:
    file = tmp_path / "x.body"
    file.write_bytes(body(side))
    files = {str(file): load(file)}
    async with Simulator(profile.load("smooth"), replays=replay_scripts(files, speed=100)) as server:
        ((target, scenario),) = replay_targets(files, server.origin)
        assert target.dialect == side.name
        spoken = http_dialect(side.name)
        asked = spoken.request(target, scenario, scenario.messages)
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{target.base_url}{asked.path}", content=asked.body)
    assert answer.content == file.read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == spoken.framings[0].media_types[0]


@each_dialect
async def test_a_good_answer_a_cut_one_and_an_error_are_told_apart(side: ServerDialect) -> None:
    cases = [
        Case("smooth", dialect=side.name),
        Case("truncated-no-finish", "truncated-no-finish", dialect=side.name),
        Case("error-in-200", "error-in-stream", dialect=side.name),
    ]
    async with Simulator(profile.load("smooth"), speed=10) as server:
        bench = await run_cases(cases, {"": server.origin}, Shared(), seeds=2, speed=10, concurrency=8)
    assert [(row.right, row.evidence) for row in bench.rows] == [(2, {})] * len(cases)
