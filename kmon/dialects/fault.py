"""Makes errors of what providers say about failures (``error_words.py`` reads it) and of unreadable frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.error_words import CODE_KEYS, STATUS_KEYS, lowered, page_words, reported, words
from kmon.dialects.json_access import items, members, parsed, text

NO_MESSAGE = "the provider reported an error without a message"
RETRY_AFTER_LIMIT_S = 1e9
"""Thirty years; more means never."""
RETRY_INFO = "google.rpc.RetryInfo"
"""The end of the type of a detail that says when to try again: googleapis/google/rpc/error_details.proto."""
DETAILS_LIMIT = 32
"""Details of an error that are looked at; Google sends up to four."""
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s", re.ASCII)
"""The JSON form of ``google.protobuf.Duration``, without a sign: a negative delay means nothing."""
CUT_INSIDE = "the body ended inside a frame"


def fault(
    value: object, *, kind: str = "in-stream", status: int | None = None, frame: str | None = None
) -> StreamError:
    """A :class:`StreamError` from the value of ``error``: an object, a string, a list, or anything else.

    ``status`` is the HTTP status if there is one; otherwise a numeric code in the object is used (OpenRouter's
    ``code``, Groq's ``status_code``, as number or digits). The delay of Google's RetryInfo is its ``retry_after_s``.
    """
    while isinstance(value, list) and value and isinstance(value[0], dict) and len(value) == 1:
        value = value[0]
    first = next((item for item in value if isinstance(item, dict)), {}) if isinstance(value, list) else value
    said: dict[str, Any] = lowered(first) if isinstance(first, dict) else {}
    inner = said.get("error")
    if isinstance(inner, dict) and "message" not in said:
        said = lowered(inner)
    code = next((code for key in CODE_KEYS if (code := _word(said.get(key)))), None)
    named = said.get("status")
    if _status(said.get("code")) is not None and isinstance(named, str) and not named.isdigit():
        code = _word(named)  # Google: the number is the HTTP status, and the word says which error it is
    if status is None:
        status = next((n for key in STATUS_KEYS if (n := _status(said.get(key)))), None)
    return StreamError(
        kind,
        bounded(words(value) or NO_MESSAGE, QUOTED_LIMIT_CHARS),
        status,
        code,
        None if frame is None else bounded(frame, FRAME_LIMIT_CHARS),
        _retry_delay_s(said),
    )


def fault_of_text(
    body: str, *, kind: str = "in-stream", status: int | None = None, frame: str | None = None
) -> StreamError:
    """The error in a text: JSON in any shape, a page, or plain words."""
    if (page := page_words(body)) is not None:
        number = page.partition(": ")[2][:3]
        return fault(page, kind=kind, status=_status(number) if status is None else status, frame=frame)
    try:
        value = parsed(body.encode("utf-8", "surrogatepass"))
    except ValueError:
        return fault(" ".join(body.split()), kind=kind, status=status, frame=frame)
    cause = reported(value)
    return fault(value if cause is None else cause, kind=kind, status=status, frame=frame)


def malformed(why: str, frame: str) -> StreamError:
    """The error of one unreadable frame; ``frame`` is kept, bounded."""
    return StreamError("malformed-frame", why, frame=bounded(frame, FRAME_LIMIT_CHARS))


def corrupt(why: str, frame: str) -> StreamError:
    """The error of one frame with a wrong checksum: it changed on the way."""
    return StreamError("corrupt-frame", why, frame=bounded(frame, FRAME_LIMIT_CHARS))


def _retry_delay_s(said: Mapping[str, Any]) -> float | None:
    """The ``retryDelay`` of Google's RetryInfo among the details of an error, in s; None without a readable one."""
    for detail in map(members, items(said.get("details"))[:DETAILS_LIMIT]):
        if text(detail.get("@type")).endswith(RETRY_INFO):
            found = _DURATION.fullmatch(text(detail.get("retryDelay")))
            if found is not None:
                return min(float(found[1]), RETRY_AFTER_LIMIT_S)
    return None


def _word(value: object) -> str | None:
    if isinstance(value, str) and value:
        return bounded(value.rpartition("#")[2] or value, QUOTED_LIMIT_CHARS)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else None


def _status(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    return None
