"""Refuses flags of a race that are invalid, contradict each other, or would have no effect.

Settings are checked where they are loaded, and what only the plan tells (cost, sessions) in ``build_plan``.
"""

from __future__ import annotations

import argparse

from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT

LONGEST_NUDGE_S = 86_400


def check_race(options: argparse.Namespace) -> None:
    """Raise :class:`UsageError` for flags of ``add_race`` that cannot be used as they are given."""
    check_aim(options)
    if options.speed is not None and not 0 < options.speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, not {options.speed:g}")
    after_s = options.nudge_after
    if after_s is not None and not 0 < after_s <= LONGEST_NUDGE_S:
        wanted = f"a number of seconds above 0 and at most {LONGEST_NUDGE_S}"
        raise UsageError(f"--nudge-after must be {wanted}, not {after_s:g}")
    for flag, value in (("--max-requests", options.max_requests), ("--max-tokens", options.max_tokens)):
        if value is not None and value < 1:
            raise UsageError(f"{flag} must be 1 or more, not {value}")


def on_simulator(options: argparse.Namespace) -> bool:
    """Whether the flags ask for the simulator."""
    return options.demo or options.profile is not None or bool(options.fault)


def check_aim(options: argparse.Namespace) -> None:
    """Raise for parts of an endpoint without the endpoint that they describe."""
    if options.dialect is not None:
        dialect(options.dialect)  # raises for a name that does not exist
    unnamed = options.base_url and not options.model and dialect(options.dialect or DEFAULT_DIALECT).unnamed_model
    if bool(options.base_url) != bool(options.model) and not unnamed:
        raise UsageError("--base-url and --model belong together; give both, or name a target")
    if options.base_url:
        return
    if options.api_key_env is not None:
        raise UsageError(
            f"--api-key-env {options.api_key_env} has no effect without --base-url; give both, "
            "or set key_env of the target in kmon.toml"
        )
    if options.dialect is None:
        return
    if options.targets:
        raise UsageError(
            f"--dialect {options.dialect} has no effect on {', '.join(options.targets)}: a target has its own dialect; "
            "leave one of the two out"
        )
    if not on_simulator(options):
        raise UsageError(
            f"--dialect {options.dialect} has no effect without --base-url or --demo; "
            "give the endpoint that uses it, or race the simulator in it"
        )
