"""The same bytes get the same name wherever they come from: decode, a replay, and a run against a server."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from urllib.parse import parse_qsl, unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.registry import http_dialect
from kmon.findings.recorded import decode
from kmon.output.selftest_cases import Case, cases
from kmon.probe.send import Shared
from kmon.recording import Interaction, Request
from kmon.recording.exchange import interaction
from kmon.simulator import profile
from kmon.simulator.dialects.registry import route
from kmon.simulator.faults.registry import from_header
from kmon.simulator.http import ServerRequest
from kmon.simulator.script import EndBody, Script, SendChunk, SendHead, Whole
from kmon.simulator.script_builder import BuildContext, build_script
from tests.support.loopback import END, chunked, serving
from tests.support.recorded_stream import SSE
from tests.support.same_names import replayed_names, run_name

ORIGIN = "http://127.0.0.1"
AT_ONCE = 4
"""Runs at once: were it all of them, each end would come late, and a late end has a name of its own."""
RAW_PIECES = 7
"""A body is sent in so many pieces, which end anywhere."""


def exchange(case: Case) -> Interaction | None:
    """What the simulator would send for ``case``, recorded without times; None for one that does not end its body."""
    target, scenario = case.target(ORIGIN), case.scenario(1)
    asked = http_dialect(case.dialect).request(target, scenario, scenario.messages)
    path, _, query = (target.base_url.removeprefix(ORIGIN) + asked.path).partition("?")
    found = route(unquote(path))
    assert found is not None
    headers = {name.lower(): value for name, value in asked.headers.items()}
    request = ServerRequest("POST", path, dict(parse_qsl(query)), headers, asked.body)
    chat = found.dialect.read(request, found.model, found.stream)
    context = BuildContext(provider="bench", dialect=found.dialect, fault=from_header(case.fault))
    answer = answered(build_script(chat, profile.load("smooth"), context).script)
    if answer is None:
        return None
    status, given, body = answer
    recorded = interaction(0, Request("POST", ORIGIN + path, {}, asked.body), status, given, body)
    return recorded if recorded.problem is None else None


def answered(script: Script) -> tuple[int, dict[str, str], bytes] | None:
    """Status, headers and body of an answer that ends as HTTP wants it; None for any other."""
    head, *rest = script
    if isinstance(head, Whole):
        return head.status, dict(head.headers), head.body
    if not isinstance(head, SendHead) or not rest or not isinstance(rest[-1], EndBody):
        return None
    if not all(isinstance(step, SendChunk) for step in rest[:-1]):
        return None
    body = b"".join(step.data for step in rest if isinstance(step, SendChunk))
    return head.status, dict(head.headers), body


@cache
def recorded() -> dict[str, tuple[Case, Interaction]]:
    """Every fault and twin that ends its body, by the name of its case."""
    simulated = [case for case in cases() if not case.place and not case.fault.startswith("(")]
    return {case.name: (case, found) for case in simulated if (found := exchange(case)) is not None}


@cache
def decoded() -> dict[str, str | None]:
    return {name: decode(name, found).signature for name, (_, found) in recorded().items()}


@pytest.mark.slow
async def test_every_fault_and_twin_that_ends_its_body_has_one_name() -> None:
    named = decoded()
    replays = await replayed_names({name: [found] for name, (_, found) in recorded().items()})
    assert {name: replays[name, 0] for name in named} == named

    shared = Shared()

    async def run(name: str) -> str | None:
        case, found = recorded()[name]

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            type_ = found.headers.get("content-type", "")
            head = f"HTTP/1.1 {found.status} X\r\ncontent-type: {type_}\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            size = len(found.body) // RAW_PIECES + 1
            for at in range(0, len(found.body), size):
                writer.write(chunked(found.body[at : at + size]))
                await writer.drain()
            writer.write(END)

        async with serving(script) as url:
            return await run_name(case.target(url), case.scenario(1), shared)

    few = asyncio.Semaphore(AT_ONCE)

    async def in_turn(name: str) -> str | None:
        async with few:
            return await run(name)

    runs = dict(zip(named, await asyncio.gather(*map(in_turn, named)), strict=True))
    assert runs == named


@pytest.mark.slow
def test_there_is_a_case_of_every_kind_of_name() -> None:
    assert {
        None, "truncated-no-finish", "malformed-frame", "error-in-stream", "finish-without-done", "rate-limited",
        "done-without-finish", "finish-with-failure", "not-a-stream", "tool-markers-leaked", "repetition-loop",
        "empty-answer", "usage-mismatch", "usage-zero", "wrong-model", "tool-arguments-unfinished",
        "tool-not-offered", "duplicate-chunks", "garbled-text", "tool-call-loop",
    } <= set(decoded().values())  # fmt: skip


LATE_ERROR = 'data: {"error":{"message":"late"}}\n\n'


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (SSE + LATE_ERROR, "error-in-stream"),
        (SSE + 'data: {"choices":[{"delta":{"content":"more"}}]}\n\n', None),
        (SSE + "data: not json\n\n", None),
        (SSE + "upstream connect error\n\n", None),
        (SSE + "data: [DONE]\n\n", None),
    ],
    ids=["an error", "text", "a broken frame", "words", "another sentinel"],
)
async def test_after_the_sentinel_only_an_error_counts(body: str, name: str | None) -> None:
    headers = {"content-type": "text/event-stream"}
    found = Interaction(0, Request(), 200, headers, body.encode(), "chat", True)
    assert decode("f", found).signature == name
    assert await replayed_names({"f": [found]}) == {("f", 0): name}


@pytest.mark.parametrize(("status", "name"), [(200, None), (201, None), (302, "http-error"), (429, "rate-limited")])
async def test_any_status_of_success_is_one(status: int, name: str | None) -> None:
    found = Interaction(0, Request(), status, {"content-type": "text/event-stream"}, SSE.encode(), "chat", True)
    assert decode("f", found).signature == name
    assert await replayed_names({"f": [found]}) == {("f", 0): name}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["choices", "delta", "content", "error", "message", "usage", "finish_reason", "tool_calls", "function",
         "arguments", "index", "type", "text", "completion_tokens"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
frames = st.one_of(
    values.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"),
    st.sampled_from([line.encode() for line in SSE.splitlines(keepends=True)]),
    st.binary(max_size=20),
    st.sampled_from([b"data: [DONE]\n\n", b": ping\n\n", b"event: error\n", b'{"error":"x"}\n\n']),
)


@given(st.lists(frames, max_size=8).map(b"".join))
def test_decode_names_any_bytes_and_never_raises(body: bytes) -> None:
    for dialect in ("chat", "messages", "responses", "gemini", "deepinfra", "ollama", "converse", "bedrock-invoke"):
        found = Interaction(0, Request(), 200, {"content-type": "text/event-stream"}, body, dialect, True)
        got = decode("f", found)
        assert msgspec.structs.replace(got, file="f") == decode("f", found)
