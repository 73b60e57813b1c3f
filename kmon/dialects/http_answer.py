"""What kmon keeps of an HTTP answer besides its stream: evidence headers, and the error of an answer that is no stream.

The headers are an allow-list: credentials and account headers are never on it.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from msgspec import structs

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.dialect import WireFormat, error_member
from kmon.dialects.error_words import reported
from kmon.dialects.fault import RETRY_AFTER_LIMIT_S, fault, fault_of_text
from kmon.dialects.framing import EVENT_STREAM_TYPE, SSE_TYPE
from kmon.dialects.json_access import parsed
from kmon.dialects.text import clean

REQUEST_ID_HEADERS = (
    "x-request-id", "request-id", "x-generation-id", "cf-ray", "x-trace-id", "msh-request-id", "x-msh-trace-id",
    "nvcf-reqid", "mistral-correlation-id", "x-kong-request-id", "x-amzn-requestid", "x-baseten-request-id",
    "x-groq-request-id", "apim-request-id",
)  # fmt: skip
"""Ids by which a provider's support finds a request."""

TIMING_HEADERS = (
    "server-timing", "openai-processing-ms", "x-envoy-upstream-service-time",
    "fireworks-server-time-to-first-token", "fireworks-server-processing-time",
)  # fmt: skip
"""The server's own times."""

SERVER_LATENCY = "server-latency-ms"
"""Key for the server's own total in ms, if the stream has it (Bedrock ``metrics.latencyMs``)."""
SERVER_LOAD, SERVER_PROMPT = "server-load-ms", "server-prompt-ms"
"""Keys for the times before the first token in ms, if the stream has them: the model was loaded, the prompt read."""
LONG_WAIT_MS = 500
"""A shorter part of the wait for the first token explains nothing."""
LOCATION_LIMIT_CHARS = 1_000
NO_CONTENT = 204
STREAM_TYPES = (SSE_TYPE, EVENT_STREAM_TYPE, "application/octet-stream", "text/plain", "")


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The request ids and server timings among ``headers``, values bounded."""
    names = (*REQUEST_ID_HEADERS, *TIMING_HEADERS)
    return {name: bounded(headers[name], QUOTED_LIMIT_CHARS) for name in names if name in headers}


def server_times(delta: Delta) -> dict[str, str]:
    """The server's own times in ``delta``, as they are shown beside the headers of :func:`kept`."""
    told = {SERVER_LATENCY: delta.server_ms, SERVER_LOAD: delta.server_load_ms, SERVER_PROMPT: delta.server_prompt_ms}
    return {name: f"{time_ms:g}" for name, time_ms in told.items() if time_ms is not None}


def server_wait(times: Mapping[str, str]) -> str:
    """What the server says it did before the first token, in words, from :func:`server_times`; "" if nothing long."""
    did = {SERVER_LOAD: "loaded the model", SERVER_PROMPT: "read the prompt"}
    told_ms = {words: float(times[name]) for name, words in did.items() if name in times}
    long = [f"{words} for {ms / 1000:.1f} s" for words, ms in told_ms.items() if ms >= LONG_WAIT_MS]
    return f"the server says that it {' and '.join(long)}" if long else ""


def retry_after_s(value: str | None, now: datetime.datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` value, a number or an HTTP date relative to ``now``; None if neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return min(max(0.0, seconds), RETRY_AFTER_LIMIT_S) if math.isfinite(seconds) else None
    when = http_date(value)
    return None if when is None else min(max(0.0, (when - now).total_seconds()), RETRY_AFTER_LIMIT_S)


def asked_delay_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``Retry-After``, in the order of OpenAI's SDKs; None without either.

    A date is a time of the server's clock, so it is compared with the Date header: this clock may be wrong.
    """
    now = http_date(headers.get("date")) or datetime.datetime.now(datetime.UTC)
    try:
        delay_ms = float(headers.get("retry-after-ms", "nan"))
    except ValueError:
        delay_ms = math.nan
    if math.isfinite(delay_ms):
        return min(max(0.0, delay_ms / 1000), RETRY_AFTER_LIMIT_S)
    return retry_after_s(headers.get("retry-after"), now)


def http_date(value: str | None) -> datetime.datetime | None:
    """The time of an HTTP date, or None if it is none."""
    try:
        when = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)


def may_stream(status: int) -> bool:
    """Whether an answer with this status can be the stream that was asked for: clients accept every other success."""
    return 200 <= status < 300 and status != NO_CONTENT


def is_stream(status: int, content_type: str, wanted: Collection[str]) -> bool:
    """Whether the body can be decoded as a stream of one of the media types ``wanted``, by the head of the answer.

    Some servers ignore ``stream: true`` and answer JSON or HTML; others stream under such a type, which no client looks
    at, so of those the body must be looked at. For event-stream frames any content type is accepted: the checksums show
    whether they are frames.
    """
    if not may_stream(status):
        return False
    return EVENT_STREAM_TYPE in wanted or content_type in wanted or content_type in STREAM_TYPES


def answer_error(
    status: int,
    content_type: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    spoken: WireFormat | None = None,
    code: str | None = None,
) -> StreamError:
    """Turn an answer that is no stream into an error with the provider's own message, cleaned and bounded.

    ``spoken`` is the format whose error envelope is read, None for the usual one. ``code`` is the error code if a
    client library has read it; otherwise the body may have one.
    """
    text = clean(body.decode("utf-8", "replace"))
    kind = "not-a-stream" if may_stream(status) else "http"
    error = body_error(text, kind, status, error_member if spoken is None else spoken.error_in)
    message = _redirection(status, headers.get("location", "")) or error.message
    if may_stream(status):
        what = "JSON" if "json" in content_type else content_type or "something else"
        return structs.replace(error, message=f"answered {what} instead of a stream: {message}", code=None)
    header_s = asked_delay_s(headers)
    retry_s = error.retry_after_s if header_s is None else header_s
    wait = f" (Retry-After {retry_s:g} s)" if retry_s is not None else ""
    return structs.replace(
        error, message=f"HTTP {status}: {message}{wait}", code=code or error.code, retry_after_s=retry_s
    )


def body_error(text: str, kind: str, status: int | None, error_in: Callable[[object], object]) -> StreamError:
    """The error in the body of an answer that is no stream: JSON in a usual shape, a page, or plain words.

    ``error_in`` finds the description in the envelope of a dialect.
    """
    frame = bounded(text, FRAME_LIMIT_CHARS)
    try:
        value = parsed(text.encode("utf-8", "replace"))
    except ValueError:
        error = fault_of_text(text, kind=kind, status=status, frame=frame)
        return error if text.strip() else structs.replace(error, message="no body")
    cause = reported(value)
    cause = error_in(value) if cause is None else cause
    if cause in (None, "", {}, []):
        return StreamError(kind, "no message", status, frame=frame)
    return fault(cause, kind=kind, status=status, frame=frame)


def _redirection(status: int, location: str) -> str | None:
    """The target of a redirect without what may be secret: user, query and fragment. None if it is no redirect."""
    if not 300 <= status < 400 or not location:
        return None
    try:
        to = urlsplit(location)
        host = to.hostname or ""
        port = f":{to.port}" if to.port is not None else ""
    except ValueError:
        return "redirected to an address that is none, not followed"
    host = f"[{host}]" if ":" in host else host
    place = f"{to.scheme}://{host}{port}{to.path}" if host and to.scheme else f"{host}{port}{to.path}"
    shown = bounded(clean(place), LOCATION_LIMIT_CHARS) + ("?…" if to.query else "")
    return f"redirected to {shown or 'no address'}, not followed"
