"""Undoing a content encoding that was not asked for, a bounded step at a time: a small body may unpack to gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx

STEP_BYTES = 1 << 18
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Unpacker:
    """Call it with each piece of the body. ``identity`` passes through; one layer of gzip or deflate is undone."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        bits = _WINDOW_BITS.get(self._encoding)
        self._inflate = zlib.decompressobj(bits) if bits is not None else None

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        """What ``packed`` unpacks to, in steps of at most ``STEP_BYTES``. Raises ``httpx.DecodingError``."""
        if self._encoding in ("", "identity"):
            yield packed
            return
        if self._inflate is None:
            raise httpx.DecodingError(
                f"the body is encoded as {self._encoding[:60]!r}, although identity was asked for"
            )
        try:
            while packed:
                data = self._inflate.decompress(packed, STEP_BYTES)
                packed = self._inflate.unconsumed_tail
                if data:
                    yield data
        except zlib.error as error:
            raise httpx.DecodingError(f"the {self._encoding} body cannot be unpacked: {error}") from error
