"""What is wrong with an answer that came to its end: tool calls, markup, loops, names, order, usage. Pure.

Every check would rather miss a fault than find one in a healthy answer; each of them names what it cannot know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from kmon.dialects.assemble import Transcript
from kmon.dialects.dialect import FinishWords
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.repetition import loop_at_end, passage_sent_twice
from kmon.findings.tool_call import shown, tool_problem
from kmon.model import Tool

MARKER = re.compile(r"<\|tool_calls?_(?:section_begin|begin|argument_begin|section_end|end)\|>|</?tool_call>")
"""Kimi's native markup and the ``<tool_call>`` of the Hermes family."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
LATE_CHUNKS = 3
"""Output chunks after the finish reason that are no stray last word."""
SAME_CALLS = 2
"""Earlier calls with the same arguments, from which on one more is a loop."""


class Asked(Struct, frozen=True):
    """What of the request the answer is judged by."""

    model: str
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    called: tuple[tuple[str, dict[str, Any]], ...] = ()
    """The calls that were made, and answered, earlier in the conversation."""
    finish_words: FinishWords = FinishWords()


class Finding(Struct, frozen=True):
    """A signature and the sentence that proves it, without its full stop; foreign text in it is raw."""

    name: str
    sentence: str


Check = Callable[[Asked, Transcript, ChunkStats], Finding | None]


def content_finding(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    """The gravest thing wrong with what a finished answer says, or None."""
    return next((found for check in CHECKS if (found := check(asked, said, seen)) is not None), None)


def markers_leaked(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    """The model's own markup among its words. Markup in code marks, or in the question, is what is talked about."""
    for where, text in (("text", said.text), ("reasoning", said.reasoning)):
        marker = MARKER.search(_CODE.sub("", text)) if "<" in text else None
        if marker is not None and marker[0] not in asked.prompt:
            calls = f"{len(said.tool_calls)} tool calls beside it" if said.tool_calls else "no tool call beside it"
            return Finding("tool-markers-leaked", f"{marker[0]} in the {where}, {calls}")
    return None


def looping(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    """Output that ends in a loop."""
    for where, text in (("text", said.text), ("reasoning", said.reasoning), *_arguments(said)):
        if loop := loop_at_end(text):
            return Finding(
                "repetition-loop",
                f"the {where} ends in {shown(loop.unit)!r} {loop.times} times, unless it was asked to",
            )
    return None


def _arguments(said: Transcript) -> Sequence[tuple[str, str]]:
    return tuple((f"arguments of {shown(call.name)}", call.arguments) for call in said.tool_calls)


def _calls_again(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    """The same call for the third time. Once more may be meant, after an error for instance."""
    for call in said.tool_calls:
        if not any(name == call.name for name, _ in asked.called):
            continue
        try:
            arguments = json.loads(call.arguments)
        except (ValueError, RecursionError):
            continue
        before = sum(name == call.name and given == arguments for name, given in asked.called)
        if before >= SAME_CALLS:
            return Finding(
                "tool-call-loop", f"{shown(call.name)} with the same arguments again, {before} times answered before"
            )
    return None


def _calls_amiss(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    for call in said.tool_calls:
        problem = tool_problem(call, asked.tools)
        if problem is not None:
            return Finding(problem.name, problem.sentence + _why_unfinished(problem.name, asked, said))
    return None


def _why_unfinished(name: str, asked: Asked, said: Transcript) -> str:
    if name != "tool-arguments-unfinished":
        return ""
    if said.finish_reason in asked.finish_words.length:
        return "; the token limit cut them (finish reason length)"
    tokens = said.usage.completion_tokens if said.usage else None
    counted = f", after {tokens} output tokens by usage" if tokens is not None else ""
    return f"; {_finish(said)}{counted}: lost on the way, or cut by a limit that is not told"


def _finish(said: Transcript) -> str:
    return f"finish reason {said.finish_reason and shown(said.finish_reason)}"


def _silent_answer(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    if said.text.strip() or said.tool_calls:
        return None
    finish = _finish(said)
    if said.finish_reason in asked.finish_words.tools:
        return Finding("finish-mismatch", f"{finish}, and no tool call in the stream")
    if said.reasoning.strip():
        why = (
            "thinking used up the token limit"
            if said.finish_reason in asked.finish_words.length
            else "the answer may be in there"
        )
        return Finding("only-reasoning", f"{len(said.reasoning)} characters of reasoning, no answer, {finish}: {why}")
    tokens = said.usage.completion_tokens if said.usage else None
    counted = f"; usage counts {tokens} output tokens" if tokens is not None else ""
    return Finding("empty-answer", f"no text, no tool call, no reasoning, {finish}{counted}")


def _calls_missing(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    if said.finish_reason in asked.finish_words.tools and not said.tool_calls:
        return Finding("finish-mismatch", f"{_finish(said)}, and no tool call in the stream")
    return None


def _other_model(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    served = seen.models[0] if seen.models else ""
    if asked.model and served and not may_be_same(asked.model, served):
        return Finding("wrong-model", f"asked for {shown(asked.model)}, the chunks name {shown(served)}")
    return None


def _switched(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    if len(seen.upstreams) > 1:
        return Finding("upstream-switched", f"the host changed: {shown(', then '.join(seen.upstreams))}")
    for before, after in zip(seen.models, seen.models[1:], strict=False):
        if not may_be_same(before, after):
            return Finding("upstream-switched", f"the model changed from {shown(before)} to {shown(after)}")
    return None


def _out_of_order(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    if seen.late_chunks >= LATE_CHUNKS:
        return Finding("reordered-chunks", f"{seen.late_chunks} chunks with output after the finish reason")
    if seen.early_arguments:
        return Finding("reordered-chunks", f"arguments before their name in {seen.early_arguments} tool call(s)")
    return None


def _sent_twice(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    passage = passage_sent_twice(seen.pieces)
    if passage is None:
        return None
    return Finding("duplicate-chunks", f"{len(passage)} characters came twice, chunk for chunk: {shown(passage)!r}")


def _usage_amiss(asked: Asked, said: Transcript, seen: ChunkStats) -> Finding | None:
    found = usage_finding(said, announced=seen.usage_announced and asked.wants_usage)
    return None if found is None else Finding(*found)


CHECKS: tuple[Check, ...] = (
    looping, _calls_amiss, _calls_again, markers_leaked, _silent_answer, _calls_missing,
    _other_model, _switched, _out_of_order, _sent_twice, _usage_amiss,
)  # fmt: skip
"""The gravest first: what an agent stumbles over, then what spoils a comparison, then what spoils the bill."""


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


_FAMILY = re.compile(
    r"(kimi|gpt-oss|gpt|claude|llama|qwen|deepseek|mixtral|mistral|ministral|nova|gemma|gemini|glm|minimax|command|phi|grok)"
)
_KIMI = re.compile(r"kimi[-_ ]?k(\d+)(?:[.p](\d{1,2})(?!\d)|-(\d)(?!\d))?")
_NUMBER = re.compile(r"(\d+(?:[.p]\d+)?)")
_DATE = re.compile(r"(?<!\d)(0\d{3}|1[0-2]\d{2})(?!\d)")


class _Name(NamedTuple):
    family: str
    generation: str
    thinking: bool
    date: str


def may_be_same(asked: str, served: str) -> bool:
    """False only when both names tell their family and the families, generations or kinds of thinking differ."""
    one, other = _name(asked), _name(served)
    if one is None or other is None:
        return True
    if one.family != other.family:
        return False
    if one.generation and other.generation and one.generation != other.generation:
        return False
    if one.family == "kimi" and one.generation == other.generation == "2" and one.thinking != other.thinking:
        return False
    return not (one.family == "kimi" and one.date and other.date and one.date != other.date)


def _name(model: str) -> _Name | None:
    low = model.lower().rsplit("/", 1)[-1]
    family = _FAMILY.search(low)
    if family is None:
        return None
    if family[1] == "kimi":
        found = _KIMI.search(low)
        parts = [part for part in (found[1], found[2] or found[3]) if part] if found else []
        date = _DATE.search(low)
        return _Name("kimi", ".".join(parts), "thinking" in low, date[1] if date else "")
    # Of other families only the number right after the family's name is taken for the generation.
    rest = low[family.end() :].lstrip("-_ v")
    number = _NUMBER.match(rest)
    return _Name(family[1], number[1].replace("p", ".") if number else "", False, "")
