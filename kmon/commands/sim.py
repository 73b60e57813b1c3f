"""``kmon sim``: serves the simulated provider or gateway; with ``--report`` prints what the clients of one did."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kmon.commands.flags import Parser
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.simulator.serve import SimOptions

HELP = (
    "Serve a loopback provider with paced, deterministic streams and every fault: a torture bench for any client. "
    "Tells of each request what its client did, and in a table when it ends."
)
DEFAULT_PROFILE = "smooth"
GATEWAY_FLAGS = ("protocol", "token", "mechanism", "queue", "gateway_fault", "tick", "provider_url")
"""Options that need ``--gateway``."""
REPORT_LIMIT_S = 5.0


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback address (default 127.0.0.1); requests for other hosts, and those of web pages, are refused",
    )
    parser.add_argument("--port", type=int, default=0, help="port (default 0: any free one, printed)")
    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        metavar="NAME|FILE",
        help="smooth, demo, isolate, outages, retries, seed-000, seed-001, seed-002, seed-003 or a TOML file",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress time, keep ratios (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same streams (default 1)")
    parser.add_argument(
        "--fault",
        default="",
        metavar="NAME",
        help="for every request that can have it (its line says if not): NAME, NAME:key=value, or a place of --places",
    )
    parser.add_argument(
        "--places", action="store_true", help="also open addresses that refuse, are mute, or bad at TLS"
    )
    report = parser.add_argument_group("what its clients did")
    report.add_argument(
        "--report", nargs="?", const="", metavar="URL", help="ask the bench that runs on --port, or at URL, and end"
    )
    report.add_argument("--json", action="store_true", help="with --report: one JSON object per client and fault")
    gateway = parser.add_argument_group("a chat gateway (WebSocket) over that provider")
    gateway.add_argument("--gateway", action="store_true", help="serve one; its runs make real requests to a provider")
    gateway.add_argument("--protocol", type=int, metavar="3|4", help="of 2026.2.17 or of 2026.9.6 (default 3)")
    gateway.add_argument("--token", metavar="T", help="what clients must present (default: one that is printed)")
    gateway.add_argument(
        "--mechanism",
        metavar="a|b|c",
        help="how it seems stuck: a the adapter buffers, b a follow-up makes a false idle, c a silent retry",
    )
    gateway.add_argument(
        "--queue", metavar="MODE", help="collect, steer, followup or interrupt (default: the release's own)"
    )
    gateway.add_argument(
        "--gateway-fault",
        metavar="NAME",
        help="starting (at first), or of every run: stuck, held, tick-loss, frozen, seq-gap, slow-consumer or shutdown",
    )
    gateway.add_argument("--tick", type=float, metavar="S", help="seconds between ticks, before --speed (default 30)")
    gateway.add_argument(
        "--provider-url", metavar="URL", help="base URL of its model calls (default: a simulated provider of its own)"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, or print the report. Raises :class:`UsageError` for options that do not fit together."""
    if options.report is not None or options.json:
        return _print_report(url=options.report, port=options.port, as_json=options.json)
    from kmon.simulator.endpoints import PLACES
    from kmon.simulator.serve import SimOptions
    from kmon.simulator.serve import main as serve_provider

    simulated = SimOptions(
        options.host,
        options.port,
        options.profile,
        options.speed,
        options.seed,
        fault=options.fault,
        places=tuple(PLACES) if options.places else (),
    )
    if options.gateway:
        return _serve_gateway(options, simulated)
    for name in GATEWAY_FLAGS:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for the gateway; add --gateway")
    return serve_provider(simulated)


def _serve_gateway(options: argparse.Namespace, simulated: SimOptions) -> int:
    from msgspec.structs import replace

    from kmon.openclaw.simulated.options import GatewayOptions, checked
    from kmon.openclaw.simulated.serve import main as serve_gateway

    if options.provider_url is not None and options.profile != DEFAULT_PROFILE:
        raise UsageError("--profile is for the simulated provider, which --provider-url replaces; leave one out")
    if options.provider_url is not None and options.fault:
        raise UsageError("--fault is for the simulated provider, which --provider-url replaces; leave one out")
    given = {name: getattr(options, name) for name in ("protocol", "token", "mechanism", "queue", "provider_url")}
    given |= {"fault": options.gateway_fault, "tick_s": options.tick}
    shared = {"host": options.host, "port": options.port, "speed": options.speed, "seed": options.seed}
    defaults = {"provider_url": "http://127.0.0.1"}  # replaced once the simulated provider listens
    chosen = {name: value for name, value in given.items() if value is not None}
    gateway = checked(GatewayOptions(**{**defaults, **chosen, **shared}))
    provider = replace(simulated, port=0) if options.provider_url is None else None
    return serve_gateway(gateway, provider)


def _print_report(*, url: str | None, port: int, as_json: bool) -> int:
    """Print the report of the simulator at ``url``, or on loopback at ``port``.

    Raises :class:`UsageError` if no simulator of this version answers there.
    """
    import msgspec

    from kmon.simulator.bench_report import lines_of, table

    if url is None:
        raise UsageError("--json needs --report; without it the simulator prints lines")
    address = _ledger_url(url, port)
    found = _ledger_at(address)
    try:
        lines = [msgspec.json.encode(line).decode() for line in lines_of(found)] if as_json else table(found)
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"what answers at {address} is no kmon sim of this version") from None
    if lines:
        print("\n".join(lines))
    return 0


def _ledger_url(url: str, port: int) -> str:
    from kmon.simulator.server import LEDGER_PATH

    if not url and not port:
        raise UsageError("--report needs --port N or a URL: which bench? 'kmon sim' prints its own when it starts")
    try:
        parts = urlsplit(url or f"http://127.0.0.1:{port}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--report {url[:200]!r} is no URL; write it as http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}{LEDGER_PATH}"


def _ledger_at(url: str) -> dict[str, object]:
    """The request log of the simulator at ``url``. Raises :class:`UsageError`."""
    import httpx

    try:
        answer = httpx.get(url, timeout=REPORT_LIMIT_S, trust_env=False)
        found = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"no bench answers at {url} ({error}); is 'kmon sim' running there?") from None
    except ValueError:  # the body is not JSON or not UTF-8
        found = None
    if not isinstance(found, dict) or "requests" not in found:
        raise UsageError(f"what answers at {url} is no kmon sim")
    return found
