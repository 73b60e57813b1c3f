"""``kmon wrap``: runs a program behind its own proxy, then prints and optionally records its requests."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser
from kmon.commands.proxy import add_upstream, proxy_plan
from kmon.errors import UsageError

HELP = "Run a program with its base URL set to a proxy, and say what it asked and got."


def arguments(parser: Parser) -> None:
    add_upstream(parser)
    parser.add_argument("--json", metavar="FILE", help="write every event there, one JSON object per line")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments")


def run(options: argparse.Namespace) -> int:
    """Return the exit code of the program, even if kmon cannot write its record."""
    import asyncio

    from kmon.config.sources import load
    from kmon.output.record import Record
    from kmon.output.wrap import wrapped

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise UsageError("no program was named; write 'kmon wrap --to TARGET -- COMMAND...'")
    plan = proxy_plan(options.to, load(vars(options)))
    record = None if options.json is None else Record(options.json)
    return asyncio.run(wrapped(plan, command, record))
