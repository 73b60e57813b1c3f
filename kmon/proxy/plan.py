"""What a proxy will do, decided before it listens."""

from __future__ import annotations

from msgspec import Struct

KEEP_RUNS = 12
"""Ended requests that stay on the screen."""


class ProxyPlan(Struct, frozen=True, kw_only=True, tag="proxy"):
    """Listen on ``host`` and ``port`` (loopback), pass everything on to the origin of ``base_url``.

    ``upstream`` is its name on the screen. Of the runs that have ended the latest ``keep`` are kept.
    """

    upstream: str
    base_url: str
    host: str = "127.0.0.1"
    port: int = 0
    stall_s: float = 5.0
    connect_timeout_s: float = 10.0
    keep: int = KEEP_RUNS
    simulated: bool = False
