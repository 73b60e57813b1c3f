"""Fixtures of req_llm: one JSON object with the request, the response, and the chunks of its body in base64."""

from __future__ import annotations

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.arrivals import marked
from kmon.recording.exchange import interaction
from kmon.recording.formats.format import Format
from kmon.recording.formats.times import ms_of
from kmon.recording.formats.vcr import message_body
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source


def _looks_like(source: Source) -> bool:
    return isinstance(source.members.get("chunks"), list) and isinstance(source.members.get("request"), dict)


def _read(source: Source) -> list[Interaction]:
    request, response = members(source.members.get("request")), members(source.members.get("response"))
    chunks = [(message_body({"body": chunk}), ms_of(chunk)) for chunk in items(source.members.get("chunks"))]
    body, marks = marked(chunks)
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
