"""What a watched exchange says to whoever looks from another side: when a provider was asked, and whether it flows."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kmon.stream.events import Ending


class ProviderCall(Struct, frozen=True):
    """One exchange at one moment. Stamps are CLOCK_MONOTONIC ns of the upstream's side, None for what has not been."""

    run: str
    """The run it is shown as."""
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
