"""Reads the errors that providers write into JSON, in all their shapes."""

from __future__ import annotations

import json
from typing import Any

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError

NO_MESSAGE = "the provider reported an error without a message"


def fault(
    value: object, *, kind: str = "in-stream", status: int | None = None, frame: str | None = None
) -> StreamError:
    """A :class:`StreamError` from the value of ``error``: an object, a string, or anything else.

    ``status`` is the HTTP status if there is one; otherwise a numeric code in the object is used (OpenRouter's
    ``code``, Groq's ``status_code``, as number or digits).
    """
    members: dict[str, Any] = value if isinstance(value, dict) else {}
    inner = members.get("error")
    if isinstance(inner, dict) and "message" not in members:
        members = inner
    message = next(
        (text for key in ("message", "detail", "msg", "error", "type") if (text := _said(members.get(key)))), ""
    )
    code = next((code for key in ("code", "type", "status") if (code := _word(members.get(key)))), None)
    if status is None:
        status = next((n for key in ("status_code", "code", "status") if (n := _status(members.get(key)))), None)
    return StreamError(
        kind,
        bounded(message or _said(value) or NO_MESSAGE, QUOTED_LIMIT_CHARS),
        status,
        code,
        None if frame is None else bounded(frame, FRAME_LIMIT_CHARS),
    )


def malformed(why: str, frame: str) -> StreamError:
    """The error of one unreadable frame; ``frame`` is kept, bounded."""
    return StreamError("malformed-frame", why, frame=bounded(frame, FRAME_LIMIT_CHARS))


def corrupt(why: str, frame: str) -> StreamError:
    """The error of one frame with a wrong checksum: it changed on the way."""
    return StreamError("corrupt-frame", why, frame=bounded(frame, FRAME_LIMIT_CHARS))


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool) or value == {} or value == []:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""


def _word(value: object) -> str | None:
    if isinstance(value, str) and value:
        return bounded(value, QUOTED_LIMIT_CHARS)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else None


def _status(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    return None
