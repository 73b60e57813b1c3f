"""argparse in kmon's voice: errors are one sentence, and end in exit code 2."""

from __future__ import annotations

import argparse
from typing import NoReturn

from kmon.catalog.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Raises :class:`UsageError` where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' tells the options")


def command_parser(name: str, description: str) -> Parser:
    """The parser of ``kmon NAME``."""
    return Parser(prog=f"kmon {name}".strip(), description=description, allow_abbrev=False)
