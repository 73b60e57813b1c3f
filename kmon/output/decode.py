"""What ``kmon decode`` prints of one recorded stream: a JSON object, or a few lines for people."""

from __future__ import annotations

import json

import msgspec
from msgspec import UNSET

from kmon.dialects.text import clean
from kmon.recording import Interaction
from kmon.recording.decode import Decoded, fit


def json_line(decoded: Decoded) -> str:
    """One line of ASCII, because the text is raw and no byte of it may control a terminal."""
    return json.dumps(msgspec.to_builtins(decoded), ensure_ascii=True)


def decoded_block(decoded: Decoded, interaction: Interaction) -> str:
    """A few lines for people; every string is cleaned."""
    usage = decoded.usage
    chunks = f"{decoded.chunks} chunk{'' if decoded.chunks == 1 else 's'}"
    lines = [
        f"{decoded.file} #{decoded.interaction}  {decoded.dialect}  {fit(interaction.request.model) or '-'}"
        f"  HTTP {decoded.status if decoded.status is not None else '?'}",
        f"  finish {decoded.finish_reason or '-'}  done {'yes' if decoded.done else 'no'}  {chunks}"
        + (f"  tokens {usage.prompt_tokens}/{usage.completion_tokens}/{usage.total_tokens}" if usage else ""),
    ]
    if decoded.max_gap_ms is not UNSET and decoded.max_gap_at_ms is not UNSET:
        place = (
            f"{decoded.max_gap_at_ms / 1000:.2f} s after the first event, after {decoded.max_gap_after_chunks} chunks"
        )
        lines.append(f"  longest gap {decoded.max_gap_ms / 1000:.2f} s, {place}")
    if decoded.signature:
        lines.append(f"  signature {decoded.signature}")
    if decoded.evidence:
        lines.append(f"  evidence {decoded.evidence}")
    if decoded.error:
        lines.append(f"  error {decoded.error.kind}: {decoded.error.message}")
    lines += _indented("reasoning", decoded.reasoning)
    lines += _indented("text", decoded.text)
    lines += _indented("refusal", decoded.refusal or "")
    for call in decoded.tool_calls:
        lines += _indented("tool", f"{call.name}({call.arguments})  {call.id}")
    for tool in decoded.server_tools or ():
        lines += _indented("server tool", f"{tool.type}  {tool.name}".rstrip())
    return "\n".join(clean(line) for line in lines) + "\n"


def _indented(title: str, text: str) -> list[str]:
    return [f"  {title}", *(f"    {line}" for line in clean(text).split("\n"))] if text else []
