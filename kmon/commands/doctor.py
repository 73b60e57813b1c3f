"""``kmon doctor``: measures every network step to each target, and prints what is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser
from kmon.errors import UsageError

if TYPE_CHECKING:
    from kmon.config.sources import Loaded
    from kmon.model import Target

HELP = "Measure every step of the way to each target five times (nothing that costs is sent), and say what is wrong."
LIMIT_S, LONGEST_LIMIT_S = 10.0, 300.0


def arguments(parser: Parser) -> None:
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these (default: those with a key)")
    parser.add_argument(
        "--timeout", type=float, default=LIMIT_S, metavar="S", help=f"limit of each step (default {LIMIT_S:g})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per target, and one for this machine")


def run(options: argparse.Namespace) -> int:
    """Return exit code 1 if anything is wrong with a target, else 0."""
    import asyncio

    from kmon.config.sources import load
    from kmon.dialects.text import clean
    from kmon.doctor.conclusion import diagnose
    from kmon.doctor.local_machine import processes, programs, proxy_variables
    from kmon.output.doctor import json_lines, text_lines

    limit_s = options.timeout
    if not 0 < limit_s <= LONGEST_LIMIT_S:
        raise UsageError(f"--timeout must be above 0 and at most {LONGEST_LIMIT_S:g} seconds, not {limit_s:g}")
    loaded = load()
    wanted = programs(loaded.tables)
    targets, why = _targets(options.names, loaded)
    for note in (*loaded.notes, *why):
        print(f"kmon: {clean(note)}", file=sys.stderr)
    if sys.stderr.isatty():
        print(f"kmon: trying every step five times: {', '.join(target.name for target in targets)}", file=sys.stderr)
    diagnoses = asyncio.run(diagnose(targets, loaded.env, loaded.trust, limit_s, named=bool(options.names)))
    lines = json_lines if options.json else text_lines
    print("\n".join(lines(diagnoses, proxy_variables(os.environ), processes(wanted))))
    return 0 if all(diagnosis.ok for diagnosis in diagnoses) else 1


def _targets(names: list[str], loaded: Loaded) -> tuple[list[Target], list[str]]:
    """The targets to examine, and a note if they are neither named nor keyed."""
    from kmon.address import is_loopback
    from kmon.catalog.keys import keyed_targets
    from kmon.catalog.resolve import resolve_target

    if names:
        return [resolve_target(loaded.catalog, name) for name in dict.fromkeys(names)], []
    known = loaded.catalog.targets.values()
    if keyed := keyed_targets(known, loaded.env):
        return list(keyed), []
    local = [target for target in known if not target.key_env and is_loopback(target.base_url)]
    return local, ["no target was named and no key is set: looking at the local servers only"]
