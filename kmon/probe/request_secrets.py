"""Finds keys in requests, beside the target's own, so that they can be removed from all text."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from kmon.model import Target
from kmon.transport.proxy import secrets

SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password|credential|signature", re.IGNORECASE)
SECRETS_LIMIT = 24
SECRET_LIMIT_CHARS = 4_096
_NAMED_SECRET = re.compile(
    r'([\w-]*(?:token|password|secret|api[_-]?key|authorization|credential)[\w-]*)\\?"\s*:\s*\\?"([^"\\]{8,4096})',
    re.IGNORECASE,
)
_SIGNED = "AWS4-HMAC-SHA256"
_PARTS = re.compile(r"[;,\s]+")


def keys_in(headers: Mapping[str, str], query: str) -> tuple[str, ...]:
    """Every value of a request head that may be a key, and its parts: ``Bearer KEY``, ``a=KEY; b=KEY``.

    At most ``SECRETS_LIMIT`` values, each cut to ``SECRET_LIMIT_CHARS``.
    """
    named = [*headers.items(), *parse_qsl(query)]
    values = [value for name, value in sorted(named, key=_rank) if SECRET_NAME.search(name)]
    found: dict[str, None] = {}
    for value in values:
        for part in (value, *_PARTS.split(value), *_basic(value)):
            found[part[:SECRET_LIMIT_CHARS]] = None
            found[part.partition("=")[2][:SECRET_LIMIT_CHARS]] = None
    return tuple(key for key in found if len(key) >= 8 and key != _SIGNED)[:SECRETS_LIMIT]


def _rank(named: tuple[str, str]) -> bool:
    """Sort key: cookies last, so that many of them do not displace the key."""
    return "cookie" in named[0].lower()


def own_keys(target: Target) -> tuple[str, ...]:
    """Keys that a target's own headers and base URL carry beside the one from the environment."""
    parts = urlsplit(target.base_url)
    return (*keys_in(target.headers, parts.query), *secrets(target.base_url))


def _basic(value: str) -> tuple[str, ...]:
    """User and password, and the password alone, of ``Basic BASE64``."""
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return ()
    return pair, pair.partition(":")[2]


def keys_said(text: str, *, answered: bool) -> tuple[str, ...]:
    """Every value of a JSON message whose member name marks a key, such as the token of a gateway's ``connect``.

    In responses (``answered``) a bare ``token`` is a piece of output, not a key.
    """
    found = (match.groups() for match in _NAMED_SECRET.finditer(text))
    return tuple(key for name, key in found if not (answered and name.lower() == "token"))[:SECRETS_LIMIT]


def signed_host(headers: Mapping[str, str], query: str) -> bool:
    """Whether the request carries an AWS signature, which covers the Host header."""
    return headers.get("authorization", "").startswith(_SIGNED) or "X-Amz-Signature=" in query
