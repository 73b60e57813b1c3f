"""Checks the content of a finished answer: tool calls, markup, loops, model names, chunk order, usage. Pure.

Every check prefers to miss a fault over reporting one in a healthy answer.
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
"""From so many output chunks after the finish reason on, the order is wrong; fewer may be a late last word."""
SAME_CALLS = 2
"""After so many earlier calls with the same arguments, one more is a loop."""
CHARS_PER_TOKEN = 4
"""Approximation for Latin text; code and other scripts have fewer."""
MOST_CHARS_PER_TOKEN = 16
"""No tokenizer averages more over a long text."""
LEAST_CHARS = 400
"""Shorter answers are no evidence about a count."""
SPARE_TOKENS = 200
"""Tokens that templates and tool markup may add to the visible output."""
_FAMILY = re.compile(
    r"(kimi|gpt-oss|gpt|claude|llama|qwen|deepseek|mixtral|mistral|ministral|nova|gemma|gemini|glm|minimax|command|phi|grok)"
)
_KIMI = re.compile(r"kimi[-_ ]?k(\d+)(?:[.p](\d{1,2})(?!\d)|-(\d)(?!\d))?")
_NUMBER = re.compile(r"(\d+(?:[.p]\d+)?)")
_DATE = re.compile(r"(?<!\d)(0\d{3}|1[0-2]\d{2})(?!\d)")


class RequestFacts(Struct, frozen=True):
    """The parts of a request by which its answer is judged."""

    model: str
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    called: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Tool calls (name, arguments) made and answered earlier in the conversation."""
    finish_words: FinishWords = FinishWords()


class ContentFinding(Struct, frozen=True):
    """A signature and its evidence, a sentence without full stop; foreign text in it is raw."""

    name: str
    sentence: str


Check = Callable[[RequestFacts, Transcript, ChunkStats], ContentFinding | None]


def content_finding(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """The most serious fault in the content of a finished answer, or None."""
    return next((found for check in CHECKS if (found := check(request, transcript, stats)) is not None), None)


def markers_leaked(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """Tool-call markup of the model in its text. Markup in code, or quoted from the prompt, is no fault."""
    for where, text in (("text", transcript.text), ("reasoning", transcript.reasoning)):
        marker = MARKER.search(_CODE.sub("", text)) if "<" in text else None
        if marker is not None and marker[0] not in request.prompt:
            calls = (
                f"{len(transcript.tool_calls)} tool calls beside it"
                if transcript.tool_calls
                else "no tool call beside it"
            )
            return ContentFinding("tool-markers-leaked", f"{marker[0]} in the {where}, {calls}")
    return None


def looping(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """Output that ends in a repetition loop."""
    for where, text in (("text", transcript.text), ("reasoning", transcript.reasoning), *_arguments(transcript)):
        if loop := loop_at_end(text):
            return ContentFinding(
                "repetition-loop",
                f"the {where} ends in {shown(loop.unit)!r} {loop.times} times, unless it was asked to",
            )
    return None


def _arguments(transcript: Transcript) -> Sequence[tuple[str, str]]:
    return tuple((f"arguments of {shown(call.name)}", call.arguments) for call in transcript.tool_calls)


def _calls_again(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """The same call for the third time. One repetition may be intended, for instance after an error."""
    for call in transcript.tool_calls:
        if not any(name == call.name for name, _ in request.called):
            continue
        try:
            arguments = json.loads(call.arguments)
        except (ValueError, RecursionError):
            continue
        before = sum(name == call.name and given == arguments for name, given in request.called)
        if before >= SAME_CALLS:
            return ContentFinding(
                "tool-call-loop", f"{shown(call.name)} with the same arguments again, {before} times answered before"
            )
    return None


def _calls_amiss(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    for call in transcript.tool_calls:
        problem = tool_problem(call, request.tools)
        if problem is not None:
            return ContentFinding(problem.name, problem.sentence + _why_unfinished(problem.name, request, transcript))
    return None


def _why_unfinished(name: str, request: RequestFacts, transcript: Transcript) -> str:
    if name != "tool-arguments-unfinished":
        return ""
    if transcript.finish_reason in request.finish_words.length:
        return "; the token limit cut them (finish reason length)"
    tokens = transcript.usage.completion_tokens if transcript.usage else None
    counted = f", after {tokens} output tokens by usage" if tokens is not None else ""
    return f"; {_finish(transcript)}{counted}: lost on the way, or cut by a limit that is not told"


def _finish(transcript: Transcript) -> str:
    return f"finish reason {transcript.finish_reason and shown(transcript.finish_reason)}"


def _silent_answer(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if transcript.text.strip() or transcript.tool_calls or transcript.refusal.strip() or transcript.server_tools:
        return None  # a tool of the server may wait for the client's consent, or be run by it
    finish = _finish(transcript)
    if transcript.finish_reason in request.finish_words.without_output:
        return None
    if transcript.finish_reason in request.finish_words.tools:
        return ContentFinding("finish-mismatch", f"{finish}, and no tool call in the stream")
    if transcript.reasoning.strip():
        why = (
            "thinking used up the token limit"
            if transcript.finish_reason in request.finish_words.length
            else "the answer may be in there"
        )
        return ContentFinding(
            "only-reasoning", f"{len(transcript.reasoning)} characters of reasoning, no answer, {finish}: {why}"
        )
    tokens = transcript.usage.completion_tokens if transcript.usage else None
    counted = f"; usage counts {tokens} output tokens" if tokens is not None else ""
    return ContentFinding("empty-answer", f"no text, no tool call, no reasoning, {finish}{counted}")


def _calls_missing(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    called = transcript.tool_calls or transcript.server_tools
    if transcript.finish_reason in request.finish_words.tools and not called:
        return ContentFinding("finish-mismatch", f"{_finish(transcript)}, and no tool call in the stream")
    return None


def _other_model(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    served = stats.models[0] if stats.models else ""
    if request.model and served and not may_be_same(request.model, served):
        return ContentFinding("wrong-model", f"asked for {shown(request.model)}, the chunks name {shown(served)}")
    return None


def _switched(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if len(stats.upstreams) > 1:
        return ContentFinding("upstream-switched", f"the host changed: {shown(', then '.join(stats.upstreams))}")
    for before, after in zip(stats.models, stats.models[1:], strict=False):
        if not may_be_same(before, after):
            return ContentFinding("upstream-switched", f"the model changed from {shown(before)} to {shown(after)}")
    return None


def _out_of_order(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if stats.late_chunks >= LATE_CHUNKS:
        return ContentFinding("reordered-chunks", f"{stats.late_chunks} chunks with output after the finish reason")
    if stats.early_arguments:
        return ContentFinding(
            "reordered-chunks", f"arguments before their name in {stats.early_arguments} tool call(s)"
        )
    return None


def _sent_twice(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    passage = passage_sent_twice(stats.pieces)
    if passage is None:
        return None
    return ContentFinding(
        "duplicate-chunks", f"{len(passage)} characters came twice, chunk for chunk: {shown(passage)!r}"
    )


def _usage_amiss(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """``usage-missing`` or ``usage-mismatch``, or None.

    Usage is missing only if the stream announced it. A count can be too small for any text, but too large only if the
    provider reports its reasoning tokens, because hidden reasoning is counted as well.
    """
    answer = transcript.text + "".join(call.name + call.arguments for call in transcript.tool_calls)
    chars = len(answer) + len(transcript.reasoning)
    about = f"about {-(-chars // CHARS_PER_TOKEN)} by the length of the stream (an estimate)"
    usage = transcript.usage
    if usage is None or usage.completion_tokens is None:
        missing = stats.usage_announced and request.wants_usage and transcript.done
        return ContentFinding("usage-missing", f"usage was announced and never came; {about}") if missing else None
    counted = usage.completion_tokens
    if chars >= LEAST_CHARS and counted * MOST_CHARS_PER_TOKEN < chars:
        return ContentFinding("usage-mismatch", f"usage counts {counted} output tokens, {about}")
    visible = counted - (usage.reasoning_tokens or 0)
    most = len(answer.encode("utf-8", "replace")) + SPARE_TOKENS
    if usage.reasoning_tokens is not None and visible > most and not transcript.server_tools:  # their input is counted
        beside = f" beside {usage.reasoning_tokens} of reasoning"
        return ContentFinding(
            "usage-mismatch",
            f"usage counts {visible} output tokens{beside}, more than the answer has bytes; {about}",
        )
    return None


CHECKS: tuple[Check, ...] = (
    looping, _calls_amiss, _calls_again, markers_leaked, _silent_answer, _calls_missing,
    _other_model, _switched, _out_of_order, _sent_twice, _usage_amiss,
)  # fmt: skip
"""The most serious first: what breaks an agent, then what spoils a comparison, then what affects the bill."""


class _Name(NamedTuple):
    family: str
    generation: str
    thinking: bool
    date: str


def may_be_same(asked: str, served: str) -> bool:
    """Whether two names may mean one model. Providers spell one model in many ways, so False only if both names
    state their family, and the families, generations or kinds of thinking differ."""
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
    # for other families only the number directly after the family's name is the generation
    rest = low[family.end() :].lstrip("-_ v")
    number = _NUMBER.match(rest)
    return _Name(family[1], number[1].replace("p", ".") if number else "", False, "")
