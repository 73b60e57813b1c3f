"""The interface of a dialect that a WebSocket carries in turns: one request, its answer, then the next request.

A socket may be open for an hour. What passes between two turns belongs to none: the client works then, not the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kmon.dialects.delta import Delta


@dataclass(slots=True, eq=False)
class Turn:
    """One request over a WebSocket, and how far its answer is."""

    request: bytes
    """The message that asks. A turn that the server began by itself has that of the turn that it goes on with."""
    lane: str = ""
    continues: str = ""
    """The id of the answer that the request goes on with, if it names one: only what is new is said then."""
    prepares: bool = False
    """Whether no output is asked for: the request only prepares the server for a later one."""
    answered: bool = False
    """Whether a message of its answer has come."""
    ended: bool = False


class Said(NamedTuple):
    """What a message of the server means: ``delta``, for each of ``turns``; none between turns."""

    delta: Delta
    turns: tuple[Turn, ...] = ()
    ends: bool = False
    """Whether it is the last message of these turns."""
    due: tuple[Turn, ...] = ()
    """Turns that waited for these to end, and are answered from now on."""


class SocketTurns(Protocol):
    """A fold over the messages of one WebSocket. Neither method raises, whatever the messages hold."""

    def message(self, body: bytes) -> bytes:
        """The message that asks for what an HTTP request with this JSON body asks for."""
        ...

    def asked(self, data: bytes, *, cut: bool = False) -> Turn | None:
        """The turn that this message of the client begins; None if it begins none.

        Of a message that is ``cut``, only the beginning is known.
        """
        ...

    def said(self, data: bytes, *, cut: bool = False) -> Said:
        """The meaning of this message of the server. A turn that is not known yet begins with it.

        Of a message that is ``cut``, only the beginning is known.
        """
        ...

    def is_due(self, turn: Turn) -> bool:
        """Whether the server is to answer it now, and no other turn is before it."""
        ...

    @property
    def open(self) -> tuple[Turn, ...]:
        """The turns that have not ended, in the order of their requests."""
        ...
