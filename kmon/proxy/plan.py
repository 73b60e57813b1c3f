"""The plan of a proxy, made before it listens."""

from __future__ import annotations

from msgspec import Struct

KEEP_RUNS = 12
"""Ended exchanges that stay on the screen."""


class ProxyPlan(Struct, frozen=True, kw_only=True, tag="proxy"):
    """Listen on ``host`` and ``port`` (loopback) and pass requests on to the origin of ``base_url``.

    ``upstream`` is its name on the screen. The latest ``keep`` ended runs are kept.
    """

    upstream: str
    base_url: str
    host: str = "127.0.0.1"
    port: int = 0
    stall_s: float = 5.0
    connect_timeout_s: float = 10.0
    keep: int = KEEP_RUNS
    simulated: bool = False
