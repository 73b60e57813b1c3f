"""OpenAI Responses over a WebSocket, as OpenAI, Azure, xAI and many gateways speak it: messages to turns and deltas.

Sources: OpenAI's guide "WebSocket mode", and the client and server events of its SDKs. A message is one JSON object:
``response.create`` asks, with the members of an HTTP request; the answer is the events of a stream, one per message.

- A request may name a lane (``stream_id``). Those of a lane are answered one after the other, and lanes side by side.
  The events of an answer, and its errors, name its lane.
- The terminal event of a stream ends the turn; so does ``error``. One with a ``status`` before the answer has begun
  refuses the request, as the HTTP status would. An error without a lane is of the default lane; if nothing is asked
  there, of the newest request without an answer; else of the whole socket.
- ``generate: false`` asks for no output: the server prepares for a later request (Codex warms up with it).
- After ``response.steer``, the server may follow an answer with another that no ``response.create`` asked for, with the
  same settings. It begins with ``response.created``. Messages about the steering itself are no part of an answer.
"""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec.structs import replace

from kmon.dialects.bounds import frame_text
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.fault import fault, malformed
from kmon.dialects.json_access import count, members, parsed, text
from kmon.dialects.responses_events import ResponsesEvents
from kmon.dialects.socket_turns import Said, Turn

CREATE = "response.create"
CREATED = "response.created"
STEERING = "response.steer"
HTTP_MEMBERS = ("stream", "stream_options", "background")
"""Members of a request that belong to HTTP; a WebSocket always streams."""
LANES_LIMIT = 256
TURNS_LIMIT = 1_000
"""Lanes, and open turns, that are told apart. OpenAI allows 32 and 16, and queues what is above."""
_TYPE = re.compile(rb'\A\s*\{\s*"type"\s*:\s*"([\w.]{1,100})"')
"""Where OpenAI and its clients write it: first."""
_LANE = re.compile(rb'"stream_id"\s*:\s*"([^"\\]{1,256})"')


class _Turn(Turn):
    """A turn with the fold over its events."""

    __slots__ = ("answer_id", "events")

    def __init__(self, request: bytes, lane: str, continues: str, *, prepares: bool) -> None:
        super().__init__(request, lane, continues, prepares)
        self.events = ResponsesEvents()
        self.answer_id = ""


class ResponsesSocket:
    """Implements :class:`kmon.dialects.socket_turns.SocketTurns`."""

    def __init__(self) -> None:
        self._open: list[_Turn] = []
        self._latest: dict[str, _Turn] = {}
        """The newest turn by lane, also when it has ended."""
        self._broken: dict[str, str] = {}
        """The id of an answer that an ``error`` ended, by lane: its ``response.failed`` may still come."""

    def message(self, body: bytes) -> bytes:
        asked = {name: value for name, value in json.loads(body).items() if name not in HTTP_MEMBERS}
        return json.dumps({"type": CREATE, **asked}, ensure_ascii=False).encode()

    @property
    def open(self) -> tuple[Turn, ...]:
        return tuple(self._open)

    def is_due(self, turn: Turn) -> bool:
        return next((one for one in self._open if one.lane == turn.lane), None) is turn

    def asked(self, data: bytes, *, cut: bool = False) -> Turn | None:
        value = (_beginning(data) if cut else _members(data)) or {}
        if value.get("type") != CREATE:
            return None
        continues = text(value.get("previous_response_id"))
        return self._begin(data, text(value.get("stream_id")), continues, prepares=value.get("generate") is False)

    def said(self, data: bytes, *, cut: bool = False) -> Said:
        raw = frame_text(data)
        value = _beginning(data) if cut else _members(data)
        if value is None:
            return Said(
                Delta(error=malformed("a message that is no JSON object", raw), raw=raw), self._concerned("", 1)
            )
        kind, lane = text(value.get("type")), text(value.get("stream_id"))
        if kind.startswith(STEERING):
            return Said(Delta(chunk=False, raw=raw), self._concerned(lane, 1))
        if kind in ("error", "response.error"):
            return self._failed(value, raw, lane)
        answer_id = text(members(value.get("response")).get("id"))
        broken = self._broken.pop(lane, "") if kind.startswith("response.") else ""
        if answer_id and answer_id == broken and kind != CREATED:
            return Said(Delta(chunk=False, raw=raw))
        turn = next((one for one in self._open if one.lane == lane), None)
        if turn is None and kind == CREATED and (before := self._latest.get(lane)) is not None:
            turn = self._begin(before.request, lane, before.answer_id)
        if turn is None:
            return Said(Delta(chunk=False, raw=raw))
        delta = turn.events.delta(value, raw)
        turn.answered = turn.answered or kind.startswith("response.")
        turn.answer_id = answer_id or turn.answer_id
        return Said(delta, (turn,), delta.done, self._ended(turn) if delta.done else ())

    def _failed(self, value: dict[str, Any], raw: str, lane: str) -> Said:
        """An ``error``: of a lane, of one request, or of the socket."""
        turns = self._concerned(lane, len(self._open))
        fresh = not any(turn.answered for turn in turns)
        error = replace(_error(value, refused=fresh), frame=raw)
        self._broken |= {turn.lane: turn.answer_id for turn in turns}
        due = tuple(turn for ended in turns for turn in self._ended(ended))
        return Said(Delta(error=error, raw=raw), turns, bool(turns), tuple(turn for turn in due if not turn.ended))

    def _concerned(self, lane: str, most: int) -> tuple[_Turn, ...]:
        """The turns that a message without an answer's event is about: at most ``most``."""
        first = next((one for one in self._open if one.lane == lane), None)
        if first is not None or lane:
            return () if first is None else (first,)
        fresh = next((one for one in reversed(self._open) if not one.answered), None)
        return (fresh,) if fresh is not None else tuple(self._open) if len(self._open) <= most else ()

    def _begin(self, request: bytes, lane: str, continues: str, *, prepares: bool = False) -> _Turn | None:
        if len(self._open) >= TURNS_LIMIT or (lane not in self._latest and len(self._latest) >= LANES_LIMIT):
            return None
        turn = self._latest[lane] = _Turn(request, lane, continues, prepares=prepares)
        self._open.append(turn)
        return turn

    def _ended(self, turn: _Turn) -> tuple[_Turn, ...]:
        """``turn`` is over; the turn of its lane that is due now, if there is one."""
        turn.ended = True
        self._open.remove(turn)
        following = next((one for one in self._open if one.lane == turn.lane), None)
        return () if following is None else (following,)


def _members(data: bytes) -> dict[str, Any] | None:
    try:
        value = parsed(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _beginning(data: bytes) -> dict[str, Any]:
    """Type and lane of a message of which only the beginning is known."""
    found = {"type": _TYPE.match(data), "stream_id": _LANE.search(data)}
    return {name: match[1].decode("utf-8", "replace") for name, match in found.items() if match is not None}


def _error(value: dict[str, Any], *, refused: bool) -> StreamError:
    """The error of an ``error`` event. Its status is that of an HTTP answer if the request was ``refused``."""
    inner = members(value.get("error"))
    error = fault(inner or {name: one for name, one in value.items() if one not in ("error", "response.error")})
    status = fault({"status": value.get("status", value.get("status_code"))}).status or error.status
    if not refused or status is None:
        return replace(error, status=status)
    headers = {
        name.lower(): one for name, one in (members(inner.get("headers")) or members(value.get("headers"))).items()
    }
    after_s = _seconds(headers.get("retry-after"))
    wait = "" if after_s is None else f" (Retry-After {after_s:g} s)"
    message = f"HTTP {status}: {error.message}{wait}"
    return replace(error, kind="http", message=message, status=status, retry_after_s=after_s)


def _seconds(value: object) -> float | None:
    """A ``Retry-After`` in seconds; the form with a date is not read."""
    said = text(value)
    return float(said) if said.isascii() and said.isdigit() and len(said) <= 9 else count(value)
