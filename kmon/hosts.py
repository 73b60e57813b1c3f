"""Which host carries out a plan, in this process or in the engine's own: ``python -m kmon.hosts``.

The engine knows none of the verticals (proxy, OpenClaw); this is the one place where they meet.
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
"""Everything the engine can be asked to do."""


def host(plan: Plan, keys: Keys) -> Host:
    """The host of ``plan``, not started yet. Call it on a running event loop. Every stream needs a file of its own."""
    raise_open_files_limit()
    match plan:
        case RacePlan():
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
    """What tells more of the attempts of a race that asks a gateway; imported only for such a race."""
    if all(dialect(target.dialect).transport != "gateway" for target in plan.asked):
        return None
    from kmon.openclaw.reporter import companion

    return companion(plan.stall_s)


def main() -> None:
    """Be the engine's process: the host of the plan that comes by the pipe."""
    from kmon.engine.child import serve

    serve(lambda plan, keys: host(msgspec.msgpack.decode(plan, type=Plan), keys))


if __name__ == "__main__":
    main()
