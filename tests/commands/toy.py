"""A command of its own, as a contributor would add one."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser, add_settings
from kmon.errors import UsageError

HELP = "Count to a number."


def arguments(parser: Parser) -> None:
    parser.add_argument("number", type=int, metavar="N", help="how far")
    add_settings(parser, "timeout_s")


def run(options: argparse.Namespace) -> int:
    if options.number < 1:
        raise UsageError(f"N must be 1 or more, not {options.number}")
    print(*range(1, options.number + 1), options.timeout_s)
    return 1
