"""``kmon scenarios``: what can be asked."""

from __future__ import annotations

from kmon.config import Loaded


def main(loaded: Loaded) -> int:
    """Print a line per scenario: its name, what it is, its tools and its cap in output tokens."""
    scenarios = loaded.catalog.scenarios.values()
    width = max(len(scenario.name) for scenario in scenarios)
    for scenario in scenarios:
        tools = f", {len(scenario.tools)} tool{'' if len(scenario.tools) == 1 else 's'}" if scenario.tools else ""
        print(f"{scenario.name.ljust(width)}  {scenario.title} (up to {scenario.max_tokens} tokens{tools})")
    return 0
