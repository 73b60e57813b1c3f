"""Undoes compression, of files and of recorded bodies, with a bound on what it expands to.

gzip, deflate, bzip2 and xz are in the standard library. Brotli and Zstandard are optional packages; a sentence says
what to install where one is missing.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable
from typing import NamedTuple

from kmon.dialects.content_coding import INSTALL, CodingError, PackageError, codings, layer
from kmon.dialects.framing import Framing
from kmon.recording.sniff import framing_of

EXPANDED_LIMIT_BYTES = 64 * 1024 * 1024

GZIP, ZSTANDARD, BZIP2, XZ = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
_PLAIN_STARTS = (b"{", b"[", b"<")
_ZSTANDARD_WINDOW_BYTES = 128 * 1024 * 1024
"""What the format's own tool accepts; a larger window only costs memory."""


class NotCompressedError(Exception):
    """The bytes are not of the compression that is said of them."""


def expanded(data: bytes, coding: str) -> bytes:
    """``data`` without one compression: ``gzip``, ``deflate``, ``br``, ``zstd``, ``bzip2`` or ``xz``.

    What is cut gives what there is. Raises :class:`NotCompressedError`, and ``ValueError`` with a sentence if it
    expands to more than :data:`EXPANDED_LIMIT_BYTES`, or needs a package that is not installed.
    """
    return _CODINGS[coding](data)


def decoded_body(body: bytes, declared: str) -> bytes:
    """``body`` without the content codings of a ``Content-Encoding`` header, and without an undeclared gzip or zstd.

    A body that a recorder stored decoded, with its header kept, is returned as it is. Raises ``ValueError`` with a
    sentence, as :func:`expanded`.
    """
    return next(reversed(layers(body, declared))).plain


class Undone(NamedTuple):
    """One compression that was undone, and the bytes before and after. ``coding`` is empty for a body without any."""

    coding: str
    packed: bytes
    plain: bytes


def layers(body: bytes, declared: str) -> list[Undone]:
    """The compressions of a body as :func:`decoded_body` undoes them, the outermost first; never empty."""
    found = [Undone("", body, body)]
    for coding in codings(declared):
        if coding in _CODINGS and not _plain(found[-1].plain):
            found.append(_attempted(found[-1].plain, coding))
    for magic, coding in ((GZIP, "gzip"), (ZSTANDARD, "zstd")):
        if found[-1].plain.startswith(magic):
            found.append(_attempted(found[-1].plain, coding))
    return found


def _plain(body: bytes) -> bool:
    framing: Framing | None = framing_of(body)
    return framing is not None or body.lstrip()[:1] in _PLAIN_STARTS


def _attempted(body: bytes, coding: str) -> Undone:
    try:
        return Undone(coding, body, expanded(body, coding))
    except NotCompressedError:
        return Undone("", body, body)


def _content_coding(coding: str) -> Callable[[bytes], bytes]:
    """The whole of what :func:`kmon.dialects.content_coding.layer` undoes piece by piece."""

    def whole(data: bytes) -> bytes:
        found, size = [], 0
        try:
            for piece in layer(coding)(data):
                found.append(piece)
                size += len(piece)
                if size > EXPANDED_LIMIT_BYTES:
                    break
        except PackageError as why:
            raise ValueError(f"it is compressed with {coding}, which {why}") from None
        except CodingError:
            if not found:
                raise NotCompressedError from None
        return _bounded(b"".join(found))

    return whole


def _bzip2(data: bytes) -> bytes:
    try:
        plain = bz2.BZ2Decompressor().decompress(data, EXPANDED_LIMIT_BYTES + 1)
    except (OSError, ValueError, EOFError):
        raise NotCompressedError from None
    return _bounded(plain)


def _xz(data: bytes) -> bytes:
    try:
        decompressor = lzma.LZMADecompressor(memlimit=EXPANDED_LIMIT_BYTES * 4)
        plain = decompressor.decompress(data, EXPANDED_LIMIT_BYTES + 1)
    except (lzma.LZMAError, EOFError):
        raise NotCompressedError from None
    return _bounded(plain)


def _zstandard(data: bytes) -> bytes:
    if not data.startswith(ZSTANDARD):
        raise NotCompressedError
    try:
        import zstandard
    except ImportError:
        raise ValueError(f"it is compressed with zstd, which needs a package: {INSTALL}") from None
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTANDARD_WINDOW_BYTES)
    reader = decompressor.stream_reader(data, read_across_frames=True)
    found: list[bytes] = []
    left = EXPANDED_LIMIT_BYTES + 1
    try:
        while left and (piece := reader.read(min(left, 1 << 20))):
            found.append(piece)
            left -= len(piece)
    except zstandard.ZstdError:
        if not found:
            raise NotCompressedError from None
    return _bounded(b"".join(found))


def _bounded(plain: bytes) -> bytes:
    if len(plain) > EXPANDED_LIMIT_BYTES:
        raise ValueError(f"what is compressed expands to more than {EXPANDED_LIMIT_BYTES // 2**20} MiB")
    return plain


_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _content_coding("gzip"),
    "deflate": _content_coding("deflate"),
    "br": _content_coding("br"),
    "zstd": _zstandard,
    "bzip2": _bzip2,
    "xz": _xz,
}
