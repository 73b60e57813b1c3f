"""Postman: answers saved in a collection, and the report of Newman (``-r json``) with what it got."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

FOLDERS_DEPTH = 20
Exchange = tuple[dict[str, Any], dict[str, Any]]


def _exchanges(source: Source) -> list[Exchange]:
    run = items(members(source.members.get("run")).get("executions"))
    found = [(members(one.get("request")), members(one.get("response"))) for one in map(members, run)]
    return [one for one in found if one[1]] or list(_saved(source.members, 0))


def _saved(folder: dict[str, Any], depth: int) -> Iterator[Exchange]:
    for item in map(members, items(folder.get("item"))):
        for response in map(members, items(item.get("response"))):
            yield members(response.get("originalRequest")) or members(item.get("request")), response
        if depth < FOLDERS_DEPTH:
            yield from _saved(item, depth + 1)


def _looks_like(source: Source) -> bool:
    return source.is_json and bool(_exchanges(source))


def _read(source: Source) -> list[Interaction]:
    return [_interaction(index, *exchange) for index, exchange in enumerate(_exchanges(source))]


def _interaction(index: int, asked: dict[str, Any], response: dict[str, Any]) -> Interaction:
    body = body_bytes(members(asked.get("body")).get("raw"))
    request = Request(text(asked.get("method")), _url(asked.get("url")), headers_of(asked.get("header")), body)
    return interaction(index, request, count(response.get("code")), headers_of(response.get("header")), _body(response))


def _url(value: object) -> str:
    if isinstance(value, str):
        return value
    parts = members(value)
    host, path = (
        text(part) or separator.join(map(str, items(part)))
        for part, separator in ((parts.get("host"), "."), (parts.get("path"), "/"))
    )
    return text(parts.get("raw")) or f"{text(parts.get('protocol')) or 'http'}://{host}/{path}"


def _body(response: dict[str, Any]) -> bytes:
    """The text, or the bytes that Node writes as ``{"type": "Buffer", "data": [...]}``."""
    stream = members(response.get("stream")).get("data", response.get("stream"))
    if isinstance(stream, list):
        return bytes(byte for byte in stream if isinstance(byte, int) and 0 <= byte < 256)
    return body_bytes(response.get("body"))


POSTMAN = Format("answers saved with Postman, and reports of Newman", _looks_like, _read)
