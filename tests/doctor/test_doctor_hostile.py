"""Promises of the doctor, of ``kmon targets --check`` and of ``kmon decode`` against a hostile peer or file."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest
import trustme

from kmon.catalog.trust import Trust
from kmon.cli import main
from kmon.doctor.targets_check import check_targets
from kmon.output.doctor import target_described, target_lines
from kmon.output.targets import list_checks
from tests.doctor.endpoints import ENV, KEY, examined, models, server_side, target
from tests.race.hostile import LONG_FIELDS, Hostile, dumped, wrong_with
from tests.race.test_race_hostile import STREAMS
from tests.transport.loopback import Script, serving

SENTENCE = {"": 8_000, "sentence": 2_000, "conclusion": 8_000, "error": 400}
"""A doctor's conclusion is made of several sentences."""


def answers(h: Hostile) -> dict[str, bytes]:
    refusal = dumped({"error": {"message": h(), "code": h(), "type": h()}})
    json_type = b"application/json " + h.header(40)
    return {
        "models": h.head(kind=json_type) + dumped({"data": [{"id": "kimi-k2.5" + h(9)}, {"id": h()}, {"id": 3}]}),
        "refused": h.head(b"401 No", json_type) + refusal,
        "page": h.head(b"503 Later", b"text/html") + h(90_000).encode("utf-8", "replace"),
        "no-list": h.head(kind=json_type) + dumped({"data": h()}),
        "redirect": h.head(b"302 Found")[:-2] + b"location: https://" + h.header(90).replace(b" ", b"") + b"/\r\n\r\n",
        "broken": h.header(),
        "broken-line": b"HTTP/1.1 200 OK\r\nno colon " + h.header() + b"\r\n\r\n",
        "huge-head": b"HTTP/1.1 200 OK\r\nx-request-id: " + h.header(1_000_000) + b"\r\n\r\n",
    }


ANSWERS = answers(Hostile(KEY))


def writing(data: bytes) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_the_doctor_tells_of_a_hostile_endpoint_clean_without_the_key_and_bounded(name: str) -> None:
    async with serving(writing(ANSWERS[name])) as url:
        diagnosis = await examined(target(f"{url}/v1"))
    limits = {**LONG_FIELDS, **SENTENCE}
    assert wrong_with(target_described(diagnosis), KEY, limits) == []
    assert wrong_with({"text": "".join(target_lines(diagnosis))}, KEY) == []


async def test_the_doctor_tells_of_a_hostile_certificate_clean_and_without_the_key() -> None:
    authority = trustme.CA(organization_name=f"{KEY[::-1]}", organization_unit_name="\x1b[31m\u202e")
    trusting = ssl.create_default_context()
    async with serving(writing(b"HTTP/1.1 200 OK\r\n\r\n" + models("a")), server_side(authority)) as url:
        for context in (trusting, None):
            if context is None:
                authority.configure_trust(trusting)
            diagnosis = await examined(target(f"{url}/v1"), trusting)
            assert diagnosis.examined.certificate is not None
            assert "[key]" in diagnosis.examined.certificate.issuer
            assert wrong_with(target_described(diagnosis), KEY, {**LONG_FIELDS, **SENTENCE}) == []


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_a_check_of_a_hostile_target_is_told_clean_without_the_key_and_bounded(name: str) -> None:
    async with serving(writing(ANSWERS[name])) as url:
        aims = [target(f"{url}/v1")]
        checks = await check_targets(aims, ENV, Trust(), named=True)
    assert wrong_with(checks[0].described(), KEY) == []
    for as_json in (False, True):
        assert wrong_with({"text": list_checks(aims, checks, ENV, as_json=as_json)}, KEY) == []


@pytest.mark.parametrize("dialect", sorted(STREAMS))
def test_a_hostile_recording_is_decoded_bounded_and_moves_no_terminal(
    dialect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{dialect}.body"
    file.write_bytes(STREAMS[dialect](Hostile()))
    assert main(["decode", "--json", str(file)]) == 0
    line = capsys.readouterr().out
    assert line.isascii() and line.strip().isprintable()
    (decoded,) = [json.loads(one) for one in line.splitlines()]
    for raw in ("text", "reasoning"):
        assert len(decoded.pop(raw)) < 4_000_000
    for call in decoded["tool_calls"]:
        del call["arguments"]
    del decoded["file"]
    assert wrong_with(decoded, "", {**LONG_FIELDS, "message": 2_000}) == []
    assert main(["decode", str(file)]) == 0
    shown = capsys.readouterr().out
    assert wrong_with({"text": shown}, "", {"text": 8_000_000}) == []
