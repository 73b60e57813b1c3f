"""``kmon --demo stuck-tui``: three stuck chats, each by a different mechanism, seen at the gateway and the provider.

One child process has a simulated provider, another three simulated gateways, and the engine a proxy between each
gateway and the provider. So each pane shows the claim of the gateway, its run, and the bytes of the provider.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

from kmon.catalog.credential import Credential, host_of
from kmon.commands.build_plan import Prepared
from kmon.commands.check_flags import check_race
from kmon.commands.flags import seed_of
from kmon.config.sources import load
from kmon.dialects.sockets import OpenClawGateway
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.errors import UsageError
from kmon.model import PromptMessage, Scenario, Target
from kmon.openclaw.plan import GatewayWithProxyPlan, ProviderProxy
from kmon.openclaw.simulated.options import Mechanism
from kmon.proxy.plan import ProxyPlan
from kmon.proxy.relay.server import listener
from kmon.retry.policy import Policy
from kmon.simulator.embedded import Embedded

NAME = "stuck-tui"
LIMIT_S = 60.0
TOKEN_VARIABLE = "OPENCLAW_GATEWAY_TOKEN"
MECHANISMS: dict[Mechanism, tuple[str, str]] = {
    "a": ("a-adapter-buffers", "the adapter keeps the answer until it is complete"),
    "b": ("b-follow-up", "n makes a false idle: the follow-up waits behind the run"),
    "c": ("c-silent-retry", "an error is shown; the answer of the retry is not"),
}
"""Per mechanism of the simulated gateway: the name of its pane, and its title."""
HINT = "press 2, then n: the chat will say idle while its run goes on; A and C hang by themselves"
"""The first line on the screen."""
ASK = PromptMessage(
    role="user", content="Write a Python class for a bounded queue, with comments and an example of its use."
)


def is_wanted(options: argparse.Namespace) -> bool:
    """Whether the command line asks for this demonstration."""
    return bool(options.demo) and NAME in options.targets


@contextlib.contextmanager
def prepared(options: argparse.Namespace) -> Iterator[tuple[Prepared, GatewayWithProxyPlan]]:
    """The race of the three panes, and the engine's plan for it; the simulators run as long as the context.

    Without a screen ``--nudge-after`` replaces the key ``n``. Raises :class:`UsageError` for options that do not fit.
    """
    from kmon.openclaw.simulated.embedded import PROVIDER, EmbeddedGateway

    others = (options.scenario, options.base_url, options.profile, options.fault, options.session)
    if len(options.targets) > 1 or any(others):
        more = "name no other target, scenario, profile, fault or session with it"
        raise UsageError(f"--demo {NAME} is three panes of its own; {more}")
    check_race(options)
    loaded = load(vars(options))
    speed = options.speed or 1.0
    with Embedded(profile="smooth", speed=speed, seed=seed_of(options)).running() as provider:
        proxies = [
            ProxyPlan(
                upstream="provider",
                base_url=provider.base_url(f"{PROVIDER}-{mechanism}"),
                port=_free_port(),
                stall_s=loaded.settings.first_stall_s,
                simulated=True,
            )
            for mechanism in MECHANISMS
        ]
        paths = [
            f"{proxy.port}/{PROVIDER}-{mechanism}/v1" for proxy, mechanism in zip(proxies, MECHANISMS, strict=True)
        ]
        urls = [f"http://127.0.0.1:{path}" for path in paths]
        with EmbeddedGateway(tuple(MECHANISMS), provider_urls=urls, speed=speed).running() as gateways:
            rows = tuple(
                Row(_target(name, url), Scenario(name=NAME, title=title, messages=(ASK,)))
                for (name, title), url in zip(MECHANISMS.values(), gateways.urls, strict=True)
            )
            plan = RacePlan(
                rows=rows,
                rounds=loaded.settings.rounds,
                stall_s=loaded.settings.first_stall_s,
                policy=Policy(timeout_s=options.timeout_s or LIMIT_S),
                simulated=True,
                nudge_after_s=options.nudge_after,
            )
            named = tuple(ProviderProxy(row.target.name, proxy) for row, proxy in zip(rows, proxies, strict=True))
            keys = Keys(
                {
                    row.target.name: Credential({TOKEN_VARIABLE: gateways.token}, (host_of(row.target.base_url),))
                    for row in rows
                }
            )
            yield Prepared(plan, keys, loaded), GatewayWithProxyPlan(gateways=plan, proxies=named)


def _target(name: str, url: str) -> Target:
    return Target(
        name=name,
        provider="openclaw",
        model="2026.2.17",
        dialect=OpenClawGateway.name,
        base_url=url,
        key_env=(TOKEN_VARIABLE,),
        simulated=True,
    )


def _free_port() -> int:
    with listener("127.0.0.1", 0) as sock:
        return int(sock.getsockname()[1])
