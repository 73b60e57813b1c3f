"""The shape of one entry in the table of formats."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kmon.recording.interaction import Interaction
from kmon.recording.source import Source


class Format(Struct, frozen=True):
    """A kind of recording file.

    ``read`` is called where ``looks_like`` is true. It raises ``ValueError`` with a sentence, in words that follow a
    file's name and a colon, where the file is damaged; an empty list means that it holds no exchange.
    """

    name: str
    looks_like: Callable[[Source], bool]
    read: Callable[[Source], list[Interaction]]
