"""Simulations of Hoverfly: ``data.pairs`` of a request and a response."""

from __future__ import annotations

from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source


def _pairs(source: Source) -> list[dict[str, Any]]:
    return [members(pair) for pair in items(members(source.members.get("data")).get("pairs"))]


def _looks_like(source: Source) -> bool:
    return bool(_pairs(source))


def _read(source: Source) -> list[Interaction]:
    found = []
    for index, pair in enumerate(_pairs(source)):
        asked, response = members(pair.get("request")), members(pair.get("response"))
        scheme, host, path = (_matched(asked.get(name)) for name in ("scheme", "destination", "path"))
        request = Request(
            _matched(asked.get("method")),
            f"{scheme or 'http'}://{host}{path}",
            {},
            _matched(asked.get("body")).encode(),
        )
        said = response.get("body")
        body = unbase64(said) if response.get("encodedBody") is True and said else body_bytes(said)
        headers = headers_of(response.get("headers"))
        found.append(interaction(index, request, count(response.get("status")), headers, body))
    return found


def _matched(field: object) -> str:
    """The value of ``[{"matcher": "exact", "value": ...}]``."""
    return text(members(next(iter(items(field)), None)).get("value")).encode("utf-8", "replace").decode()


HOVERFLY = Format("Hoverfly simulations", _looks_like, _read)
