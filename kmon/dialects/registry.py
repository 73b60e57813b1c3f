"""The table of dialects: by name, and by the path of a request. A new dialect is a module and one line here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kmon.dialects.bedrock_invoke import BedrockInvoke
from kmon.dialects.chat import Chat
from kmon.dialects.converse import Converse
from kmon.dialects.deepinfra import DeepInfra
from kmon.dialects.dialect import Dialect, HttpDialect, Route, WireFormat
from kmon.dialects.messages import Messages
from kmon.dialects.sockets import OpenClawGateway, PlainWebSocket
from kmon.errors import UsageError

_TABLE: dict[str, Dialect | WireFormat] = {
    entry.name: entry
    for entry in (Chat(), Converse(), Messages(), DeepInfra(), BedrockInvoke(), OpenClawGateway(), PlainWebSocket())
}


@contextmanager
def registered(entry: Dialect | WireFormat) -> Iterator[None]:
    """Have ``entry`` in the table for as long as the context is open. Raises ValueError for a name that is taken."""
    if entry.name in _TABLE:
        raise ValueError(f"there is a dialect {entry.name!r} already")
    _TABLE[entry.name] = entry
    try:
        yield
    finally:
        del _TABLE[entry.name]


def dialects() -> tuple[Dialect, ...]:
    """What a target can be asked in."""
    return tuple(entry for entry in _TABLE.values() if isinstance(entry, Dialect))


def names() -> tuple[str, ...]:
    """The names of :func:`dialects`, as ``--dialect`` and ``kmon.toml`` take them."""
    return tuple(entry.name for entry in dialects())


def http_dialects() -> tuple[HttpDialect, ...]:
    """Those of one HTTP request and one streamed answer."""
    return tuple(entry for entry in _TABLE.values() if isinstance(entry, HttpDialect))


def formats() -> tuple[WireFormat, ...]:
    """What can be decoded. Where two recognise the same, the first counts."""
    return tuple(entry for entry in _TABLE.values() if isinstance(entry, WireFormat))


def dialect(name: str) -> Dialect:
    """The dialect called ``name``. Raises UsageError, which lists all, if there is none."""
    found = _TABLE.get(name)
    if not isinstance(found, Dialect):
        raise UsageError(f"there is no dialect {name!r}; use one of {', '.join(names())}")
    return found


def http_dialect(name: str) -> HttpDialect:
    """The same for one that goes as an HTTP request."""
    found = dialect(name)
    if not isinstance(found, HttpDialect):
        known = ", ".join(entry.name for entry in http_dialects())
        raise UsageError(f"dialect {name!r} is no HTTP request; use one of {known}")
    return found


def wire_format(name: str) -> WireFormat | None:
    """The format called ``name``; None if kmon cannot decode it."""
    found = _TABLE.get(name)
    return found if isinstance(found, WireFormat) else None


def routed(path: str) -> tuple[WireFormat, Route] | None:
    """The format that a request to ``path`` is in, and what else the path says; None where kmon knows none."""
    for entry in formats():
        if (route := entry.route(path)) is not None:
            return entry, route
    return None


def of_content_type(content_type: str) -> WireFormat | None:
    """The first format that streams as ``content_type``: what an answer is read as when nothing else tells."""
    return next((entry for entry in formats() if entry.content_type == content_type), None)
