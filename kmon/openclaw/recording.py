"""Recordings of a gateway's WebSocket: one JSON object per line, ``{"rel": s, "dir": "in|out|meta", "frame": ...}``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from kmon.dialects.json_access import members, parsed
from kmon.openclaw.protocol.frames import Frame, FrameError, parse
from kmon.recording.sniff import is_gateway

S = 1_000_000_000


class Recorded(NamedTuple):
    """One frame. ``t_ns`` counts from the start of the recording."""

    t_ns: int
    direction: Literal["in", "out"]
    frame: Frame


def read(data: bytes) -> list[dict[str, Any]]:
    """The lines of a gateway's recording; none if the bytes are something else."""
    if not data[:64].lstrip().startswith(b"{"):
        return []
    try:
        found = [parsed(line) for line in data.splitlines() if line.strip()]
    except ValueError:
        return []
    lines = [line for line in found if isinstance(line, dict)]
    return lines if len(lines) == len(found) and is_gateway(lines) else []


def frames(lines: Sequence[dict[str, Any]]) -> Iterator[Recorded]:
    """The frames of a recording with their stamps; what is no frame is left out."""
    for line in lines:
        if line.get("dir") not in ("in", "out"):
            continue
        try:
            frame = parse(msgspec.json.encode(line.get("frame")))
        except (FrameError, UnicodeEncodeError, RecursionError):
            continue
        yield Recorded(_t_ns(line.get("rel")), line["dir"], frame)


def duration_ns(lines: Sequence[dict[str, Any]]) -> int:
    """When the recording ends, counted from its start."""
    return max((_t_ns(line.get("rel")) for line in lines), default=0)


def closed(lines: Sequence[dict[str, Any]]) -> int | None:
    """The WebSocket's close code, where the recording tells it."""
    for line in reversed(lines):
        code = members(line.get("frame")).get("closed")
        if line.get("dir") == "meta" and isinstance(code, int):
            return code
    return None


def _t_ns(rel: object) -> int:
    return int(rel * S) if isinstance(rel, int | float) and 0 <= rel < 1e9 else 0
