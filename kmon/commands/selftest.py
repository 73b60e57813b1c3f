"""``kmon selftest``: whether kmon says the right thing about every fault and every healthy twin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmon.commands.flags import Parser
from kmon.errors import UsageError

HELP = "Run every fault and every healthy twin through the real probe on loopback; print who was called what."
CONCURRENCY = 128
SPEED_LIMIT = 20.0
"""Faster, and the stall threshold would be no longer than what a busy machine adds to a gap."""


def arguments(parser: Parser) -> None:
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
    """Exit code 0 if kmon is right often enough and flags no healthy stream, else 1; 3 if the file cannot be kept."""
    import asyncio

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
    bench = asyncio.run(run_bench(cases(), seeds=seeds, speed=speed, concurrency=CONCURRENCY))
    counted = rates(bench.rows)
    print(as_object(bench, counted) if options.json else "\n".join(matrix(bench, counted, speed=speed)))
    try:
        if output is not None:
            Path(output).write_text(as_object(bench, counted) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"kmon: --output {output}: the matrix could not be kept ({error.strerror})", file=sys.stderr)
        return 3
    return 0 if counted.good else 1


def _check_writable(path: Path) -> None:
    """Say now, and not after minutes, that a file cannot be written."""
    try:
        path.touch()
    except OSError as error:
        raise UsageError(f"--output {path}: cannot be written ({error.strerror}); name another file") from None
