"""``kmon decode``: prints the streams in recordings, as JSON objects or as text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmon.commands.flags import Parser
from kmon.commands.recording_files import FILES_HELP, names_formats
from kmon.errors import UsageError

HELP = "Read recorded streams: HAR, cassettes, curl output, raw bodies, a gateway's frames, kmon recordings."


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help=f"a file, or a pipe read to its end (Ctrl-C gives up); - is standard input; {FILES_HELP}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per recorded stream")
    names_formats(parser)


def run(options: argparse.Namespace) -> int:
    """Print every recorded stream. Returns exit code 2 if a file could not be read; the others are printed."""
    from kmon.findings.recorded import decode
    from kmon.openclaw import recording as gateway
    from kmon.openclaw.decode import decode_runs, run_block
    from kmon.output.decode import decoded_block, json_line
    from kmon.recording import interactions, read
    from kmon.recording.decode import decodable

    status = 0
    for file in options.files:
        path = Path(file)
        try:
            source = read(path, _warn)
            dialogues = gateway.read(source)
            found = [] if dialogues else interactions(path, source)
        except UsageError as error:
            _warn(str(error))
            status = 2
            continue
        for lines in dialogues:
            for run in decode_runs(file, lines):
                print(json_line(run) if options.json else run_block(run), flush=True)
        for interaction in found:
            if decodable(interaction):
                decoded = decode(file, interaction)
                print(json_line(decoded) if options.json else decoded_block(decoded, interaction), flush=True)
            elif interaction.problem and interaction.streaming:
                _warn(f"{file}: interaction {interaction.index} is skipped: {interaction.problem}")
                status = 2
            elif interaction.streaming:
                problem = f"interaction {interaction.index} speaks {interaction.dialect}, which decode does not read"
                _warn(f"{file}: {problem}; skipped")
        if found and not any(interaction.streaming for interaction in found):
            _warn(f"{file} holds {len(found)} exchanges, and none of them is a stream")
    return status


def _warn(sentence: str) -> None:
    from kmon.dialects.text import clean

    print(f"kmon: {clean(sentence)}", file=sys.stderr)
