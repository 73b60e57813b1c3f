"""Heads and bodies as HTTP/1 text: ``curl -i``, and a saved "Follow HTTP Stream" of Wireshark."""

from __future__ import annotations

from kmon.recording.formats.format import Format
from kmon.recording.http_dialogue import begins, interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source


def _looks_like(source: Source) -> bool:
    return begins(source.data)


def _read(source: Source) -> list[Interaction]:
    return interactions_of(source.data)


HTTP_DUMP = Format("answers with their heads, as curl and Wireshark save them", _looks_like, _read)
