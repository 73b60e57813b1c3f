"""Which response headers are kept as evidence. An allow-list: credentials and account headers never match it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from kmon.dialects.bounds import QUOTED_LIMIT_CHARS, bounded

REQUEST_ID_HEADERS = (
    "x-request-id", "request-id", "x-generation-id", "cf-ray", "x-trace-id", "msh-request-id", "x-msh-trace-id",
    "nvcf-reqid", "mistral-correlation-id", "x-kong-request-id", "x-amzn-requestid", "x-baseten-request-id",
    "x-groq-request-id", "apim-request-id",
)  # fmt: skip
"""Ids a provider's support can look a request up by."""

TIMING_HEADERS = (
    "server-timing", "openai-processing-ms", "x-envoy-upstream-service-time",
    "fireworks-server-time-to-first-token", "fireworks-server-processing-time",
)  # fmt: skip
"""What the server says about its own time."""

SERVER_LATENCY = "server-latency-ms"
"""Kept beside them: the server's own total in ms, where the stream tells it (Bedrock ``metrics.latencyMs``)."""


RETRY_AFTER_LIMIT_S = 1e9
"""Thirty years: who asks for more means never."""


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The request ids and server timings among ``headers``, values bounded."""
    names = (*REQUEST_ID_HEADERS, *TIMING_HEADERS)
    return {name: bounded(headers[name], QUOTED_LIMIT_CHARS) for name in names if name in headers}


def retry_after_s(value: str | None, now: datetime.datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` value: a number, or an HTTP date relative to ``now``. None if neither."""
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


def http_date(value: str | None) -> datetime.datetime | None:
    """The moment an HTTP date stands for, or None if it is none."""
    try:
        when = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)
