"""Sessions that Charles exports as JSON (``.chlsj``): a list of exchanges, each with its times."""

from __future__ import annotations

from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, unbase64, without_body
from kmon.recording.formats.format import Format
from kmon.recording.formats.times import iso_ms
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source


def _looks_like(source: Source) -> bool:
    first = members(next(iter(items(source.json)), None))
    return "times" in first and "protocolVersion" in first and "host" in first


def _read(source: Source) -> list[Interaction]:
    return [_interaction(index, members(entry)) for index, entry in enumerate(items(source.json))]


def _interaction(index: int, entry: dict[str, Any]) -> Interaction:
    response, times = members(entry.get("response")), members(entry.get("times"))
    request = members(entry.get("request"))
    url = f"{text(entry.get('scheme'))}://{text(entry.get('host'))}{text(entry.get('path'))}"
    asked = Request(text(entry.get("method")), url, _headers(request), _body(request))
    status, headers = count(response.get("status")), _headers(response)
    if not members(response.get("body")) and status is not None:
        return without_body(index, asked, status, headers, "Charles kept no body of it")
    start, end = (iso_ms(text(times.get(name))) for name in ("start", "end"))
    duration_ms = end - start if start is not None and end is not None and end > start else None
    return interaction(index, asked, status, headers, _body(response), duration_ms)


def _headers(message: dict[str, Any]) -> dict[str, str]:
    found = headers_of(members(message.get("header")).get("headers"))
    if "decoded" in members(message.get("body")):
        found.pop("content-encoding", None)
    return found


def _body(message: dict[str, Any]) -> bytes:
    body = members(message.get("body"))
    encoded = body.get("encoded")
    return unbase64(encoded) if isinstance(encoded, str) else body_bytes(body.get("text"))


CHARLES = Format("Charles sessions in JSON", _looks_like, _read)
