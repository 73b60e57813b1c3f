"""What is watched of a gateway, alone or together with the proxies in front of its providers."""

from __future__ import annotations

from msgspec import Struct

from kmon.engine.plan import RacePlan
from kmon.proxy.plan import ProxyPlan


class GatewayPlan(Struct, frozen=True, kw_only=True, tag="gateway"):
    """A passive watch of the gateway at ``url``: it only reads, so it costs nothing.

    ``watch_s`` bounds the watch as a whole; None watches until it is ended.
    """

    name: str
    url: str
    stall_s: float = 5.0
    connect_timeout_s: float = 10.0
    watch_s: float | None = None


class ProviderProxy(Struct, frozen=True):
    """A proxy and the name of the target whose gateway calls its provider through it."""

    target: str
    proxy: ProxyPlan


class GatewayWithProxyPlan(Struct, frozen=True, kw_only=True, tag="gateway-with-proxy"):
    """``gateways`` are raced or watched; the provider calls of those in ``proxies`` pass through kmon.

    ``show_calls`` makes every provider call a run of its own, beside those of the gateways.
    """

    gateways: RacePlan | GatewayPlan
    proxies: tuple[ProviderProxy, ...]
    show_calls: bool = False
