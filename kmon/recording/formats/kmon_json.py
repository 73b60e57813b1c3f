"""What ``kmon run --json`` printed; and recordings of WebSockets and screens, which are no HTTP streams."""

from __future__ import annotations

from kmon.recording import trace
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction
from kmon.recording.sniff import why_no_stream
from kmon.recording.source import Source


def _looks_like(source: Source) -> bool:
    return why_no_stream(source.rows) is not None or trace.is_trace(source.whole_rows)


def _read(source: Source) -> list[Interaction]:
    if (why := why_no_stream(source.rows)) is not None:
        raise ValueError(why)
    if not (attempts := trace.interactions_of(source.whole_rows)):
        raise ValueError("it ends before any attempt began")
    return attempts


KMON_JSON = Format("kmon recordings", _looks_like, _read)
