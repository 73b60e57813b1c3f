"""The gateway's side of a model call: hands pieces on as they come, or keeps them all until the end (mechanism A)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kmon.openclaw.simulated.provider import Piece, Text


async def streaming(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Each piece when it comes."""
    async for piece in pieces:
        yield piece


async def buffering(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Nothing until the provider has ended; then all the text as one piece, and the rest.

    The stream of the provider is read to its end before anything is told, which is the defect: the caller sees no
    sign of life for as long as the provider streams.
    """
    read = [piece async for piece in pieces]
    text = "".join(piece.text for piece in read if isinstance(piece, Text))
    if text:
        yield Text(text)
    for piece in read:
        if not isinstance(piece, Text):
            yield piece
