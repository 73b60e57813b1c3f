"""Mappings of WireMock and WireMock.Net: a request to match and the response to it, one per file or in a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, insensitive, interaction, leading_status, unbase64, without_body
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_URLS = ("url", "urlpath", "urlpattern", "urlpathpattern", "path")
_BODIES = (
    "body",
    "jsonbody",
    "bodyasjson",
    "base64body",
    "bodyasbytes",
    "bodyfilename",
    "bodyasfile",
    "status",
    "statuscode",
)


def _mappings(source: Source) -> Iterator[dict[str, Any]]:
    listed = items(source.json) or items(source.members.get("mappings")) or [source.json]
    return (insensitive(members(entry)) for entry in listed)


def _looks_like(source: Source) -> bool:
    return all(
        isinstance(entry.get("request"), dict) and any(name in _response(entry) for name in _BODIES)
        for entry in _mappings(source)
    )


def _read(source: Source) -> list[Interaction]:
    return [_interaction(index, entry) for index, entry in enumerate(_mappings(source))]


def _response(entry: dict[str, Any]) -> dict[str, Any]:
    return insensitive(members(entry.get("response")))


def _interaction(index: int, entry: dict[str, Any]) -> Interaction:
    asked, response = insensitive(members(entry.get("request"))), _response(entry)
    request = Request(_method(asked), _url(asked), {}, _request_body(asked))
    status = response.get("status", response.get("statuscode", 200))
    code = count(status) or leading_status(status)
    headers = headers_of(response.get("headers"))
    if file := response.get("bodyfilename") or response.get("bodyasfile"):
        why = f"its body is in a file of its own, {str(file)[:200]!r} below __files; give that file"
        return without_body(index, request, code, headers, why)
    encoded = response.get("base64body") or response.get("bodyasbytes")
    plain = next(
        (response[name] for name in ("body", "jsonbody", "bodyasjson") if response.get(name) is not None), None
    )
    return interaction(index, request, code, headers, unbase64(encoded) if encoded else body_bytes(plain))


def _method(asked: dict[str, Any]) -> str:
    return text(asked.get("method")) or text(next(iter(items(asked.get("methods"))), ""))


def _url(asked: dict[str, Any]) -> str:
    found = next((asked[name] for name in _URLS if name in asked), "")
    if isinstance(found, dict):  # WireMock.Net: {"Matchers": [{"Pattern": ...}]}
        found = insensitive(members(next(iter(items(insensitive(found).get("matchers"))), None))).get("pattern")
    return text(found)


def _request_body(asked: dict[str, Any]) -> bytes:
    """What the body must equal: the request that was recorded."""
    patterns = [members(pattern) for pattern in items(asked.get("bodypatterns"))]
    matcher = insensitive(members(insensitive(members(asked.get("body"))).get("matcher")))
    return body_bytes(
        next(
            (one[name] for one in patterns for name in ("equalToJson", "equalTo") if name in one),
            matcher.get("pattern"),
        )
    )


WIREMOCK = Format("WireMock mappings", _looks_like, _read)
