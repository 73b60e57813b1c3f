"""``claude -p --output-format stream-json``, and Claude Code's own transcripts: JSON lines with a session.

With ``--include-partial-messages`` the lines hold the events of each Messages stream. Without it they hold whole
messages, in a line per block: the events of such an answer are made from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import items, members, text
from kmon.recording.event_bodies import TimedEvent, interactions_of
from kmon.recording.exchange import json_bytes
from kmon.recording.formats.format import Format
from kmon.recording.formats.own_times import times_ms
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

_SESSIONS = ("session_id", "sessionId")
_TYPES = ("system", "assistant", "user", "result", "stream_event")
_WHOLE = {"text": "text", "thinking": "thinking"}
"""Block types whose content is the member of the same name."""
SAMPLE_ROWS = 50


def _looks_like(source: Source) -> bool:
    return any(
        row.get("type") in _TYPES and any(name in row for name in _SESSIONS) for row in source.whole_rows[:SAMPLE_ROWS]
    )


def _read(source: Source) -> list[Interaction]:
    partial = [row for row in source.whole_rows if row.get("type") == "stream_event"]
    streams = _streamed(partial) if partial else _whole(source.whole_rows)
    found: list[Interaction] = []
    for events in streams:
        found += interactions_of(events, first_index=len(found))
    if not found:
        raise ValueError("it is of Claude Code, and holds no answer; record with --include-partial-messages")
    return found


def _streamed(rows: list[dict[str, Any]]) -> list[list[TimedEvent]]:
    """The events by answer. Subagents answer at the same time; their lines name the tool call that began them."""
    streams: list[list[TimedEvent]] = []
    open_at: dict[tuple[str, str], list[TimedEvent]] = {}
    for row, ms in zip(rows, times_ms(rows), strict=True):
        speaker = (
            next((text(row.get(name)) for name in _SESSIONS if name in row), ""),
            text(row.get("parent_tool_use_id")),
        )
        event = members(row.get("event"))
        if speaker not in open_at or event.get("type") == "message_start":
            open_at[speaker] = []
            streams.append(open_at[speaker])
        open_at[speaker].append(TimedEvent(event, ms=ms))
    return streams


def _whole(rows: list[dict[str, Any]]) -> list[list[TimedEvent]]:
    """The events of each answer, of which every line has the id and some blocks."""
    answers: dict[str, list[tuple[dict[str, Any], float | None]]] = {}
    for row, ms in zip(rows, times_ms(rows), strict=True):
        message = members(row.get("message"))
        if row.get("type") == "assistant" and message:
            answers.setdefault(text(message.get("id")), []).append((message, ms))
    return [list(_events(lines)) for lines in answers.values()]


def _events(lines: list[tuple[dict[str, Any], float | None]]) -> Iterator[TimedEvent]:
    first, ms = lines[0]
    begun = {name: first.get(name) for name in ("id", "type", "role", "model", "usage")} | {"content": []}
    yield TimedEvent({"type": "message_start", "message": begun}, ms=ms)
    index = 0
    for message, at_ms in lines:
        for block in map(members, items(message.get("content"))):
            for event in _block(block):
                yield TimedEvent({**event, "index": index}, ms=at_ms)
            index += 1
    last, ms = lines[-1]
    reason = next(
        (text(message.get("stop_reason")) for message, _ in reversed(lines) if message.get("stop_reason")), ""
    )
    delta = {"stop_reason": reason} if reason else {}
    yield TimedEvent({"type": "message_delta", "delta": delta, "usage": last.get("usage")}, ms=ms)
    yield TimedEvent({"type": "message_stop"}, ms=ms)


def _block(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = text(block.get("type"))
    if kind in _WHOLE:
        yield {"type": "content_block_start", "content_block": {"type": kind, _WHOLE[kind]: ""}}
        yield {"type": "content_block_delta", "delta": {"type": f"{kind}_delta", _WHOLE[kind]: block.get(_WHOLE[kind])}}
    elif isinstance(block.get("input"), dict):
        said = json_bytes(block["input"]).decode()
        yield {"type": "content_block_start", "content_block": {**block, "input": {}}}
        yield {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": said}}
    else:
        yield {"type": "content_block_start", "content_block": block}
    yield {"type": "content_block_stop"}


CLAUDE_CODE = Format("Claude Code's stream-json", _looks_like, _read)
