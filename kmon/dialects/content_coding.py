"""Undoes the content codings of a body while it arrives: gzip, deflate, and br where its package is installed.

Several codings are layers. The pieces that come out are bounded, because a small body may expand to gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

STEP_BYTES = 1 << 18
INSTALL = "pip install 'kmon-tui[compression]'"
NAMES = {"x-gzip": "gzip", "zstandard": "zstd", "brotli": "br"}
"""Other names of codings, which HTTP or its servers use."""
OF_EVERY_CLIENT = frozenset({"gzip", "deflate"})
"""Codings that need no package beside an HTTP client."""
_GZIP = b"\x1f\x8b"

Layer = Callable[[bytes], Iterator[bytes]]
"""Takes the packed bytes as they come; yields what can be unpacked so far. Raises :class:`CodingError`."""


class CodingError(Exception):
    """The bytes are not of their coding, or nothing here undoes it."""


class PackageError(CodingError):
    """A package is missing or too old; the message is a predicate of the coding that needs it."""


def codings(declared: str) -> list[str]:
    """The codings of a ``Content-Encoding`` header in the order in which they are undone, without ``identity``."""
    named = [NAMES.get(one.strip(), one.strip()) for one in declared.lower().split(",")]
    return [one for one in reversed(named) if one not in ("", "identity")]


def layer(coding: str) -> Layer:
    """What undoes one coding. Raises :class:`CodingError` for one that kmon does not know."""
    if coding == "gzip":
        return _Gzip()
    if coding == "deflate":
        return _Deflate()
    if coding == "br":
        return _Brotli()
    raise CodingError(f"nothing here undoes {coding[:60]!r}")


def through(layers: Iterable[Layer], packed: bytes) -> Iterator[bytes]:
    """What ``packed`` becomes in all layers."""
    pieces: Iterator[bytes] = iter((packed,))
    for one in layers:
        pieces = chain.from_iterable(map(one, pieces))
    return pieces


class _Gzip:
    """Members one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            if self._member.eof:
                if not packed.startswith(_GZIP[:1]):
                    return  # padding after the last member
                self._member = zlib.decompressobj(31)
            yield from _inflated(self._member, packed)
            packed = self._member.unused_data


class _Deflate:
    """zlib by the standard, and the bare deflate that some servers send under the same name."""

    def __init__(self) -> None:
        self._begin = b""
        self._inflate: zlib._Decompress | None = None

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            self._begin += packed
            if len(self._begin) < 2:
                return
            packed, self._begin = self._begin, b""
            has_header = packed[0] & 15 == 8 and (packed[0] * 256 + packed[1]) % 31 == 0
            self._inflate = zlib.decompressobj(15 if has_header else -15)
        yield from _inflated(self._inflate, packed)


def _inflated(inflate: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    try:
        while packed:
            data = inflate.decompress(packed, STEP_BYTES)
            packed = inflate.unconsumed_tail
            if data:
                yield data
    except zlib.error as error:
        raise CodingError(str(error)) from error


class _Brotli:
    def __init__(self) -> None:
        try:
            import brotli
        except ImportError:
            raise PackageError(f"needs a package: {INSTALL}") from None
        self._brotli, self._error = brotli.Decompressor(), brotli.error

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        try:
            while True:
                data = self._brotli.process(packed, output_buffer_limit=STEP_BYTES)
                packed = b""
                if not data:
                    return
                yield data
        except self._error as error:
            raise CodingError(str(error) or "it is not brotli") from error
        except TypeError:  # before 1.2 nothing bounds the memory
            raise PackageError(f"needs a newer package: {INSTALL}") from None
