"""Streams in the lines of a log: behind any prefix, as literals, as printed objects; with the times of the lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kmon.errors import UsageError
from kmon.recording.formats.stamps import stamp_in, stamp_of
from tests.support.recorded_stream import CHUNKS, EVENTS, SSE, TEXT, decoded, is_the_stream, recorded

SECONDS = (5.0, 5.1, 12.1, 12.2, 12.3)
PREFIXES: dict[str, Callable[[float], str]] = {
    "python": lambda s: f"2026-01-02 03:04:{s:06.3f} [DEBUG] app: ".replace(".", ","),
    "basicConfig": lambda s: f"DEBUG:app:2026-01-02 03:04:{s:06.3f}: ",
    "loguru": lambda s: f"2026-01-02 03:04:{s:06.3f} | DEBUG    | app.main:stream:42 - ",
    "kubernetes": lambda s: f"2026-01-02T03:04:{s:06.3f}000000Z stdout F ",
    "compose": lambda s: f"app-1  | 2026-01-02T03:04:{s:06.3f}Z ",
    "journal": lambda s: f"Jan 02 03:04:{s:06.3f} host app[123]: ",
    "go": lambda s: f"2026/01/02 03:04:{s:06.3f} ",
    "rust": lambda s: f"2026-01-02T03:04:{s:06.3f}Z DEBUG app::client: received ",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_lines_behind_a_prefix_have_its_time(tmp_path: Path, prefix: str) -> None:
    lines = [f"{PREFIXES[prefix](s)}{event.strip()}\n" for s, event in zip(SECONDS, EVENTS, strict=True)]
    (only,) = recorded(tmp_path, f"{PREFIXES[prefix](4.0)}POST /v1/chat/completions\n{''.join(lines)}")
    got = decoded(only)
    assert (got.text, got.done, got.signature) == (TEXT, True, "stall-resumed")
    assert only.arrivals_ms == pytest.approx((0, 100, 7100, 7200, 7300), abs=1.5)


@pytest.mark.parametrize("prefix", ["app-1  | ", "[app] ", "<< ", "DEBUG:root:"])
def test_lines_behind_a_prefix_without_a_time(tmp_path: Path, prefix: str) -> None:
    (only,) = recorded(tmp_path, "".join(f"{prefix}{line}\n" for line in SSE.splitlines()))
    is_the_stream(only)
    assert only.arrivals_ms == ()


def test_a_log_that_leaves_the_sentinel_out_does_not_say_that_there_was_none(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, "".join(f"app-1 | {event.strip()}\n" for event in EVENTS[:-1]))
    assert (decoded(only).text, decoded(only).done, decoded(only).signature) == (TEXT, False, None)
    (cut,) = recorded(tmp_path, "".join(f"app-1 | {event.strip()}\n" for event in EVENTS[:2]))
    assert decoded(cut).signature == "truncated-no-finish"


BYTES = SSE.encode()
LITERALS = {
    "lines": "".join(f"{line.encode()!r}\n" for line in SSE.split("\n")[:-1]),
    "lines that are not empty": "".join(f"got {event.strip()!r}\n" for event in EVENTS),
    "chunks": "".join(f"chunk {event.encode()!r}\n" for event in EVENTS),
    "chunks that end anywhere": "".join(f"{BYTES[at : at + 37]!r}\n" for at in range(0, len(BYTES), 37)),
    "a list": repr([event.encode() for event in EVENTS]),
    "JSON.stringify": "".join(json.dumps(event) + "\n" for event in EVENTS),
    "util.inspect": "".join(f"[\n  '{event.strip()}\\n' +\n    '\\n'\n]\n" for event in EVENTS),
    "slog": "".join(f"level=DEBUG msg=chunk data={json.dumps(event.strip())}\n" for event in EVENTS),
}


@pytest.mark.parametrize("name", LITERALS)
def test_literals(tmp_path: Path, name: str) -> None:
    (only,) = recorded(tmp_path, LITERALS[name])
    is_the_stream(only)
    assert only.arrivals_ms == ()


PYTHON = [
    f"ChatCompletionChunk(id='c', choices=[Choice(delta=ChoiceDelta(content={said!r}, tool_calls=None), "
    f"finish_reason={reason!r}, index=0)], model='m', usage=None)"
    for said, reason in (("two ", None), ("wörds", None), (None, "stop"))
]
JAVASCRIPT = [
    "{\n  id: 'c',\n  choices: [\n    { index: 0, delta: { content: " + said + " }, finish_reason: " + reason + " }\n"
    "  ],\n  usage: undefined\n}"
    for said, reason in (("'two '", "null"), ("`wörds`", "null"), ("null", "'stop'"))
]
PRINTED = {
    "python": PYTHON,
    "javascript": JAVASCRIPT,
    "class names": [
        one.replace("delta: {", "delta: Delta {").replace("{\n  id", "Chunk {\n  id") for one in JAVASCRIPT
    ],
    "json": [json.dumps(chunk) for chunk in CHUNKS],
    "indented json": [json.dumps(chunk, indent=2) for chunk in CHUNKS],
}


@pytest.mark.parametrize("name", PRINTED)
@pytest.mark.parametrize("before", ["", "chunk: ", "It doesn't stop [1](x) (see #2):\n\n"])
def test_printed_objects(tmp_path: Path, name: str, before: str) -> None:
    (only,) = recorded(tmp_path, "".join(f"{before}{one}\n" for one in PRINTED[name]))
    assert (decoded(only).text, decoded(only).finish_reason, decoded(only).signature) == (TEXT, "stop", None)
    assert only.arrivals_ms == ()


@pytest.mark.parametrize("name", PRINTED)
def test_printed_objects_have_the_time_of_their_line(tmp_path: Path, name: str) -> None:
    stamps = [f"2026-01-02T03:04:{s:06.3f}Z" for s in (1, 8, 9, 10)]
    (only,) = recorded(tmp_path, "".join(f"{t} {one}\n" for t, one in zip(stamps, PRINTED[name], strict=False)))
    assert only.arrivals_ms[:3] == pytest.approx((0, 7000, 8000))
    assert decoded(only).max_gap_ms == pytest.approx(1000 if "json" in name else 7000)


def test_pairs_of_a_time_and_an_object(tmp_path: Path) -> None:
    pairs = ", ".join(f"({s}, {one})" for s, one in zip((1.5, 2.25, 9.5), PYTHON, strict=True))
    (only,) = recorded(tmp_path, f"[{pairs}]")
    assert (decoded(only).text, only.arrivals_ms) == (TEXT, (0, 750, 8000))


def test_what_console_log_leaves_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it is what console.log prints.*print JSON.stringify\(chunk\)"):
        recorded(tmp_path, "{\n  id: 'c',\n  choices: [ { index: 0, delta: [Object], finish_reason: null } ]\n}\n")


def test_colours_of_a_terminal_are_removed(tmp_path: Path) -> None:
    coloured = "".join(f"\x1b[36mdata:\x1b[39m{event.strip()[5:]}\x1b[0m\r\n\r\n" for event in EVENTS)
    is_the_stream(recorded(tmp_path, coloured)[0])


def test_a_log_without_a_stream_is_refused(tmp_path: Path) -> None:
    for line in ("2026-01-02 INFO data: {} loaded", "app-1 | data: [DONE]", "x = {'choices': 1}"):
        with pytest.raises(UsageError):
            recorded(tmp_path, f"{line}\n" * 3)


@pytest.mark.parametrize(
    ("line", "ms"),
    [
        ("Fri Jan  2 03:04:05 UTC 2026 | x", 11045000),
        ("Fri Jan  2 03:04:05 PM UTC 2026 x", 54245000),
        ("Fri 02 Jan 2026 12:04:05 AM UTC x", 245000),
        ("[   0.123] x", 123),
        ("+1.5s x", 1500),
        ("12ms x", 12),
        ("T+1.25 x", 1250),
        ("1767323045123456789 x", 1767323045123.4568),
        ("2026/01/02 03:04:05 x", 1767323045000),
        ("12:00:01 - x", 43201000),
    ],
)
def test_times_before_a_line(line: str, ms: float) -> None:
    stamp = stamp_of(line.encode())
    assert stamp is not None
    assert (stamp.ms, line[stamp.end :]) == (pytest.approx(ms), "x")


def test_numbers_that_are_no_times() -> None:
    assert [stamp_of(line) for line in (b"200 OK", b"1.2.3 x", b"10 x", b"12ms", b"v1.5 x")][:3] == [None] * 3
    assert stamp_in(b"ratio 12:30:45x of 1.5 ") is None
