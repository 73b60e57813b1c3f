"""``kmon selftest``: runs every simulated fault and healthy twin, and counts the signatures kmon gives them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmon.commands.flags import Parser
from kmon.errors import UsageError

HELP = "Run every fault and every healthy twin through the real probe on loopback; print who was called what."
CONCURRENCY = 128
REPLAYED_AT_ONCE = 32
SPEED_LIMIT = 20.0
"""Above this the stall threshold is as short as the scheduling delays of a busy machine."""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "--recordings",
        metavar="DIR",
        help="instead: replay each recorded stream below DIR once; print which get which name, with an interval",
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="runs of each (default 20)")
    parser.add_argument(
        "--speed",
        type=float,
        default=5.0,
        metavar="X",
        help=f"compress time, to {SPEED_LIMIT:g} at most (default 5)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--output", metavar="FILE", help="also write the JSON object to this file")


def run(options: argparse.Namespace) -> int:
    """Return 0 if enough signatures are right and no healthy stream is flagged, else 1; 3 if writing the file fails."""
    import asyncio

    from kmon.output import selftest_recordings as recordings
    from kmon.output.selftest import as_object, matrix, rates
    from kmon.output.selftest_bench import run_bench
    from kmon.output.selftest_cases import cases

    seeds, speed, output = options.seeds, options.speed, options.output
    if not 1 <= seeds <= 1_000:
        raise UsageError(f"--seeds must be from 1 to 1000, not {seeds}")
    if not 0 < speed <= SPEED_LIMIT:
        raise UsageError(f"--speed must be above 0 and at most {SPEED_LIMIT:g}, not {speed:g}")
    if output is not None:
        _check_writable(Path(output))
    if options.recordings is not None:
        found, named = asyncio.run(
            recordings.run_recordings(Path(options.recordings), speed=speed, concurrency=REPLAYED_AT_ONCE)
        )
        as_json, lines, good = recordings.as_object(found, named), recordings.report(found, named), True
    else:
        bench = asyncio.run(run_bench(cases(), seeds=seeds, speed=speed, concurrency=CONCURRENCY))
        measured = rates(bench.rows)
        as_json, lines, good = as_object(bench, measured), matrix(bench, measured, speed=speed), measured.good
    print(as_json if options.json else "\n".join(lines))
    try:
        if output is not None:
            Path(output).write_text(as_json + "\n", encoding="utf-8")
    except OSError as error:
        print(f"kmon: --output {output}: the result could not be kept ({error.strerror})", file=sys.stderr)
        return 3
    return 0 if good else 1


def _check_writable(path: Path) -> None:
    """Raise :class:`UsageError` for a file that cannot be written, before the self-test runs for minutes."""
    try:
        path.touch()
    except OSError as error:
        raise UsageError(f"--output {path}: cannot be written ({error.strerror}); name another file") from None
