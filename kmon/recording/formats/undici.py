"""Snapshots of undici's SnapshotAgent: a JSON list of a request and its responses, with bodies in base64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source


def _snapshots(source: Source) -> Iterator[dict[str, Any]]:
    return (members(members(entry).get("snapshot")) for entry in items(source.json))


def _looks_like(source: Source) -> bool:
    return bool(items(source.json)) and all(
        "request" in one and ("responses" in one or "response" in one) for one in _snapshots(source)
    )


def _read(source: Source) -> list[Interaction]:
    found: list[Interaction] = []
    for snapshot in _snapshots(source):
        asked = members(snapshot.get("request"))
        request = Request(
            text(asked.get("method")),
            text(asked.get("url")),
            headers_of(asked.get("headers")),
            body_bytes(asked.get("body")),
        )
        for response in map(members, items(snapshot.get("responses")) or [snapshot.get("response")]):
            body = unbase64(response.get("body")) if response.get("body") else b""
            headers = headers_of(response.get("headers"))
            found.append(interaction(len(found), request, count(response.get("statusCode")), headers, body))
    return found


UNDICI = Format("undici snapshots", _looks_like, _read)
