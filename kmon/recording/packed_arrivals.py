"""When the bytes of a compressed body could be unpacked, from the times of its packed pieces.

A server that streams a compressed body flushes the compression after each event, so the event can be read when the
piece with the flush is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kmon.dialects.content_coding import CodingError, layer
from kmon.recording.arrivals import Marks
from kmon.recording.compression import Undone

Sizes = Callable[[bytes], int]
"""Takes the packed bytes as they come; returns how many bytes they unpack to."""


def unpacked_marks(undone: Sequence[Undone], marks: Marks) -> Marks:
    """``marks`` of the packed body as marks of what it unpacks to; none if they cannot be told."""
    for one in undone:
        if marks and one.coding:
            marks = _through(one, marks)
    return marks


def _through(one: Undone, marks: Marks) -> Marks:
    found: list[tuple[int, float]] = []
    at = size = 0
    try:
        sizes = _sizes(one.coding)
        for end, ms in marks:
            size = min(len(one.plain), size + sizes(one.packed[at:end]))
            at = end
            found.append((size, ms))
    except (CodingError, ValueError):
        return ()
    return found


def _sizes(coding: str) -> Sizes:
    """The whole body has been unpacked before, within its bound, so that these need none."""
    if coding == "zstd":
        return _zstandard_sizes()
    undo = layer(coding)
    return lambda packed: sum(map(len, undo(packed)))


def _zstandard_sizes() -> Sizes:
    import zstandard

    frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(read_across_frames=True)

    def size(packed: bytes) -> int:
        try:
            return len(frame.decompress(packed)) if packed else 0
        except zstandard.ZstdError as error:
            raise CodingError(str(error)) from None

    return size
