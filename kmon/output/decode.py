"""``kmon decode``: what recordings hold, as JSON objects or for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kmon.catalog.errors import UsageError
from kmon.dialects.text import clean
from kmon.openclaw import recording as gateway
from kmon.openclaw.decode import decode_runs, run_block
from kmon.recording import Interaction, interactions, read
from kmon.recording.decode import Decoded, decodable, decode, fit


def main(files: Sequence[str], *, as_json: bool) -> int:
    """Print every recorded stream of ``files``; return 2 if a file could not be read (the others are printed)."""
    status = 0
    for file in files:
        path = Path(file)
        try:
            data = read(path, _complain)
            lines = gateway.read(data)
            found = [] if lines else interactions(path, data)
        except UsageError as exc:
            _complain(str(exc))
            status = 2
            continue
        for run in decode_runs(file, lines) if lines else ():
            print(_line(run) if as_json else run_block(run), flush=True)
        for interaction in found:
            if decodable(interaction):
                decoded = decode(file, interaction)
                print(_line(decoded) if as_json else _block(decoded, interaction), flush=True)
            elif interaction.streaming:
                told = f"interaction {interaction.index} speaks {interaction.dialect}, which decode does not read"
                _complain(f"{file}: {told}; skipped")
    return status


def _complain(sentence: str) -> None:
    print(f"kmon: {clean(sentence)}", file=sys.stderr)


def _line(decoded: Decoded) -> str:
    """One line of ASCII: the text in it is raw, and no byte of it may act on a terminal."""
    return json.dumps(msgspec.to_builtins(decoded), ensure_ascii=True)


def _block(decoded: Decoded, interaction: Interaction) -> str:
    """A few lines for people, every string cleaned."""
    usage = decoded.usage
    chunks = f"{decoded.chunks} chunk{'' if decoded.chunks == 1 else 's'}"
    lines = [
        f"{decoded.file} #{decoded.interaction}  {decoded.dialect}  {fit(interaction.request.model) or '-'}"
        f"  HTTP {decoded.status if decoded.status is not None else '?'}",
        f"  finish {decoded.finish_reason or '-'}  done {'yes' if decoded.done else 'no'}  {chunks}"
        + (f"  tokens {usage.prompt_tokens}/{usage.completion_tokens}/{usage.total_tokens}" if usage else ""),
    ]
    if decoded.signature:
        lines.append(f"  signature {decoded.signature}")
    if decoded.error:
        lines.append(f"  error {decoded.error.kind}: {decoded.error.message}")
    lines += _indented("reasoning", decoded.reasoning)
    lines += _indented("text", decoded.text)
    for call in decoded.tool_calls:
        lines += _indented("tool", f"{call.name}({call.arguments})  {call.id}")
    return "\n".join(clean(line) for line in lines) + "\n"


def _indented(title: str, text: str) -> list[str]:
    return [f"  {title}", *(f"    {line}" for line in clean(text).split("\n"))] if text else []
