"""Flow files of mitmproxy (``-w FILE``): exchanges with their times, and messages of WebSockets."""

from __future__ import annotations

from typing import Any

from kmon.dialects.json_access import count, items, members
from kmon.recording.exchange import interaction, without_body
from kmon.recording.formats.format import Format
from kmon.recording.formats.tnetstrings import begins, values
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source
from kmon.recording.web_sockets import Dialogue, SocketMessage, interactions_of

TEXT = 1


def _looks_like(source: Source) -> bool:
    return begins(source.data)


def _read(source: Source) -> list[Interaction]:
    flows, whole = values(source.data)
    found: list[Interaction] = []
    for flow in map(members, flows):
        messages = _messages(flow)
        if messages:
            found += interactions_of(_request(flow), messages, first_index=len(found))
        elif members(flow.get("response")):
            found.append(_interaction(len(found), flow))
    if not found and not whole:
        raise ValueError("it begins like a flow file of mitmproxy, and is damaged or cut in its first flow")
    return found


def dialogues(source: Source) -> list[Dialogue]:
    """The messages of each WebSocket in a flow file; none if it is none."""
    flows = values(source.data)[0] if _looks_like(source) else []
    return [messages for flow in flows if (messages := _messages(members(flow)))]


def _messages(flow: dict[str, Any]) -> Dialogue:
    """A message is a list: type, whether the client sent it, content, time."""
    found = []
    for one in map(_list, items(members(flow.get("websocket")).get("messages"))):
        if len(one) >= 4 and one[0] == TEXT:
            content = one[2].decode("utf-8", "replace") if isinstance(one[2], bytes) else str(one[2])
            found.append(SocketMessage(content, one[1] is not True, _ms(one[3])))
    return found


def _interaction(index: int, flow: dict[str, Any]) -> Interaction:
    request, response = _request(flow), members(flow.get("response"))
    status, headers, body = (
        count(response.get("status_code")),
        headers_of(response.get("headers")),
        response.get("content"),
    )
    if not isinstance(body, bytes):
        why = "mitmproxy passed its body on and kept none; record with --set store_streamed_bodies=true"
        return without_body(index, request, status, headers, why)
    start, end = _ms(members(flow.get("request")).get("timestamp_start")), _ms(response.get("timestamp_end"))
    duration_ms = end - start if start is not None and end is not None and end > start else None
    return interaction(index, request, status, headers, body, duration_ms)


def _request(flow: dict[str, Any]) -> Request:
    request = members(flow.get("request"))
    headers = headers_of(request.get("headers"))
    host = _text(request.get("authority")) or headers.get("host") or _text(request.get("host"))
    content = request.get("content")
    return Request(
        _text(request.get("method")),
        f"{_text(request.get('scheme')) or 'http'}://{host}{_text(request.get('path'))}",
        headers,
        content if isinstance(content, bytes) else b"",
    )


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _ms(value: object) -> float | None:
    return float(value) * 1e3 if isinstance(value, int | float) and 0 <= value < 1e12 else None


MITMPROXY = Format("mitmproxy flow files", _looks_like, _read)
