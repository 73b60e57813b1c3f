"""``kmon gateway``: shows every run of every session of a gateway. It sends read requests only."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, add_fixed_stall, add_screen, add_settings, without_screen
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.config.sources import Loaded
    from kmon.engine.plan import Keys
    from kmon.openclaw.plan import GatewayPlan

HELP = "Watch every run of every session of a gateway. Nothing is sent but reads (operator.read)."


def arguments(parser: Parser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="ws:// or wss:// (default: that of the target gateway)")
    parser.add_argument(
        "--api-key-env",
        metavar="NAME",
        help="environment variable with the token, or the password if its name ends in PASSWORD "
        "(default OPENCLAW_GATEWAY_TOKEN, then OPENCLAW_GATEWAY_PASSWORD)",
    )
    parser.add_argument("--for", dest="watch_s", type=float, metavar="S", help="end the watch after S seconds")
    add_fixed_stall(parser)
    add_settings(parser, "connect_timeout_s")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Watch until the user quits, ``--for`` has passed, or the gateway refuses the connection."""
    import msgspec

    from kmon.config.sources import load
    from kmon.output.headless import main as headless

    if options.watch_s is not None and not 0 < options.watch_s <= 86_400:
        raise UsageError(f"--for must be above 0 and at most 86400 seconds, not {options.watch_s:g}")
    loaded = load(vars(options))
    plan, keys = gateway_plan(options.url, options.api_key_env, loaded)
    plan = msgspec.structs.replace(plan, watch_s=options.watch_s)
    return headless(plan, keys, as_json=options.json) if without_screen(options) else _show(plan, keys, loaded)


def _show(plan: GatewayPlan, keys: Keys, loaded: Loaded) -> int:
    from kmon.commands.build_plan import Prepared
    from kmon.commands.screen import screen_of, show
    from kmon.engine.plan import RacePlan
    from kmon.openclaw.host import ONLY_WATCHED

    empty_race = RacePlan(rows=(), stall_s=plan.stall_s)
    screen = screen_of(Prepared(empty_race, keys, loaded), plan)
    return show(
        replace(
            screen,
            origin=plan.url,
            nothing_yet=f"watching {plan.url}: no run yet",
            impossible={action: ONLY_WATCHED.format(action) for action in ("nudge", "cancel", "retry")},
        )
    )


def gateway_plan(url: str | None, api_key_env: str | None, loaded: Loaded) -> tuple[GatewayPlan, Keys]:
    """The gateway to watch and its credential. Raises :class:`UsageError` for an unusable URL, key or proxy."""
    import msgspec

    from kmon.address import base_url_problem
    from kmon.catalog.keys import credential
    from kmon.catalog.resolve import custom_target, resolve_target
    from kmon.dialects.sockets import OpenClawGateway
    from kmon.engine.plan import Keys
    from kmon.openclaw.device_key import device_note
    from kmon.openclaw.plan import GatewayPlan
    from kmon.transport.authorities import check_authorities
    from kmon.transport.proxy import proxy_for

    if url and (problem := base_url_problem(url, ("ws", "wss"))):
        raise UsageError(f"the gateway's URL {problem}; to race one beside other targets, use 'kmon run gateway ...'")
    target = resolve_target(loaded.catalog, "gateway")
    if url:
        target = custom_target(url, None, OpenClawGateway.name, api_key_env)
    elif api_key_env:  # only the key is the user's choice: the address stays that of the target
        named = custom_target(target.base_url, None, OpenClawGateway.name, api_key_env)
        target = msgspec.structs.replace(target, key_env=named.key_env)
    held = credential(target, loaded.env, loaded.trust)
    proxy_for(target.base_url)
    check_authorities()
    if note := device_note():  # raises for a device key that cannot be used, before anything is shown
        print(f"kmon: {note}", file=sys.stderr)
    plan = GatewayPlan(
        name=target.name,
        url=target.base_url,
        stall_s=loaded.settings.first_stall_s,
        connect_timeout_s=loaded.settings.connect_timeout_s,
    )
    return plan, Keys({target.name: held})
