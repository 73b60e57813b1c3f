"""Reads issuer and expiry from the DER bytes of a certificate.

The standard library gives neither for a certificate that is not trusted. Only the fields needed are parsed (RFC 5280,
section 4.1). Anything unexpected raises ``ValueError``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from msgspec import Struct

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.text import clean

DAY_S = 86_400.0

_SEQUENCE, _OID, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x06, 0xA0, 0x17, 0x18
_COMMON_NAME, _ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_TWO_BYTES, _FOUR_BYTES = 0x1E, 0x1C
"""BMPString and UniversalString; every other string type is read as UTF-8."""


class Certificate(Struct, frozen=True):
    """Issuer and expiry (s since 1970) of a server's certificate."""

    issuer: str
    expires_s: float

    def days_left(self, now_s: float) -> float:
        """Days until it expires; negative after that."""
        return (self.expires_s - now_s) / DAY_S


def read_certificate(der: bytes) -> Certificate:
    """Parse a DER certificate. Raises ``ValueError`` for bytes that are none."""
    try:
        ((_, whole),) = _elements(der)
        _, to_be_signed = next(_elements(whole))
        fields = [field for field in _elements(to_be_signed) if field[0] != _VERSION]
        _, issuer = fields[2]
        _, validity = fields[3]
        _, (kind, end) = _elements(validity)
        return Certificate(_issuer(issuer), _moment(kind, end).timestamp())
    except (StopIteration, IndexError, OverflowError) as error:
        raise ValueError("these bytes are no certificate") from error


def _issuer(name: bytes) -> str:
    """``Let's Encrypt (R11)``: organization and common name of the issuer."""
    names: dict[bytes, str] = {}
    for _, relative in _elements(name):
        for _, attribute in _elements(relative):
            (tag, oid), (kind, text) = _elements(attribute)
            if tag == _OID:
                names.setdefault(oid, _text(kind, text))
    organization, common = names.get(_ORGANIZATION, ""), names.get(_COMMON_NAME, "")
    if organization and common:
        return f"{organization} ({common})"
    return organization or common or "an issuer without a name"


def _text(kind: int, text: bytes) -> str:
    encoding = {_TWO_BYTES: "utf-16-be", _FOUR_BYTES: "utf-32-be"}.get(kind, "utf-8")
    return bounded(" ".join(clean(text.decode(encoding, "replace")).split()), NAME_LIMIT_CHARS)


def _moment(kind: int, text: bytes) -> datetime.datetime:
    digits = text.decode("ascii")
    if kind == _UTC_TIME:  # RFC 5280, 4.1.2.5.1: a two-digit year from 50 on is 19YY
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    elif kind != _GENERALIZED_TIME:
        raise ValueError("a certificate without an end")
    return datetime.datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each DER element in ``data``."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise ValueError("an element of no definite length")
            size, at = int.from_bytes(data[at : at + width]), at + width
        if at + size > len(data):
            raise ValueError("an element that is longer than what holds it")
        yield tag, data[at : at + size]
        at += size
