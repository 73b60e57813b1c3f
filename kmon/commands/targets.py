"""``kmon targets``: lists the targets and where each key was found; ``--check`` sends ``GET /models`` to each."""

from __future__ import annotations

import argparse
import sys

from kmon.commands.flags import Parser

HELP = "List what can be aimed at, and where each key was found (never the key)."


def arguments(parser: Parser) -> None:
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these")
    parser.add_argument("--check", action="store_true", help="ask each provider's GET /models")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(options: argparse.Namespace) -> int:
    """Return exit code 1 if a checked target failed, else 0."""
    from kmon.catalog.resolve import resolve_target
    from kmon.config.sources import load
    from kmon.dialects.text import clean
    from kmon.output.targets import list_checks, list_targets

    loaded = load()
    named = bool(options.names)
    targets = [resolve_target(loaded.catalog, name) for name in options.names] or list(loaded.catalog.targets.values())
    for note in loaded.notes:
        print(f"kmon: {clean(note)}", file=sys.stderr)
    if not options.check:
        print(list_targets(targets, loaded.env, loaded.trust, as_json=options.json, quirks=named))
        return 0
    import asyncio

    from kmon.doctor.targets_check import check_targets

    checks = asyncio.run(check_targets(targets, loaded.env, loaded.trust, named=named))
    print(list_checks(targets, checks, loaded.env, as_json=options.json))
    return 1 if any(result.state == "failed" for result in checks) else 0
