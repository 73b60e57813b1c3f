"""Creates the host of a plan; ``python -m kmon.hosts`` is the engine process.

Only this module imports the hosts of races, of the proxy and of OpenClaw together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kmon.dialects.registry import dialect
from kmon.engine.api import Host
from kmon.engine.plan import Keys, RacePlan
from kmon.openclaw.plan import GatewayPlan, GatewayWithProxyPlan
from kmon.process.files import raise_open_files_limit
from kmon.proxy.plan import ProxyPlan

if TYPE_CHECKING:
    from kmon.engine.run import Companion

Plan = RacePlan | ProxyPlan | GatewayPlan | GatewayWithProxyPlan
"""Every kind of plan."""


def host(plan: Plan, keys: Keys) -> Host:
    """The host of ``plan``, not started. Call it on a running event loop. It raises the limit of open files."""
    raise_open_files_limit()
    match plan:
        case RacePlan():
            if plan.fed is not None:
                from kmon.engine.fed_supervisor import FedSupervisor

                return FedSupervisor(plan, keys, limit=plan.fed, companion=_companion(plan))
            from kmon.engine.supervisor import Supervisor

            return Supervisor(plan, keys, companion=_companion(plan))
        case ProxyPlan():
            from kmon.proxy.host import ProxyHost

            return ProxyHost(plan)
        case GatewayPlan():
            from kmon.openclaw.host import GatewayHost

            return GatewayHost(plan, keys)
        case GatewayWithProxyPlan():
            from kmon.openclaw.with_proxy import GatewayWithProxyHost

            return GatewayWithProxyHost(plan, keys)


def _companion(plan: RacePlan) -> Companion | None:
    """The reporter of claims for a race with a gateway target; imported only for such a race."""
    if all(dialect(target.dialect).transport != "gateway" for target in plan.asked):
        return None
    from kmon.openclaw.reporter import companion

    return companion(plan.stall_s)


def main() -> None:
    """Run the engine process: host the plan that comes from stdin."""
    from kmon.engine.child import serve

    serve(lambda plan, keys: host(msgspec.msgpack.decode(plan, type=Plan), keys))


if __name__ == "__main__":
    main()
