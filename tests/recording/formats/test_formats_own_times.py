"""Times in JSON objects: whatever the name and the unit, a stall is found; what is no arrival says nothing of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kmon.recording.formats.own_times import times_ms
from tests.support.recorded_stream import CHUNKS, EVENTS, MESSAGES, TEXT, decoded, recorded

SECONDS = (0.0, 0.1, 7.1, 7.2)
EPOCH_S = 1767323045


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ts", lambda s: EPOCH_S + s),
        ("time", lambda s: int((EPOCH_S + s) * 1e3)),
        ("t", lambda s: int((EPOCH_S + s) * 1e6)),
        ("timestamp", lambda s: int((EPOCH_S + s) * 1e9)),
        ("__REALTIME_TIMESTAMP", lambda s: str(int((EPOCH_S + s) * 1e6))),
        ("@timestamp", lambda s: f"2026-01-02T03:04:{5 + s:06.3f}Z"),
        ("receivedAt", lambda s: f"2026-01-02T03:04:{5 + s:06.3f}+01:00"),
        ("time", lambda s: f"03:04:{5 + s:06.3f}"),
        ("elapsed", lambda s: s),
        ("elapsedMs", lambda s: s * 1e3),
        ("t_ns", lambda s: int(s * 1e9)),
        ("offset_us", lambda s: int(s * 1e6)),
    ],
)
def test_any_name_and_unit(tmp_path: Path, name: str, written: Callable[[float], object]) -> None:
    rows = [{name: written(s), "chunk": chunk} for s, chunk in zip(SECONDS, CHUNKS, strict=True)]
    (only,) = recorded(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert only.arrivals_ms == pytest.approx((0, 100, 7100, 7200), abs=1.5)
    assert decoded(only).signature == "stall-resumed"


@pytest.mark.parametrize(
    "written", [(0, 20, 41, 60, 80), (0, 5, 9, 15, 19), (1234.5678, 1254.5671, 1275.1234, 1294.99, 1310.5)]
)
def test_numbers_that_can_be_no_seconds_are_milliseconds(written: tuple[float, ...]) -> None:
    assert times_ms([{"t": number} for number in written]) == list(written)


def test_steps_are_added_up_and_a_clock_is_not() -> None:
    assert times_ms([{"delta_ms": step} for step in (0, 100, 6000, 50)]) == [0, 100, 6100, 6150]
    assert times_ms([{"delay_ms": at} for at in (0, 100, 6000)]) == [0, 100, 6000]


@pytest.mark.parametrize(
    "beside",
    [{"timestamp": EPOCH_S}, {"created": EPOCH_S}, {"duration_ms": 5}, {"time_to_first_token": 9.5}, {"id": 7}, {}],
)
def test_what_tells_no_arrival_says_nothing_of_time(tmp_path: Path, beside: dict[str, Any]) -> None:
    rows = [{**beside, "chunk": chunk} for chunk in CHUNKS]
    (only,) = recorded(tmp_path, json.dumps(rows))
    assert only.arrivals_ms == ()


def test_when_a_server_made_a_line_is_not_when_it_came(tmp_path: Path) -> None:
    rows = [
        {"model": "m", "created_at": f"2026-01-02T03:04:{9 * n:02}Z", "message": {"content": "a"}, "done": n == 3}
        for n in range(4)
    ]
    assert recorded(tmp_path, json.dumps(rows, indent=1))[0].arrivals_ms == ()
    (flat,) = recorded(tmp_path, json.dumps([{**row, "received_at": 6.0 * n} for n, row in enumerate(rows)]))
    assert flat.arrivals_ms == (0, 6000, 12000, 18000)


@pytest.mark.parametrize(
    "row",
    [
        lambda line, at: {"log": line, "stream": "stdout", "time": f"2026-01-02T03:04:{5 + at:06.3f}Z"},
        lambda line, at: {"__REALTIME_TIMESTAMP": f"{int((EPOCH_S + at) * 1e6)}", "MESSAGE": line.rstrip("\n")},
        lambda line, at: {"level": 30, "time": int((EPOCH_S + at) * 1e3), "msg": line},
        lambda line, at: {"jsonPayload": {"line": line}, "timestamp": f"2026-01-02T03:04:{5 + at:06.3f}Z"},
        lambda line, at: [at, "o", line.replace("\n", "\r\n")],
    ],
    ids=["docker", "journald", "pino", "cloud", "asciinema"],
)
def test_lines_of_a_stream_in_a_log_of_json(tmp_path: Path, row: Callable[[str, float], object]) -> None:
    lines = [(line, at) for at, event in zip((*SECONDS, 7.3), EVENTS, strict=True) for line in event.splitlines(True)]
    (only,) = recorded(tmp_path, "".join(json.dumps(row(line, at)) + "\n" for line, at in lines))
    got = decoded(only)
    assert (got.text, got.done, got.signature) == (TEXT, True, "stall-resumed")


def test_other_lines_of_a_log_are_no_events(tmp_path: Path) -> None:
    noise = [{"event": "request", "body": {"model": "m", "messages": []}}, {"event": "x", "body": {"a": 1}}]
    rows = [*noise[:1], *({"event": "chunk", "body": event} for event in MESSAGES), *noise[1:]]
    (only,) = recorded(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert (decoded(only).text, decoded(only).error, decoded(only).signature) == (TEXT, None, None)


@pytest.mark.parametrize("listed", [EVENTS, [event.strip() for event in EVENTS], [[1.5, chunk] for chunk in CHUNKS]])
def test_lists_of_texts_and_of_pairs(tmp_path: Path, listed: list[Any]) -> None:
    for content in (json.dumps(listed), json.dumps({"request": {"model": "m"}, "lines": listed})):
        (only,) = recorded(tmp_path, content)
        assert (decoded(only).text, decoded(only).signature) == (TEXT, None)
