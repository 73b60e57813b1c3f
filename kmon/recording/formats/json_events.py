"""What an SDK handed to a program, written down: a JSON list, lines, or objects one after the other.

They are the chunks of a stream, its events, those of boto3 with their names as keys, or envelopes ``{event, data}``. An
envelope may have a time (``t``, ``timestamp``, ``elapsed_ms`` and the like).
"""

from __future__ import annotations

from typing import Any

from kmon.dialects.json_access import items, members, parsed, text
from kmon.recording.event_bodies import SENTINEL, TimedEvent, interactions_of
from kmon.recording.exchange import UNKNOWN_REQUEST, interaction
from kmon.recording.formats.format import Format
from kmon.recording.formats.times import ms_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_VALUES = 200
_LISTS = ("stream", "events", "chunks", "responses", "messages", "data")
"""Members that hold the events where a whole object was dumped, as boto3's answer is."""
_CONTENTS = ("data", "chunk", "event", "value", "json", "raw", "line", "payload")
"""Members of an envelope that may hold the event, as an object or as its text."""


def _looks_like(source: Source) -> bool:
    return source.is_json and bool(_error(source) or _streams(source.objects[:SAMPLE_VALUES]))


def _read(source: Source) -> list[Interaction]:
    if _error(source):
        return [interaction(0, UNKNOWN_REQUEST, None, {"content-type": "application/json"}, source.data)]
    return _streams(source.objects)


def _streams(values: list[dict[str, Any]]) -> list[Interaction]:
    found = interactions_of([TimedEvent(value) for value in values])
    if not found:
        found = interactions_of([event for value in values if (event := _enveloped(value)) is not None])
    for name in _LISTS if not found and len(values) == 1 else ():
        listed = [members(one) for one in items(values[0].get(name))]
        if listed and (found := interactions_of([TimedEvent(value) for value in listed])):
            break
    return found


def _error(source: Source) -> bool:
    """Whether it is the JSON answer with an error that a provider gave instead of a stream.

    Beside the error such an answer has ids and words at most. What holds more is a note about an exchange.
    """
    value = source.json
    only = members(value[0] if isinstance(value, list) and len(value) == 1 else value)
    beside = [given for name, given in only.items() if name != "error"]
    return bool(only.get("error")) and not any(given and isinstance(given, dict | list) for given in beside)


def _enveloped(value: dict[str, Any]) -> TimedEvent | None:
    """The event inside an envelope; None if ``value`` has none."""
    for name in _CONTENTS:
        content = value.get(name)
        if isinstance(content, str):
            content = content.strip().removeprefix("data:").strip()
            if content == SENTINEL:
                return TimedEvent(None, ms=ms_of(value))
            content = _parsed(content)
        if isinstance(content, dict):
            said = value.get("event") or value.get("event_name")
            return TimedEvent(content, text(said), ms_of(value))
    return None


def _parsed(content: str) -> object:
    try:
        return parsed(content.encode("utf-8", "replace")) if content[:1] == "{" else None
    except ValueError:
        return None


JSON_EVENTS = Format("JSON lists and lines of chunks or events, also of boto3", _looks_like, _read)
