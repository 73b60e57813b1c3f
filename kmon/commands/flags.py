"""The argument parser of the commands, and flags that several commands share."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from kmon.config.settings import SETTINGS
from kmon.dialects.registry import names
from kmon.errors import UsageError

DEFAULT_SEED = 1
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


class Parser(argparse.ArgumentParser):
    """A parser with the options of the log. It raises :class:`UsageError` where argparse would print usage and exit."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**settings)
        log = self.add_argument_group(
            "log of kmon's own errors", "Also before the command's name, and as KMON_LOG_LEVEL and KMON_LOG_FILE."
        )
        log.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (default warning)")
        log.add_argument("--log-file", metavar="PATH", help="instead of kmon.log in the state directory")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' tells the options")


def duration_s(text: str) -> float:
    """``6h``, ``90m``, ``1h30m``, ``45s`` in seconds."""
    found = _DURATION.match(text)
    if not text or found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration; write hours, minutes or seconds: 6h, 90m, 1h30m, 45s"
        )
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60 + seconds


def add_settings(group: argparse._ActionsContainer, *names: str) -> None:
    """Add the flags of these settings. A flag that is not given is None in the options."""
    for name in names:
        setting = SETTINGS[name]
        if setting.flag_type is bool:
            group.add_argument(setting.flag, dest=name, action="store_true", default=None, help=setting.described())
        else:
            add_setting(group, name)


def add_setting(group: argparse._ActionsContainer, name: str, default: int | None = None) -> None:
    """Add the flag of a setting that takes a value. ``default`` replaces the default of the setting."""
    setting = SETTINGS[name]
    group.add_argument(
        setting.flag,
        dest=name,
        type=setting.flag_type,
        default=default,
        metavar=setting.metavar,
        help=setting.described(default),
    )


def add_fixed_stall(parser: Parser) -> None:
    """Add ``--stall`` for commands that do not learn a threshold: it takes seconds only, not ``auto``."""
    setting = SETTINGS["stall_s"]
    words = f"silence that is a stall (default {setting.default:g})"
    parser.add_argument(setting.flag, dest=setting.name, type=float, metavar="S", help=words)


def add_screen(parser: Parser) -> None:
    """Add the options of the screen."""
    screen = parser.add_argument_group("screen")
    add_settings(screen, "theme", "fps", "bell", "ascii")
    screen.add_argument("--yes", action="store_true", help="start without showing the plan first")
    screen.add_argument("--no-tui", action="store_true", help="lines instead of a screen")


def without_screen(options: argparse.Namespace) -> bool:
    """Whether the command prints lines: by its options, or because stdout is no terminal."""
    return options.no_tui or getattr(options, "json", False) or not sys.stdout.isatty()


def add_race(parser: Parser, *, rounds: int | None = None) -> None:
    """Add the options of a race. ``rounds`` replaces the default of that setting."""
    aim = parser.add_argument_group("what to race")
    aim.add_argument("targets", nargs="*", metavar="TARGET", help="a name of 'kmon targets', or provider/model")
    aim.add_argument("--scenario", action="append", metavar="NAME[,NAME]", help="what to ask (default: code)")
    add_setting(aim, "rounds", rounds)
    add_settings(aim, "concurrency")
    aim.add_argument("--max-requests", type=int, metavar="N", help="refuse to start what would send more requests")
    aim.add_argument("--max-tokens", type=int, metavar="N", help="refuse what could cost more output tokens in all")
    aim.add_argument(
        "--base-url",
        metavar="URL",
        help="any endpoint, with --model (openclaw and ws need none); responses also as ws:// or wss://",
    )
    aim.add_argument("--model", metavar="ID", help="the model to ask for at --base-url")
    aim.add_argument(
        "--dialect",
        metavar="NAME",
        help=f"dialect of --base-url, or of all rows of --demo: {', '.join(names())} (default {names()[0]})",
    )
    aim.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key for --base-url")
    aim.add_argument("--nudge-after", type=float, metavar="S", help="nudge a run, once, when it has been silent for S")
    aim.add_argument("--session", metavar="KEY", help="go on with this session of a gateway (default: a fresh one)")
    limits = parser.add_argument_group("thresholds")
    add_settings(limits, "stall_s", "timeout_s", "connect_timeout_s")
    policy = parser.add_argument_group(
        "retries, timeouts, fallback", "All off unless set: silence is reported, not ended. More of it in kmon.toml."
    )
    add_settings(policy, "retries", "retry_base_s", "header_timeout_s", "first_token_timeout_s", "idle_timeout_s")
    add_settings(policy, "fallback", "fallback_when")
    add_alerts(parser)
    demo = parser.add_argument_group("simulator")
    demo.add_argument(
        "--demo", action="store_true", help="on the embedded simulator, free; --demo stuck-tui: the stuck chat"
    )
    demo.add_argument("--profile", metavar="NAME|FILE", help="--demo with this behaviour (see 'kmon sim --help')")
    demo.add_argument(
        "--fault", default="", metavar="NAME", help="--demo with this fault for all: 'kmon explain' names them"
    )
    demo.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help=f"same seed, same streams; test: same order of targets (default {DEFAULT_SEED})",
    )
    demo.add_argument(
        "--speed", type=float, metavar="X", help="simulator only: compress time (default 1; test --demo alone: 10)"
    )


def seed_of(options: argparse.Namespace) -> int:
    """The value of ``--seed``, or its default."""
    return DEFAULT_SEED if options.seed is None else int(options.seed)


def add_alerts(parser: Parser) -> None:
    """Add the options of the alerts."""
    alerts = parser.add_argument_group("alerts on a target's health (0 turns a rule off)")
    add_settings(alerts, "alert_success_rate", "alert_failures", "alert_chunks", "on_alert", "alert_webhook")
