"""HAR, the export of browsers, Charles, Proxyman, mitmproxy and Polly.js: bodies, and messages of WebSockets."""

from __future__ import annotations

import re
from typing import Any

from kmon.dialects.json_access import count, items, members, parsed, text
from kmon.recording.arrivals import marked
from kmon.recording.event_bodies import server_sent
from kmon.recording.exchange import body_bytes, interaction, unbase64, without_body
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source
from kmon.recording.web_sockets import Dialogue, SocketMessage, interactions_of

TEXT_OPCODE = 1
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


def _entries(source: Source) -> list[dict[str, Any]] | None:
    """The entries of a HAR, or those that a person copied out of one; None if it is none."""
    if isinstance(listed := members(source.members.get("log")).get("entries"), list):
        return [members(entry) for entry in listed]
    copied = items(source.json) or items(source.members.get("entries")) or [source.json]
    return copied if all(map(_is_entry, copied)) else None


def _is_entry(value: object) -> bool:
    entry = members(value)
    return "startedDateTime" in entry and isinstance(members(entry.get("response")).get("content"), dict)


def _looks_like(source: Source) -> bool:
    return _entries(source) is not None


def _read(source: Source) -> list[Interaction]:
    found: list[Interaction] = []
    for entry in _entries(source) or []:
        messages = _messages(entry)
        if messages:
            found += interactions_of(_request(entry), messages, first_index=len(found))
        else:
            found.append(_interaction(len(found), entry, source))
    return found


def dialogues(source: Source) -> list[Dialogue]:
    """The messages of each WebSocket in a HAR; none if it is none."""
    return [messages for entry in _entries(source) or [] if (messages := _messages(entry))]


def _messages(entry: dict[str, Any]) -> Dialogue:
    return [
        SocketMessage(text(one.get("data")), one.get("type") == "receive", _seconds_ms(one.get("time")))
        for one in map(members, items(entry.get("_webSocketMessages")))
        if one.get("opcode", TEXT_OPCODE) == TEXT_OPCODE
    ]


def _interaction(index: int, entry: dict[str, Any], source: Source) -> Interaction:
    request, response = _request(entry), members(entry.get("response"))
    content = members(response.get("content"))
    headers = headers_of(response.get("headers"))
    headers.setdefault("content-type", text(content.get("mimeType")))
    status = count(response.get("status")) or None
    duration_ms = float(took) if isinstance(took := entry.get("time"), int | float) and took > 0 else None
    if events := items(entry.get("_eventSourceMessages")):
        body, marks = marked((_event(members(one)), _seconds_ms(members(one).get("time"))) for one in events)
        return interaction(index, request, status, headers, body, duration_ms, marks)
    attached = text(content.get("_file"))
    body = source.beside(attached) or b"" if attached else _body(content)
    if attached and not body:
        why = f"its body is in a file of its own, {attached[:200]!r}, which is not beside the HAR; keep both together"
        return without_body(index, request, status, headers, why)
    if (
        not body
        and status is not None
        and status != 204
        and ("text" not in content or (count(content.get("size")) or 0) > 0)
    ):
        why = "the HAR was saved without this answer's body; save it again with content, after the answer has ended"
        return without_body(index, request, status, headers, why)
    return interaction(index, request, status, headers, body, duration_ms)


def _request(entry: dict[str, Any]) -> Request:
    request = members(entry.get("request"))
    data = members(request.get("postData"))
    body = body_bytes(data.get("text"))
    if data.get("encoding") == "base64" or data.get("_encoding") == "base64":
        body = unbase64(body)
    return Request(text(request.get("method")), text(request.get("url")), headers_of(request.get("headers")), body)


def _body(content: dict[str, Any]) -> bytes:
    said = content.get("text")
    if isinstance(said, str) and said.startswith('["') and (chunks := _polly_chunks(said)) is not None:
        return chunks
    return unbase64(said) if content.get("encoding") == "base64" and said else body_bytes(said)


def _polly_chunks(said: str) -> bytes | None:
    """The chunks of Polly.js, a JSON list of base64, or of hexadecimal in old versions; None for any other text."""
    try:
        chunks = parsed(said.encode("utf-8", "replace"))
        if not isinstance(chunks, list) or not all(isinstance(chunk, str) for chunk in chunks):
            return None
        if all(_HEX.fullmatch(chunk) for chunk in chunks):
            return b"".join(map(bytes.fromhex, chunks))
        return b"".join(map(unbase64, chunks))
    except ValueError:
        return None


def _event(message: dict[str, Any]) -> bytes:
    name, data = text(message.get("eventName")), text(message.get("data"))
    try:
        value = parsed(data.encode("utf-8", "replace"))
    except ValueError:
        value = None
    if isinstance(value, dict):
        return server_sent("" if name == "message" else name, value)
    return b"".join(b"data: " + line.encode("utf-8", "replace") + b"\n" for line in data.split("\n")) + b"\n"


def _seconds_ms(value: object) -> float | None:
    return float(value) * 1e3 if isinstance(value, int | float) and 0 <= value < 1e12 else None


HAR = Format("HAR (browsers, Charles, Proxyman, Polly.js)", _looks_like, _read)
