"""What ``kmon proxy`` and ``kmon wrap`` share: where requests go on to, and the plan of the proxy in between."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser, add_fixed_stall, add_settings
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.config.sources import Loaded
    from kmon.proxy.plan import ProxyPlan

SIGNED = """\
Paths are passed on as they come: with --to together the program's base URL is http://127.0.0.1:PORT/v1.
Bedrock: use a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK). A request signed with SigV4 is signed for its Host header, so
AWS refuses one that was signed for the proxy's address; kmon says so when it sees one.
"""


def add_upstream(parser: Parser) -> None:
    parser.epilog, parser.formatter_class = SIGNED, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--to", metavar="TARGET|URL", help="where requests go on to: a target's name or a base URL")
    add_fixed_stall(parser)
    add_settings(parser, "connect_timeout_s")


def proxy_plan(to: str | None, loaded: Loaded) -> ProxyPlan:
    """A proxy to a target or a base URL, at any free port. Raises :class:`UsageError` for what cannot be used."""
    from kmon.catalog.aws import base_url_of, region_variable
    from kmon.catalog.resolve import custom_target, resolve_target
    from kmon.catalog.trust import UntrustedHostError
    from kmon.proxy.plan import ProxyPlan
    from kmon.transport.tls import check_authorities

    if not to:
        raise UsageError("where to? name a target or a base URL with --to, such as --to together")
    target = custom_target(to, "any") if "://" in to else resolve_target(loaded.catalog, to)
    if wish := loaded.trust.passing(target):
        raise UntrustedHostError(loaded.trust.directory, [wish])
    check_authorities()
    return ProxyPlan(
        upstream=target.provider,
        base_url=base_url_of(target, region_variable(loaded.env)),
        stall_s=loaded.settings.first_stall_s,
        connect_timeout_s=loaded.settings.connect_timeout_s,
    )
