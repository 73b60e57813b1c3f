"""The keys in a request that somebody else made: known only so that they can be taken out of whatever is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password|credential|signature", re.IGNORECASE)
SECRETS_LIMIT = 24
SECRET_LIMIT_CHARS = 4_096
_SIGNED = "AWS4-HMAC-SHA256"
_PARTS = re.compile(r"[;,\s]+")


def keys_in(headers: Mapping[str, str], query: str) -> tuple[str, ...]:
    """Every value of a request head that may be a key, and its parts: ``Bearer KEY``, ``a=KEY; b=KEY``."""
    values = [value for name, value in headers.items() if SECRET_NAME.search(name)]
    values += [value for name, value in parse_qsl(query) if SECRET_NAME.search(name)]
    found: dict[str, None] = {}
    for value in values:
        for part in (value, *_PARTS.split(value)):
            found[part[:SECRET_LIMIT_CHARS]] = None
            found[part.partition("=")[2][:SECRET_LIMIT_CHARS]] = None
    return tuple(key for key in found if len(key) >= 8 and key != _SIGNED)[:SECRETS_LIMIT]


def signed_host(headers: Mapping[str, str], query: str) -> bool:
    """Whether the request carries an AWS signature, which covers the Host header."""
    return headers.get("authorization", "").startswith(_SIGNED) or "X-Amz-Signature=" in query
