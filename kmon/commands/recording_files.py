"""What the commands that read recordings say of their files."""

from __future__ import annotations

import argparse

from kmon.commands.flags import Parser

FILES_HELP = "at most 64 MiB; .gz, .bz2, .xz, .zst, .br and .zip are unpacked"


def names_formats(parser: Parser) -> None:
    """Add the list of formats to the end of the help."""
    from kmon.recording.formats import FORMATS  # here, because only these two commands need all readers

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = "\n".join(f"  {one.name}" for one in FORMATS)
    parser.epilog = f"formats, recognised by their content:\n{names}\n"
