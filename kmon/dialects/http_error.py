"""An answer that is no stream: what it says, in one error."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import WireFormat, error_member
from kmon.dialects.headers import http_date, retry_after_s
from kmon.dialects.text import clean
from kmon.dialects.wire import EVENT_STREAM_TYPE, SSE_TYPE

HOST_LIMIT_CHARS = 255
STREAM_TYPES = (SSE_TYPE, EVENT_STREAM_TYPE, "application/octet-stream", "text/plain", "")


def is_stream(status: int, content_type: str, wanted: str) -> bool:
    """Whether the body is worth decoding as the stream that was ``wanted`` (a content type).

    Some servers ignore ``stream: true`` and answer JSON or HTML. Event-stream frames carry checksums and tell by
    themselves whether they are any; their content type is checked by no client and so by no server.
    """
    if status != 200:
        return False
    return wanted == EVENT_STREAM_TYPE or content_type in (wanted, *STREAM_TYPES)


def answer_error(
    status: int,
    content_type: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    spoken: WireFormat | None = None,
    code: str | None = None,
) -> StreamError:
    """Turn a non-stream answer into an error with the provider's own message, cleaned and bounded.

    ``spoken`` is the format whose error envelope is looked for, None for the usual one. ``code`` is the refusal's code
    where a client library has read it; otherwise the body may give one.
    """
    text = clean(body.decode("utf-8", "replace"))
    # A date to retry after is one of the server's clock, and so is the date it answers with; ours may be off.
    now = http_date(headers.get("date")) or datetime.datetime.now(datetime.UTC)
    retry_s = retry_after_s(headers.get("retry-after"), now)
    message, said_code = _message(text, error_member if spoken is None else spoken.error_in)
    message = _redirection(status, headers.get("location", "")) or message
    code = code or said_code
    frame = bounded(text, FRAME_LIMIT_CHARS)
    if status == 200:
        what = "JSON" if "json" in content_type else content_type or "something else"
        return StreamError(
            "not-a-stream",
            f"answered {what} instead of a stream: {message}",
            200,
            frame=frame,
        )
    wait = f" (Retry-After {retry_s:g} s)" if retry_s is not None else ""
    return StreamError(
        "http",
        f"HTTP {status}: {message}{wait}",
        status,
        code,
        frame=frame,
        retry_after_s=retry_s,
    )


def _message(text: str, error_in: Callable[[object], object]) -> tuple[str, str | None]:
    """The message and the code of a JSON error body in any of its usual shapes, else its start."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return bounded(" ".join(text.split()), QUOTED_LIMIT_CHARS) or "no body", None
    error = error_in(value)
    if error in (None, "", {}, []):
        return "no message", None
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or error.get("type") or json.dumps(error)
        code = error.get("code") or error.get("type")
        code = None if code is None else bounded(str(code), QUOTED_LIMIT_CHARS)
        return bounded(str(message), QUOTED_LIMIT_CHARS), code
    return bounded(str(error), QUOTED_LIMIT_CHARS), None


def _redirection(status: int, location: str) -> str | None:
    """Where a redirect points, its host only: paths and queries may hold tokens. None if it is none."""
    if not 300 <= status < 400 or not location:
        return None
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    return f"redirected to {bounded(host, HOST_LIMIT_CHARS) if host else 'another path'}, not followed"
