"""``kmon scenarios``: what can be asked."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser

HELP = "List what can be asked."


def arguments(parser: Parser) -> None:
    """It has none."""


def run(options: argparse.Namespace) -> int:
    """Print a line per scenario: its name, what it is, its tools and its cap in output tokens."""
    from kmon.config.sources import load

    scenarios = load().catalog.scenarios.values()
    width = max(len(scenario.name) for scenario in scenarios)
    for scenario in scenarios:
        tools = f", {len(scenario.tools)} tool{'' if len(scenario.tools) == 1 else 's'}" if scenario.tools else ""
        print(f"{scenario.name.ljust(width)}  {scenario.title} (up to {scenario.max_tokens} tokens{tools})")
    return 0
