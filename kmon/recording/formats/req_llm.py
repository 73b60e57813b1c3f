"""Fixtures of req_llm: one JSON object with the request, the response, and the chunks of its body in base64."""

from __future__ import annotations

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.arrivals import marked
from kmon.recording.exchange import interaction
from kmon.recording.formats.format import Format
from kmon.recording.formats.own_times import times_ms
from kmon.recording.formats.vcr import message_body
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_CONTENTS = ("b64", "base64_string", "string")
"""Members of a chunk that may hold its bytes."""


def _looks_like(source: Source) -> bool:
    chunks = source.members.get("chunks")
    if not isinstance(chunks, list) or not isinstance(source.members.get("request"), dict):
        return False
    return not chunks or any(name in members(chunks[0]) for name in _CONTENTS)


def _read(source: Source) -> list[Interaction]:
    request, response = members(source.members.get("request")), members(source.members.get("response"))
    chunks = items(source.members.get("chunks"))
    body, marks = marked(zip((message_body({"body": chunk}) for chunk in chunks), times_ms(chunks), strict=True))
    asked = Request(
        text(request.get("method")), text(request.get("url")), headers_of(request.get("headers")), message_body(request)
    )
    return [
        interaction(
            0,
            asked,
            count(response.get("status")),
            headers_of(response.get("headers")),
            body or message_body(response),
            None,
            marks if body else (),
        )
    ]


REQ_LLM = Format("req_llm fixtures", _looks_like, _read)
