"""The flags that say how long a run may take and still pass, in place of what its scenario says."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kmon.commands.flags import Parser

if TYPE_CHECKING:
    from kmon.model import Scenario


def add_pass_limits(parser: Parser) -> None:
    """Add the flags."""
    limits = parser.add_argument_group("what a run must keep to pass", "0: no limit; default: as the scenario says.")
    limits.add_argument("--pass-max-gap", type=float, metavar="S", help="longest silence after the first token")
    limits.add_argument("--pass-ttft", type=float, metavar="S", help="longest wait for the first token")
    limits.add_argument("--pass-duration", type=float, metavar="S", help="longest time of the whole run")


def given_limits(options: argparse.Namespace) -> Iterator[tuple[str, float | None]]:
    """Each flag with its value, None if it was not given."""
    yield "--pass-max-gap", options.pass_max_gap
    yield "--pass-ttft", options.pass_ttft
    yield "--pass-duration", options.pass_duration


def limited(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    """The scenario with the limits that the flags set."""
    from msgspec.structs import replace

    flags = {"max_gap_s": options.pass_max_gap, "ttft_s": options.pass_ttft, "duration_s": options.pass_duration}
    given = {name: value for name, value in flags.items() if value is not None}
    return replace(scenario, limits=replace(scenario.limits, **given))
