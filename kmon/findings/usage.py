"""Reported token counts against the stream that was seen. Tokens of the stream are an estimate and are called one."""

from __future__ import annotations

from kmon.dialects.assemble import Transcript

CHARS_PER_TOKEN = 4
"""A rule of thumb for Latin text; code and other scripts have fewer."""
MOST_CHARS_PER_TOKEN = 16
"""No tokenizer averages more over a text of some length."""
LEAST_CHARS = 400
"""Shorter answers prove nothing about a count."""
SPARE_TOKENS = 200
"""What templates and tool markup may cost beyond what is seen."""


def estimated_tokens(said: Transcript) -> int:
    """About how many tokens the stream held."""
    return -(-_chars(said) // CHARS_PER_TOKEN)


def usage_finding(said: Transcript, *, announced: bool) -> tuple[str, str] | None:
    """``usage-missing`` or ``usage-mismatch`` with its sentence, or None.

    Missing counts only where the stream ``announced`` it. Reported counts may be too small for the text in any case,
    but too large only where the provider tells its reasoning apart, because hidden reasoning is counted as well.
    """
    about = f"about {estimated_tokens(said)} by the length of the stream (an estimate)"
    usage = said.usage
    if usage is None or usage.completion_tokens is None:
        return ("usage-missing", f"usage was announced and never came; {about}") if announced and said.done else None
    counted = usage.completion_tokens
    if _chars(said) >= LEAST_CHARS and counted * MOST_CHARS_PER_TOKEN < _chars(said):
        return "usage-mismatch", f"usage counts {counted} output tokens, {about}"
    shown = counted - (usage.reasoning_tokens or 0)
    most = len(_answer(said).encode("utf-8", "replace")) + SPARE_TOKENS
    if usage.reasoning_tokens is not None and shown > most:
        beside = f" beside {usage.reasoning_tokens} of reasoning"
        return "usage-mismatch", f"usage counts {shown} output tokens{beside}, more than the answer has bytes; {about}"
    return None


def _answer(said: Transcript) -> str:
    return said.text + "".join(call.name + call.arguments for call in said.tool_calls)


def _chars(said: Transcript) -> int:
    return len(_answer(said)) + len(said.reasoning)
