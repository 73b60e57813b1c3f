"""What mock servers recorded or are told to answer: imposters of Mountebank, expectations of MockServer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, leading_status, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_PREDICATES = ("deepEquals", "equals", "contains", "startsWith", "matches")
Exchange = tuple[dict[str, Any], dict[str, Any]]
"""What is asked, and the answer."""


def _exchanges(source: Source) -> Iterator[Exchange]:
    yield from _imposters(source)
    listed = items(source.json) or [source.json]
    if "httpResponse" in members(listed[0]):
        yield from _expectations(listed)


def _imposters(source: Source) -> Iterator[Exchange]:
    for imposter in map(members, items(source.members.get("imposters")) or [source.json]):
        for stub in map(members, items(imposter.get("stubs"))):
            asked: dict[str, Any] = {}
            for predicate in map(members, items(stub.get("predicates"))):
                asked |= next((members(predicate[name]) for name in _PREDICATES if name in predicate), {})
            for response in map(members, items(stub.get("responses"))):
                if isinstance(response.get("is"), dict):
                    yield asked, response["is"]


def _expectations(listed: list[Any]) -> Iterator[Exchange]:
    for entry in map(members, listed):
        if isinstance(entry.get("httpResponse"), dict):
            yield members(entry.get("httpRequest")), entry["httpResponse"]


def _looks_like(source: Source) -> bool:
    return source.is_json and next(_exchanges(source), None) is not None


def _read(source: Source) -> list[Interaction]:
    return [_interaction(index, *exchange) for index, exchange in enumerate(_exchanges(source))]


def _interaction(index: int, asked: dict[str, Any], response: dict[str, Any]) -> Interaction:
    request = Request(text(asked.get("method")), text(asked.get("path")), {}, _body(asked))
    status = response.get("statusCode", 200)
    headers = headers_of(response.get("headers"))
    return interaction(index, request, count(status) or leading_status(status), headers, _body(response))


def _body(message: dict[str, Any]) -> bytes:
    """Text, JSON, base64 in Mountebank's binary mode, or MockServer's ``{"type", "string" or "json"}``."""
    body = message.get("body")
    if message.get("_mode") == "binary" and isinstance(body, str):
        return unbase64(body)
    if isinstance(body, dict) and "type" in body:
        encoded = body.get("base64Bytes")
        return unbase64(encoded) if encoded else body_bytes(body.get("string", body.get("json")))
    return body_bytes(body)


MOCK_SERVERS = Format("imposters of Mountebank and expectations of MockServer", _looks_like, _read)
