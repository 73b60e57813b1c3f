"""``kmon scenarios``: lists the scenarios."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser

HELP = "List what can be asked."


def arguments(parser: Parser) -> None:
    """The command has no options."""


def run(options: argparse.Namespace) -> int:
    """Print a line per scenario: name, title, limit of output tokens, number of tools."""
    from kmon.config.sources import load

    scenarios = load().catalog.scenarios.values()
    width = max(len(scenario.name) for scenario in scenarios)
    for scenario in scenarios:
        tools = f", {len(scenario.tools)} tool{'' if len(scenario.tools) == 1 else 's'}" if scenario.tools else ""
        print(f"{scenario.name.ljust(width)}  {scenario.title} (up to {scenario.max_tokens} tokens{tools})")
    return 0
