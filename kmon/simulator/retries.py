"""Notices retries that a client library makes behind the back of who uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping

AMZ_REQUEST = "amz-sdk-request"
AMZ_INVOCATION = "amz-sdk-invocation-id"
STAINLESS_RETRIES = "x-stainless-retry-count"

_ATTEMPT = re.compile(r"\battempt=(\d{1,4})\b")


def client_attempt(headers: Mapping[str, str]) -> int:
    """Which attempt of one call this request is by its headers, from 1; 0 when the client does not say.

    The AWS SDKs say ``attempt=2`` in ``amz-sdk-request``; those of OpenAI and Anthropic count retries from 0.
    """
    if found := _ATTEMPT.search(headers.get(AMZ_REQUEST, "")):
        return int(found[1])
    retries = headers.get(STAINLESS_RETRIES, "")
    return int(retries) + 1 if retries.isascii() and retries.isdigit() and len(retries) < 5 else 0
