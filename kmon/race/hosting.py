"""Which host carries out a plan: one line per kind of plan, so that the engine need not know them apart."""

from __future__ import annotations

from kmon import open_files
from kmon.race.gateway_plan import GatewayPlan
from kmon.race.plan import Keys, RacePlan
from kmon.race.proxy_plan import ProxyPlan
from kmon.race.sides_plan import SidesPlan
from kmon.race.source import Host

Plan = RacePlan | ProxyPlan | GatewayPlan | SidesPlan
"""Everything the engine can be asked to do."""


def host(plan: Plan, keys: Keys) -> Host:
    """The host of ``plan``, not started yet. Call it on a running event loop. Every stream needs a file of its own."""
    open_files.raise_limit()
    match plan:
        case RacePlan():
            from kmon.race.supervisor import Supervisor

            return Supervisor(plan, keys)
        case ProxyPlan():
            from kmon.race.proxy_watch import ProxyWatch

            return ProxyWatch(plan)
        case GatewayPlan():
            from kmon.race.gateway_watch import GatewayWatch

            return GatewayWatch(plan, keys)
        case SidesPlan():
            from kmon.race.both_sides import BothSides

            return BothSides(plan, keys)
