"""``kmon gateway``: settle which gateway to watch and with what, and hand over to a front end."""

from __future__ import annotations

import argparse
import sys

from msgspec.structs import replace

from kmon.catalog.address import base_url_problem
from kmon.catalog.errors import UsageError
from kmon.catalog.keys import credential
from kmon.catalog.resolve import custom_target, resolve_target
from kmon.commands.prepare import Prepared, flags_of
from kmon.commands.screen import show
from kmon.config import Loaded, load
from kmon.dialects.sockets import OpenClawGateway
from kmon.engine.plan import Keys, RacePlan
from kmon.openclaw.device_key import device_note
from kmon.openclaw.host import ONLY_WATCHED
from kmon.openclaw.plan import GatewayPlan
from kmon.transport.network import check_authorities
from kmon.transport.proxy import proxy_for


def gateway_plan(
    url: str | None, api_key_env: str | None, loaded: Loaded, *, watch_s: float | None = None
) -> tuple[GatewayPlan, Keys]:
    """Which gateway to watch, and with what. Raises UsageError for what cannot be used."""
    if url and (problem := base_url_problem(url, websocket=True)):
        raise UsageError(f"the gateway's URL {problem}; to race one beside other targets, use 'kmon run gateway ...'")
    target = resolve_target(loaded.catalog, "gateway")
    if url:
        target = custom_target(url, None, OpenClawGateway.name, api_key_env)
    elif api_key_env:  # a key the user names does not make the address the user's
        named = custom_target(target.base_url, None, OpenClawGateway.name, api_key_env)
        target = replace(target, key_env=named.key_env)
    held = credential(target, loaded.env, loaded.trust)
    proxy_for(target.base_url)
    check_authorities()
    if note := device_note():  # and a key that cannot be used is said before anything is shown
        print(f"kmon: {note}", file=sys.stderr)
    plan = GatewayPlan(
        name=target.name,
        url=target.base_url,
        stall_s=loaded.settings.first_stall_s,
        connect_timeout_s=loaded.settings.connect_timeout_s,
        watch_s=watch_s,
    )
    return plan, Keys({target.name: held})


def watch(options: argparse.Namespace) -> int:
    """Watch until the user leaves, the time is over, or the gateway does not let kmon in."""
    from kmon.output.headless import main as headless

    if options.watch_s is not None and not 0 < options.watch_s <= 86_400:
        raise UsageError(f"--for must be above 0 and at most 86400 seconds, not {options.watch_s:g}")
    loaded = load(flags_of(options))
    settings = loaded.settings
    plan, keys = gateway_plan(options.url, options.api_key_env, loaded, watch_s=options.watch_s)
    if options.json or options.no_tui or not sys.stdout.isatty():
        return headless(plan, keys, as_json=options.json)
    nothing_asked = RacePlan(rows=(), stall_s=settings.first_stall_s)
    return show(
        options,
        Prepared(nothing_asked, keys, loaded),
        start_now=True,
        origin=plan.url,
        hosted=plan,
        nothing_yet=f"watching {plan.url}: no run yet",
        impossible={action: ONLY_WATCHED.format(action) for action in ("nudge", "cancel", "retry")},
    )
