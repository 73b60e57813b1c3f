"""What a passive watch of a gateway needs to know. It asks for nothing that costs, and sends nothing but reads."""

from __future__ import annotations

from msgspec import Struct


class GatewayPlan(Struct, frozen=True, kw_only=True, tag="gateway"):
    """``watch_s`` bounds the watch as a whole; None watches until it is ended."""

    name: str
    url: str
    stall_s: float = 5.0
    connect_timeout_s: float = 10.0
    watch_s: float | None = None
