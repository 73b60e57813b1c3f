"""``kmon signatures``: lists the signatures kmon can give a stream."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser

HELP = "List the named faults of a stream: what each is on the wire."


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--numbers", action="store_true", help="by the numbers F01 to F60: signature, faults, or why none"
    )


def run(options: argparse.Namespace) -> int:
    from kmon.output.signatures import number_lines, signature_lines

    print("\n".join(number_lines() if options.numbers else signature_lines()))
    return 0
