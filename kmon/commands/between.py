"""What ``kmon proxy`` and ``kmon wrap`` do: settle where to, listen, hand over to a front end."""

from __future__ import annotations

import argparse
import sys

from kmon.catalog import aws
from kmon.catalog.errors import UsageError
from kmon.catalog.resolve import custom_target, resolve_target
from kmon.catalog.trust import UntrustedHostError
from kmon.commands.gateway import gateway_plan
from kmon.commands.prepare import flags_of
from kmon.config import Loaded, load, user_config_dir
from kmon.engine.plan import Keys, RacePlan
from kmon.hosts import Plan
from kmon.openclaw.plan import GatewayWithProxyPlan, ProviderProxy
from kmon.proxy.host import NOT_HERE, listening_url
from kmon.proxy.plan import KEEP_RUNS, ProxyPlan
from kmon.proxy.relay.server import listener
from kmon.transport.authorities import check_authorities


def proxy(options: argparse.Namespace) -> int:
    """Stand in the middle until told to stop."""
    from kmon.output.watching import main as headless

    keep = KEEP_RUNS if options.keep is None else options.keep
    if keep < 1:
        raise UsageError(f"--keep must be 1 or more, not {keep}")
    loaded = load(flags_of(options))
    with listener(options.host, options.port) as sock:  # that it can be used is known before anything is shown
        port = int(sock.getsockname()[1])
    plan = _plan(options, loaded, host=options.host, port=port, keep=keep)
    hosted: Plan = plan
    keys = Keys({})
    if options.gateway is not None:
        watched, keys = gateway_plan(options.gateway or None, options.api_key_env, loaded)
        hosted = GatewayWithProxyPlan(gateways=watched, proxies=(ProviderProxy(watched.name, plan),), show_calls=True)
    if options.headless or options.json or options.no_tui or not sys.stdout.isatty():
        return headless(hosted, keys, as_json=options.json)
    return _show(options, plan, loaded, hosted, keys)


def wrap(options: argparse.Namespace) -> int:
    """Run a program with a proxy before its provider; its exit code is kmon's."""
    from kmon.output.wrapping import main as wrapped

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise UsageError("no program was named; write 'kmon wrap --to TARGET -- COMMAND...'")
    loaded = load(flags_of(options))
    return wrapped(_plan(options, loaded, host="127.0.0.1", port=0, keep=KEEP_RUNS), command, options.json)


def _plan(options: argparse.Namespace, loaded: Loaded, *, host: str, port: int, keep: int) -> ProxyPlan:
    if not options.to:
        raise UsageError("where to? name a target or a base URL with --to, such as --to together")
    if "://" in options.to:
        target = custom_target(options.to, "any")
        name = target.provider
    else:
        target = resolve_target(loaded.catalog, options.to)
        name = target.provider
    if wish := loaded.trust.passing(target):
        raise UntrustedHostError(loaded.trust.directory, [wish])
    check_authorities()
    base_url = aws.base_url_of(target, aws.region_variable(loaded.env))
    settings = loaded.settings
    return ProxyPlan(
        upstream=name,
        base_url=base_url,
        host=host,
        port=port,
        stall_s=settings.first_stall_s,
        connect_timeout_s=settings.connect_timeout_s,
        keep=keep,
    )


def _show(options: argparse.Namespace, plan: ProxyPlan, loaded: Loaded, hosted: Plan, keys: Keys) -> int:
    from kmon.engine.process import EngineProcess
    from kmon.output.headless import columns_of
    from kmon.output.summary import summary
    from kmon.tui.launch import ScreenOptions, run_app

    url = listening_url(plan, plan.port)

    async def source() -> EngineProcess:
        return await EngineProcess.start(hosted, keys)

    settings = loaded.settings
    outcome = run_app(
        ScreenOptions(
            plan=RacePlan(rows=(), stall_s=plan.stall_s),
            open_source=source,
            theme=settings.theme,
            user_theme_dirs=[user_config_dir() / "themes"],
            fps=options.fps if loaded.provenance["fps"] == "default" else settings.fps,
            bell=settings.bell,
            ascii=settings.ascii,
            origin=f"{url} to {plan.upstream}",
            nothing_yet=f"listening on {url}: give it to a program as its base URL",
            impossible={action: NOT_HERE.format(action) for action in ("nudge", "retry")},
            round_word="request",
            sort="newest first",
        )
    )
    if said := summary(outcome.race, ascii_only=settings.ascii, columns=columns_of(sys.stdout)):
        print(said)
    ended = outcome.race.ended
    if ended is not None and ended.ok + ended.failed > len(outcome.race.results):
        print(f"of {ended.ok + ended.failed} requests in all {ended.ok} ended well; only the latest are listed")
    if outcome.engine_error:
        print(f"kmon: {outcome.engine_error}", file=sys.stderr)
        return 3
    return 0
