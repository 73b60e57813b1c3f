"""What a race or a watch of gateways does when kmon also stands between them and their providers."""

from __future__ import annotations

from msgspec import Struct

from kmon.engine.plan import RacePlan
from kmon.openclaw.plan import GatewayPlan
from kmon.proxy.plan import ProxyPlan


class Side(Struct, frozen=True):
    """A proxy and the target, by its name, whose gateway asks its provider through it."""

    target: str
    proxy: ProxyPlan


class SidesPlan(Struct, frozen=True, kw_only=True, tag="sides"):
    """``gateways`` is raced or watched; what its gateways ask of their providers passes through ``sides``.

    ``show_calls`` makes every request to a provider a run of its own, beside those of the gateways.
    """

    gateways: RacePlan | GatewayPlan
    sides: tuple[Side, ...]
    show_calls: bool = False
