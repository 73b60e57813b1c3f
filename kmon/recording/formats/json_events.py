"""What an SDK handed to a program, written down: a JSON list, lines, or objects one after the other.

They are the chunks of a stream, its events, those of boto3 with their names as keys, or envelopes around them: what a
program or a log wrote beside each event, with a time (``own_times.py``) and the event as an object or as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kmon.dialects.json_access import members, parsed, text
from kmon.recording.event_bodies import SENTINEL, TimedEvent, interactions_of, only_events
from kmon.recording.exchange import UNKNOWN_REQUEST, interaction
from kmon.recording.formats.event_lines import FIELD, Line
from kmon.recording.formats.event_lines import streams_of as streams_of_lines
from kmon.recording.formats.format import Format
from kmon.recording.formats.own_times import WIRE_TIMES, times_ms
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_VALUES = 200
PATHS_LIMIT = 40
LISTS_DEPTH = 3
_LISTS = ("stream", "events", "chunks", "responses", "messages", "data")
"""Members that hold the events where a whole object was dumped, as boto3's answer is. They are tried first."""
_CONTENTS = ("data", "chunk", "event", "value", "json", "raw", "line", "payload")
"""Members of an envelope that may hold the event. They are tried first."""

Path = tuple[str, ...]


def _looks_like(source: Source) -> bool:
    return source.is_json and bool(_error(source) or _streams(_values(source)[:SAMPLE_VALUES]))


def _read(source: Source) -> list[Interaction]:
    if _error(source):
        return [interaction(0, UNKNOWN_REQUEST, None, {"content-type": "application/json"}, source.data)]
    return _streams(_values(source))


def _values(source: Source) -> list[Any]:
    """The objects of the file; texts and pairs of a time and an event are made objects with the members ``t, data``."""
    listed = source.json if isinstance(source.json, list) else source.listed_rows
    if listed and not any(isinstance(value, dict) for value in listed[1:]):
        return list(_made_members(listed))
    return source.objects


def _made_members(listed: Sequence[object]) -> Iterator[dict[str, Any]]:
    for value in listed:
        if isinstance(value, str):
            yield {"data": value}
        elif isinstance(value, list) and 2 <= len(value) <= 3 and isinstance(value[-1], dict | str):
            yield {"t": value[0], "data": value[-1]}
        elif isinstance(value, dict):
            yield value


def streams_of(values: list[dict[str, Any]], times: Sequence[float | None]) -> list[Interaction]:
    """The streams in objects that stand among others; ``times`` (ms) are those that were told beside them."""
    events = only_events([TimedEvent(value, ms=ms) for value, ms in zip(values, times, strict=True)])
    if any(time is not None for time in times) and (found := interactions_of(events) or _in_envelopes(values, times)):
        return found
    return _streams([event.value for event in events if event.value is not None])


def _streams(values: list[dict[str, Any]], depth: int = 0) -> list[Interaction]:
    times = times_ms(values, own=WIRE_TIMES)
    found = interactions_of([TimedEvent(value, ms=ms) for value, ms in zip(values, times, strict=True)])
    if not found:
        found = _in_envelopes(values, times_ms(values))
    for listed in _lists(values[0], depth) if not found and len(values) == 1 else ():
        if found := _streams(list(_made_members(listed)), depth + 1):
            break
    return found


def _lists(value: dict[str, Any], depth: int) -> Iterator[list[Any]]:
    """The lists in ``value`` that may hold the events."""
    for name in sorted(list(value)[:PATHS_LIMIT], key=lambda name: name not in _LISTS):
        listed = value[name]
        if isinstance(listed, list) and len(listed) > 0:
            yield listed
        elif isinstance(listed, dict) and depth < LISTS_DEPTH:
            yield from _lists(listed, depth + 1)


def _error(source: Source) -> bool:
    """Whether it is the JSON answer with an error that a provider gave instead of a stream.

    Beside the error such an answer has ids and words at most. What holds more is a note about an exchange.
    """
    value = source.json
    only = members(value[0] if isinstance(value, list) and len(value) == 1 else value)
    beside = [given for name, given in only.items() if name != "error"]
    return bool(only.get("error")) and not any(given and isinstance(given, dict | list) for given in beside)


def _in_envelopes(values: list[dict[str, Any]], times: Sequence[float | None]) -> list[Interaction]:
    for path in _paths(values[:SAMPLE_VALUES]):
        contents = [(_at(value, path), ms, value) for value, ms in zip(values, times, strict=True)]
        lines = [(content, ms) for content, ms, _ in contents if isinstance(content, str)]
        found = _in_lines(lines) or interactions_of(
            only_events([event for one in contents if (event := _event(*one)) is not None])
        )
        if found:
            return found
    return []


def _paths(values: list[dict[str, Any]]) -> list[Path]:
    """Where the events may be: members that are objects, or text that begins like an event or an object."""
    found = dict[Path, None]()
    for value in values:
        for name, content in value.items():
            if _may_hold(content):
                found[(name,)] = None
            for inner, deeper in members(content).items():
                if _may_hold(deeper):
                    found[(name, inner)] = None
            if len(found) > PATHS_LIMIT:
                break
    return sorted(found, key=lambda path: (len(path), path[0] not in _CONTENTS))[:PATHS_LIMIT]


def _may_hold(content: object) -> bool:
    if isinstance(content, str):
        start = content[:64].lstrip()
        return start[:1] == "{" or FIELD.match(start.encode("utf-8", "replace")) is not None
    return isinstance(content, dict) and bool(content)


def _at(value: dict[str, Any], path: Path) -> object:
    found: object = value
    for name in path:
        found = members(found).get(name)
    return found


def _in_lines(texts: list[tuple[str, float | None]]) -> list[Interaction]:
    """The streams where each text is a line or some lines of server-sent events; none where they are anything else."""
    if not any(FIELD.match(said.lstrip().encode("utf-8", "replace")) for said, _ in texts[:SAMPLE_VALUES]):
        return []
    lines: list[Line] = []
    for said, ms in texts:
        data = said.encode("utf-8", "replace")
        for line in data.splitlines() or [b""]:
            if FIELD.match(line) or not line.strip():
                lines.append((line + b"\n", ms))
    return streams_of_lines(lines)


def _event(content: object, ms: float | None, envelope: dict[str, Any]) -> TimedEvent | None:
    """The event that is the content of an envelope; None if it is none."""
    if isinstance(content, str):
        content = content.strip().removeprefix("data:").strip()
        if content == SENTINEL:
            return TimedEvent(None, ms=ms)
        content = _parsed(content)
    if not isinstance(content, dict):
        return None
    return TimedEvent(content, text(envelope.get("event") or envelope.get("event_name")), ms)


def _parsed(content: str) -> object:
    try:
        return parsed(content.encode("utf-8", "replace")) if content[:1] == "{" else None
    except ValueError:
        return None


JSON_EVENTS = Format("JSON lists and lines of chunks or events, also of boto3", _looks_like, _read)
