"""Packets printed as text: whole events with their times; what a packet cuts is refused, never judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import EVENTS, QUESTION, decoded, recorded

ASCII = [event.replace("ö", "..") for event in EVENTS]
ASKED = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n\r\n{QUESTION}"
ANSWERED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def tcpdump(packets: list[tuple[str, str]]) -> str:
    rows = []
    for second, (side, said) in enumerate(packets):
        ends = "localhost.4 > localhost.80" if side == "asks" else "localhost.80 > localhost.4"
        rows.append(f"03:04:{6 * second:02}.000001 IP {ends}: Flags [P.], seq 1:2, ack 1, length {len(said)}\n")
        rows.append("E..4..@.@.Q-....G..B..|A.0,....@.....\n.t./" + said.replace("\r\n", "\n") + "\n")
    return "listening on lo\n" + "".join(rows)


def ngrep(packets: list[tuple[str, str]]) -> str:
    rows = []
    for second, (side, said) in enumerate(packets):
        ends = "127.0.0.1:4 -> 127.0.0.1:80" if side == "asks" else "127.0.0.1:80 -> 127.0.0.1:4"
        rows.append(f"T 2026/01/02 03:04:{6 * second:02}.000001 {ends} [AP] #{second}\n")
        rows.append(said.replace("\r\n", ".\n") + "\n\n")
    return "interface: lo\n####\n" + "".join(rows)


def in_chunks(events: list[str]) -> list[tuple[str, str]]:
    answer = [("answers", f"{len(event):x}\r\n{event}\r\n") for event in events]
    return [("asks", ASKED), ("answers", ANSWERED), *answer]


@pytest.mark.parametrize("tool", [tcpdump, ngrep])
def test_whole_events_with_their_times(tmp_path: Path, tool: Callable[[list[tuple[str, str]]], str]) -> None:
    (only,) = recorded(tmp_path, tool(in_chunks(ASCII)))
    got = decoded(only)
    assert (got.text, got.finish_reason, got.done, got.signature) == ("two w..rds", "stop", True, "stall-resumed")
    assert only.arrivals_ms == pytest.approx((0, 6000, 12000, 18000, 24000))


@pytest.mark.parametrize("tool", [tcpdump, ngrep])
def test_an_event_that_a_packet_cuts_is_refused(tmp_path: Path, tool: Callable[[list[tuple[str, str]]], str]) -> None:
    packets = [*in_chunks(ASCII[:1]), ("answers", ASCII[1][:40]), ("answers", ASCII[1][40:])]
    with pytest.raises(UsageError, match="a packet cuts an event in it; write the packets with -w"):
        recorded(tmp_path, tool(packets))


def test_packets_without_text_are_refused(tmp_path: Path) -> None:
    for content in (tcpdump([("asks", "....")]), ngrep([("answers", '  c7..data: {\n  "id"')])):
        with pytest.raises(UsageError, match="it is what a packet tool prints"):
            recorded(tmp_path, content)
