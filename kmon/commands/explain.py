"""``kmon explain``: prints all that is known of one signature, diagnosis, fault number or field report."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser

HELP = "Tell what a signature usually means, what looks alike, and where it was seen."


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a signature or diagnosis of 'kmon signatures', a number such as F14, or a field report: seed-001",
    )


def run(options: argparse.Namespace) -> int:
    from kmon.output.signatures import explain_lines

    print("\n".join(explain_lines(options.name)))
    return 0
