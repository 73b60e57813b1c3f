"""The dialects the simulator speaks: by name, and by the path of a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kmon.simulator.dialects.chat import CHAT
from kmon.simulator.dialects.converse import CONVERSE
from kmon.simulator.dialects.deepinfra import DEEPINFRA
from kmon.simulator.dialects.gemini import GEMINI
from kmon.simulator.dialects.messages import MESSAGES
from kmon.simulator.dialects.ollama import OLLAMA
from kmon.simulator.dialects.responses import RESPONSES
from kmon.simulator.wire import Carrier, ServerDialect, ServerRoute, Trait

_TABLE: dict[str, ServerDialect] = {
    entry.name: entry for entry in (CONVERSE, DEEPINFRA, GEMINI, CHAT, MESSAGES, RESPONSES, OLLAMA)
}
"""The first that a path fits is asked."""


@contextmanager
def served(entry: ServerDialect) -> Iterator[None]:
    """Have ``entry`` in the table for as long as the context is open. Raises ValueError for a name that is taken."""
    if entry.name in _TABLE:
        raise ValueError(f"the simulator speaks {entry.name!r} already")
    _TABLE[entry.name] = entry
    try:
        yield
    finally:
        del _TABLE[entry.name]


def server_dialects() -> tuple[ServerDialect, ...]:
    """All of them."""
    return tuple(_TABLE.values())


def server_dialect(name: str) -> ServerDialect | None:
    """The one called ``name``; None if the simulator does not speak it."""
    return _TABLE.get(name)


def names_with(needs: frozenset[Trait], carrier: Carrier | None = None) -> list[str]:
    """Those that have all of these traits, in words; over a WebSocket, if that is the ``carrier``."""
    sides = (entry.on_socket if carrier == "websocket" else entry for entry in _TABLE.values())
    return sorted(side.words for side in sides if side is not None and needs <= side.traits)


def route(path: str) -> ServerRoute | None:
    """The dialect, provider and model of a (decoded) path; None for a path of no dialect."""
    return next((found for entry in _TABLE.values() if (found := entry.route(path)) is not None), None)
