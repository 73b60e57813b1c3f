"""The table of dialects: lookup by name, by the path of a request, by content type.

A new dialect is a module and two lines here. Importing this module imports no dialect, so that help texts that name
them are fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from kmon.errors import UsageError

TYPE_CHECKING = False  # typing's own is an import that --help would wait for
if TYPE_CHECKING:
    from kmon.dialects.dialect import Dialect, HttpDialect, Route, WireFormat

NAMES = ("chat", "converse", "messages", "responses", "gemini", "deepinfra", "ollama", "openclaw", "ws")
"""The dialects of targets; the first is the default."""

_added: dict[str, Dialect | WireFormat] = {}


@cache
def _built_in() -> tuple[Dialect | WireFormat, ...]:
    from kmon.dialects.bedrock_invoke import BedrockInvoke
    from kmon.dialects.chat import Chat
    from kmon.dialects.converse import Converse
    from kmon.dialects.deepinfra import DeepInfra
    from kmon.dialects.gemini import Gemini
    from kmon.dialects.messages import Messages
    from kmon.dialects.ollama import Ollama
    from kmon.dialects.responses import Responses
    from kmon.dialects.sockets import OpenClawGateway, PlainWebSocket

    return (
        Chat(),
        Converse(),
        Messages(),
        Responses(),
        Gemini(),
        DeepInfra(),
        Ollama(),
        BedrockInvoke(),
        OpenClawGateway(),
        PlainWebSocket(),
    )


def _entries() -> tuple[Dialect | WireFormat, ...]:
    return (*_built_in(), *_added.values())


@contextmanager
def registered(entry: Dialect | WireFormat) -> Iterator[None]:
    """Add ``entry`` to the table inside the context. Raises ValueError if its name is taken."""
    if any(entry.name == known.name for known in _entries()):
        raise ValueError(f"there is a dialect {entry.name!r} already")
    _added[entry.name] = entry
    try:
        yield
    finally:
        del _added[entry.name]


def names() -> tuple[str, ...]:
    """The names of :func:`dialects`, as ``--dialect`` and ``kmon.toml`` take them."""
    return tuple(entry.name for entry in dialects()) if _added else NAMES


def dialects() -> tuple[Dialect, ...]:
    """The dialects in which kmon can send requests to a target."""
    from kmon.dialects.dialect import Dialect

    return tuple(entry for entry in _entries() if isinstance(entry, Dialect))


def http_dialects() -> tuple[HttpDialect, ...]:
    """The dialects of one HTTP request and one streamed answer."""
    from kmon.dialects.dialect import HttpDialect

    return tuple(entry for entry in _entries() if isinstance(entry, HttpDialect))


def formats() -> tuple[WireFormat, ...]:
    """The formats that kmon can decode. If two recognise the same, the first is used."""
    from kmon.dialects.dialect import WireFormat

    return tuple(entry for entry in _entries() if isinstance(entry, WireFormat))


def dialect(name: str) -> Dialect:
    """The dialect called ``name``. Raises UsageError, which lists all, if there is none."""
    found = next((entry for entry in dialects() if entry.name == name), None)
    if found is None:
        raise UsageError(f"there is no dialect {name!r}; use one of {', '.join(names())}")
    return found


def http_dialect(name: str) -> HttpDialect:
    """The HTTP dialect called ``name``. Raises UsageError, which lists all, if there is none."""
    found = next((entry for entry in http_dialects() if entry.name == name), None)
    if found is None:
        known = ", ".join(entry.name for entry in http_dialects())
        raise UsageError(f"dialect {name!r} is no HTTP request; use one of {known}")
    return found


def wire_format(name: str) -> WireFormat | None:
    """The format called ``name``; None if kmon cannot decode it."""
    return next((entry for entry in formats() if entry.name == name), None)


def routed(path: str) -> tuple[WireFormat, Route] | None:
    """The format of a request to ``path``, and what else the path says; None if kmon knows none."""
    for entry in formats():
        if (route := entry.route(path)) is not None:
            return entry, route
    return None
