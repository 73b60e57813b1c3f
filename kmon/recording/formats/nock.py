"""Fixtures that nock records: a JSON list of ``scope``, ``path``, ``status`` and ``response``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


def _entries(source: Source) -> Iterator[dict[str, Any]]:
    return map(members, items(source.json) or [source.json])


def _looks_like(source: Source) -> bool:
    return all("scope" in entry and "path" in entry and "status" in entry for entry in _entries(source))


def _read(source: Source) -> list[Interaction]:
    return [
        interaction(index, _request(entry), count(entry.get("status")), _headers(entry), _body(entry))
        for index, entry in enumerate(_entries(source))
    ]


def _request(entry: dict[str, Any]) -> Request:
    url = text(entry.get("scope")).rstrip("/") + text(entry.get("path"))
    return Request(text(entry.get("method")), url, headers_of(entry.get("reqheaders")), body_bytes(entry.get("body")))


def _headers(entry: dict[str, Any]) -> dict[str, str]:
    """``rawHeaders`` is a list of names and values in turn, as Node has them, or an object."""
    raw = entry.get("rawHeaders", entry.get("headers"))
    if isinstance(raw, list) and all(isinstance(part, str) for part in raw):
        return headers_of(list(zip(raw[::2], raw[1::2], strict=False)))
    return headers_of(raw)


def _body(entry: dict[str, Any]) -> bytes:
    """Bytes that are no text are hexadecimal, in one piece or in a list of chunks if the answer was compressed."""
    response = entry.get("response")
    listed = response if isinstance(response, list) else [response]
    chunks = [chunk for chunk in listed if isinstance(chunk, str)]
    if len(chunks) == len(listed) and (isinstance(response, list) or entry.get("responseIsBinary") is True):
        if all(map(_HEX.fullmatch, chunks)):
            return b"".join(map(bytes.fromhex, chunks))
        return "".join(chunks).encode("utf-8", "replace")
    return body_bytes(response)


NOCK = Format("nock fixtures", _looks_like, _read)
