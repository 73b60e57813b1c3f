"""A snapshot of one proxied exchange: when the provider was called, and how its answer stands."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kmon.stream.events import Ending


class ProviderCall(Struct, frozen=True):
    """One exchange at one moment. Stamps are CLOCK_MONOTONIC ns on the upstream's side; None: not reached yet."""

    run: str
    """The run that shows it."""
    path: str
    model: str
    said_sha256: str
    """Of the last user message (``kmon.proxy.request.said_hash``), "" where none could be read."""
    opened_ns: int
    first_byte_ns: int | None = None
    last_progress_ns: int | None = None
    chunks: int = 0
    finished_ns: int | None = None
    ending: Ending | None = None
    signature: str | None = None
    unread: bool = False
    """It is not read: ``last_progress_ns`` is of its last byte, whatever that was."""


OnCall = Callable[[ProviderCall], None]
"""Called when an exchange opens (its request read), at its first byte, its first progress, and its end."""
