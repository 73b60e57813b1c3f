"""Records of the Azure SDK test proxy and of the .NET recordings before it: ``Entries`` in one JSON object."""

from __future__ import annotations

from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.sniff import framing_of
from kmon.recording.source import Source


def _looks_like(source: Source) -> bool:
    entries = items(source.members.get("Entries"))
    return bool(entries) and all("RequestUri" in members(entry) for entry in entries)


def _read(source: Source) -> list[Interaction]:
    return [_interaction(index, members(entry)) for index, entry in enumerate(items(source.members.get("Entries")))]


def _interaction(index: int, entry: dict[str, Any]) -> Interaction:
    request = Request(
        text(entry.get("RequestMethod")),
        text(entry.get("RequestUri")),
        headers_of(entry.get("RequestHeaders")),
        _body(entry.get("RequestBody")),
    )
    headers = headers_of(entry.get("ResponseHeaders"))
    return interaction(index, request, count(entry.get("StatusCode")), headers, _body(entry.get("ResponseBody")))


def _body(body: object) -> bytes:
    """Text is a string or a list of its lines, JSON is itself, and bytes that are no text are base64."""
    if isinstance(body, list) and body and all(isinstance(line, str) for line in body):
        return "".join(body).encode("utf-8", "replace")
    if isinstance(body, str) and body and framing_of(body.encode("utf-8", "replace")) is None:
        try:
            decoded = unbase64(body)
        except ValueError:
            return body_bytes(body)
        return decoded if framing_of(decoded) is not None else body_bytes(body)
    return body_bytes(body)


TEST_PROXY = Format("records of the Azure SDK test proxy and of .NET", _looks_like, _read)
