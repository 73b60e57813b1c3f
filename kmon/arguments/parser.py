"""argparse in kmon's voice: errors are one sentence, and end in exit code 2."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from kmon.catalog.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises :class:`UsageError` where argparse would print its usage and leave. Every command takes log options."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**settings)
        log = self.add_argument_group(
            "log of kmon's own errors", "Also before the command's name, and as KMON_LOG_LEVEL and KMON_LOG_FILE."
        )
        log.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (default warning)")
        log.add_argument("--log-file", metavar="PATH", help="instead of kmon.log in the state directory")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' tells the options")


def command_parser(name: str, description: str) -> Parser:
    """The parser of ``kmon NAME``."""
    return Parser(prog=f"kmon {name}".strip(), description=description, allow_abbrev=False)
