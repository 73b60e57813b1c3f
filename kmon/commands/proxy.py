"""``kmon proxy``: forwards a program's requests to its provider and shows each as a run."""

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
    from kmon.hosts import Plan
    from kmon.proxy.plan import ProxyPlan

HELP = "Pass requests on to a provider, byte for byte, and show each as a run while it goes on."
DEFAULT_PORT = 8787
EPILOG = """\
Paths are passed on as they come: with --to together the program's base URL is http://127.0.0.1:PORT/v1.
Bedrock: use a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK). A request signed with SigV4 is signed for its Host header, so
AWS refuses one that was signed for the proxy's address; kmon says so when it sees one.
"""


def arguments(parser: Parser) -> None:
    add_upstream(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback address (default 127.0.0.1); requests for other hosts, and those of web pages, are refused",
    )
    parser.add_argument(
        "--gateway",
        nargs="?",
        const="",
        metavar="URL",
        help="also watch the gateway that asks through this proxy (default: that of the target gateway), "
        "and say on which side a run hangs",
    )
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="with --gateway: environment variable with its token or ...PASSWORD"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port (default {DEFAULT_PORT}; 0: any free one, printed)"
    )
    parser.add_argument("--keep", type=int, metavar="N", help="ended requests that stay on the screen (default 12)")
    parser.add_argument("--headless", action="store_true", help="lines for logs instead of a screen")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    add_screen(parser)


def run(options: argparse.Namespace) -> int:
    """Forward requests until kmon is stopped. Raises :class:`UsageError` for options that cannot be used."""
    import msgspec

    from kmon.commands.gateway import gateway_plan
    from kmon.config.sources import load
    from kmon.engine.plan import Keys
    from kmon.openclaw.plan import GatewayWithProxyPlan, ProviderProxy
    from kmon.proxy.plan import KEEP_RUNS
    from kmon.proxy.relay.server import listener

    keep = KEEP_RUNS if options.keep is None else options.keep
    if keep < 1:
        raise UsageError(f"--keep must be 1 or more, not {keep}")
    if options.api_key_env is not None and options.gateway is None:
        raise UsageError(
            f"--api-key-env {options.api_key_env} has no effect without --gateway; add it, or leave both out"
        )
    loaded = load(vars(options))
    with listener(options.host, options.port) as sock:  # checks that the address can be used, before anything is shown
        port = int(sock.getsockname()[1])
    plan = msgspec.structs.replace(proxy_plan(options.to, loaded), host=options.host, port=port, keep=keep)
    hosted: Plan = plan
    keys = Keys({})
    if options.gateway is not None:
        watched, keys = gateway_plan(options.gateway or None, options.api_key_env, loaded)
        hosted = GatewayWithProxyPlan(gateways=watched, proxies=(ProviderProxy(watched.name, plan),), show_calls=True)
    if options.headless or without_screen(options):
        return _print(hosted, keys, as_json=options.json)
    return _show(plan, loaded, hosted, keys)


def add_upstream(parser: Parser) -> None:
    """Add the options of ``kmon proxy`` and ``kmon wrap`` that say where requests are forwarded to."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--to", metavar="TARGET|URL", help="where requests go on to: a target's name or a base URL")
    add_fixed_stall(parser)
    add_settings(parser, "connect_timeout_s")


def proxy_plan(to: str | None, loaded: Loaded) -> ProxyPlan:
    """A proxy to a target's name or a base URL, on a free port. Raises :class:`UsageError` if ``to`` cannot be used."""
    from kmon.catalog.aws import base_url_of, region_variable
    from kmon.catalog.resolve import custom_target, resolve_target
    from kmon.catalog.trust import UntrustedHostError
    from kmon.catalog.url_variables import projects_variable, url_problem
    from kmon.proxy.plan import ProxyPlan
    from kmon.transport.authorities import check_authorities

    if not to:
        raise UsageError("where to? name a target or a base URL with --to, such as --to together")
    target = custom_target(to, "any") if "://" in to else resolve_target(loaded.catalog, to)
    if wish := loaded.trust.passing(target):
        raise UntrustedHostError(loaded.trust.directory, [wish])
    if problem := url_problem(target, loaded.env):
        raise UsageError(problem)
    if name := projects_variable(target, loaded.env):
        problem = f"{name} in .env says where the keys of programs would go, and .env may be a stranger's"
        raise UsageError(f"{problem}; set {name} in the environment")
    check_authorities()
    return ProxyPlan(
        upstream=target.provider,
        base_url=base_url_of(target, region_variable(loaded.env)),
        stall_s=loaded.settings.first_stall_s,
        connect_timeout_s=loaded.settings.connect_timeout_s,
    )


def _print(hosted: Plan, keys: Keys, *, as_json: bool) -> int:
    """Print lines or JSON until kmon is stopped. Returns exit code 0."""
    import asyncio

    from kmon.hosts import host
    from kmon.output.headless import JsonReporter, LineReporter, watch

    async def print_events() -> None:
        reporter = JsonReporter() if as_json else LineReporter()
        view = await watch(host(hosted, keys), reporter, sys.stdout, sys.stderr)
        if not as_json and view.ended is not None:
            plural = "" if view.ended.ok == 1 else "s"
            print(f"{view.ended.ok} request{plural} ended well, {view.ended.failed} did not", flush=True)

    asyncio.run(print_events())
    return 0


def _show(plan: ProxyPlan, loaded: Loaded, hosted: Plan, keys: Keys) -> int:
    from kmon.commands.build_plan import Prepared
    from kmon.commands.screen import print_table, screen_of
    from kmon.engine.plan import RacePlan
    from kmon.proxy.host import NOT_HERE, listening_url
    from kmon.tui.launch import run_app

    url = listening_url(plan, plan.port)
    empty_race = RacePlan(rows=(), stall_s=plan.stall_s)
    screen = replace(
        screen_of(Prepared(empty_race, keys, loaded), hosted),
        origin=f"{url} to {plan.upstream}",
        nothing_yet=f"listening on {url}: give it to a program as its base URL",
        impossible={action: NOT_HERE.format(action) for action in ("nudge", "retry")},
        round_word="request",
        sort="newest first",
    )
    outcome = run_app(screen)
    print_table(outcome.race, screen)
    ended = outcome.race.ended
    if ended is not None and ended.ok + ended.failed > len(outcome.race.results):
        print(f"of {ended.ok + ended.failed} requests in all {ended.ok} ended well; only the latest are listed")
    if outcome.engine_error:
        print(f"kmon: {outcome.engine_error}", file=sys.stderr)
        return 3
    return 0
