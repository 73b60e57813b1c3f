"""Flags that several commands share: those that are settings, as the settings declare them, and those of the screen."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from kmon.config.settings import SETTINGS
from kmon.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises :class:`UsageError` where argparse would print its usage and leave: one sentence, and exit code 2.

    Every command takes the options of the log.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**settings)
        log = self.add_argument_group(
            "log of kmon's own errors", "Also before the command's name, and as KMON_LOG_LEVEL and KMON_LOG_FILE."
        )
        log.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (default warning)")
        log.add_argument("--log-file", metavar="PATH", help="instead of kmon.log in the state directory")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' tells the options")


def add_settings(group: argparse._ActionsContainer, *names: str) -> None:
    """The flags of these settings. A flag that is not given is None among the options."""
    for name in names:
        setting = SETTINGS[name]
        if setting.flag_type is bool:
            group.add_argument(setting.flag, dest=name, action="store_true", default=None, help=setting.described())
        else:
            add_setting(group, name)


def add_setting(group: argparse._ActionsContainer, name: str, default: int | None = None) -> None:
    """The flag of one setting that takes a value. ``default`` is that of a command that has another one."""
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
    """``--stall`` of the commands that learn no threshold: seconds alone."""
    setting = SETTINGS["stall_s"]
    words = f"silence that is a stall (default {setting.default:g})"
    parser.add_argument(setting.flag, dest=setting.name, type=float, metavar="S", help=words)


def add_screen(parser: Parser) -> None:
    """How the screen is drawn, and whether there is one."""
    screen = parser.add_argument_group("screen")
    add_settings(screen, "theme", "fps", "bell", "ascii")
    screen.add_argument("--yes", action="store_true", help="start without showing the plan first")
    screen.add_argument("--no-tui", action="store_true", help="lines instead of a screen")


def without_screen(options: argparse.Namespace) -> bool:
    """Whether the command prints: because the options say so, or because stdout is no terminal."""
    return options.no_tui or getattr(options, "json", False) or not sys.stdout.isatty()
