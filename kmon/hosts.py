"""Which host carries out a plan: one line per kind of plan, so that the engine need not know them apart."""

from __future__ import annotations

from kmon import open_files
from kmon.engine.api import Host
from kmon.engine.plan import Keys, RacePlan
from kmon.openclaw.plan import GatewayPlan
from kmon.openclaw.with_proxy_plan import SidesPlan
from kmon.proxy.plan import ProxyPlan

Plan = RacePlan | ProxyPlan | GatewayPlan | SidesPlan
"""Everything the engine can be asked to do."""


def host(plan: Plan, keys: Keys) -> Host:
    """The host of ``plan``, not started yet. Call it on a running event loop. Every stream needs a file of its own."""
    open_files.raise_limit()
    match plan:
        case RacePlan():
            from kmon.engine.supervisor import Supervisor

            return Supervisor(plan, keys)
        case ProxyPlan():
            from kmon.proxy.host import ProxyHost

            return ProxyHost(plan)
        case GatewayPlan():
            from kmon.openclaw.host import GatewayHost

            return GatewayHost(plan, keys)
        case SidesPlan():
            from kmon.openclaw.with_proxy import GatewayWithProxy

            return GatewayWithProxy(plan, keys)
