"""What a dialect of the simulator says of itself in its traits is true of the bytes that it sends."""

from __future__ import annotations

import pytest

from kmon.dialects.registry import http_dialect
from kmon.simulator.answers import Piece
from kmon.simulator.dialects.registry import server_dialects
from kmon.simulator.faults.registry import FAULTS
from kmon.simulator.wire import ServerDialect
from tests.support.simulated_streams import CALL, body, stream, wire

SIDES = [pytest.param(side, id=side.name) for side in server_dialects()]


@pytest.mark.parametrize("side", SIDES)
def test_the_framing(side: ServerDialect) -> None:
    chunks = stream(side)
    if "text-framed" in side.traits:
        assert all(chunk.data.decode().endswith("\n") for chunk in chunks)
        damaged = http_dialect(side.name).decoder()
        lines = body(side).replace(b"\n", b"\r\n")
        healthy = http_dialect(side.name).decoder()
        assert [delta.text for delta in damaged.feed(lines) + damaged.end()] == [
            delta.text for delta in healthy.feed(body(side)) + healthy.end()
        ]
    assert ("event-stream" in side.traits) == (b":event-type" in chunks[0].data)
    assert not {"text-framed", "event-stream"} <= side.traits


@pytest.mark.parametrize("side", SIDES)
def test_signs_of_life(side: ServerDialect) -> None:
    keepalive = wire(side).keepalive()
    assert ("keepalives" in side.traits) == (keepalive is not None)
    for extra in (keepalive, b": comment\n\n" if "comments" in side.traits else None):
        if extra is not None:
            decoder = http_dialect(side.name).decoder()
            assert not any(delta.text or delta.error for delta in decoder.feed(extra) + decoder.end())


@pytest.mark.parametrize("side", SIDES)
def test_tool_calls(side: ServerDialect) -> None:
    decoder = http_dialect(side.name).decoder()
    deltas = decoder.feed(body(side, *CALL)) + decoder.end()
    assert ("tools" in side.traits) == any(delta.tools for delta in deltas)
    if "tools" in side.traits:
        assert ("tool-pieces" in side.traits) == (sum(bool(delta.tools) for delta in deltas) > 1)
        finish = next(delta.finish_reason for delta in deltas if delta.finish_reason)
        assert ("tool-finish" in side.traits) == (finish in http_dialect(side.name).finish_words.tools)
    assert "tools" in side.traits or not {"tool-pieces", "tool-text", "tool-finish"} & side.traits


@pytest.mark.parametrize(
    "side", [side for side in server_dialects() if "server-tools" in side.traits], ids=lambda side: side.name
)
def test_tools_of_the_server(side: ServerDialect) -> None:
    decoder = http_dialect(side.name).decoder()
    sent = body(side, Piece("search", ""), Piece("text", "Hi."))
    deltas = decoder.feed(sent) + decoder.end()
    assert [delta.hidden_work for delta in deltas if delta.hidden_work] == ["server-tool", "none"]
    assert any(delta.server_tools for delta in deltas) and not any(delta.tools for delta in deltas)
    assert [chunk.kind for chunk in stream(side, Piece("search", ""), Piece("text", "Hi."))].count("hidden") == 1


@pytest.mark.parametrize("side", SIDES)
def test_the_end(side: ServerDialect) -> None:
    kinds = [chunk.kind for chunk in stream(side)]
    assert ("terminal-event" in side.traits) == ("done" in kinds)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_needs_what_some_dialect_has(fault: str) -> None:
    assert any(FAULTS[fault].needs <= side.traits for side in server_dialects())
