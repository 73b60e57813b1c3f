"""Checks the content of a finished answer: tool calls, markup, loops, model names, chunk order, usage. Pure.

Every check prefers to miss a fault over reporting one in a healthy answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct

from kmon.dialects.assemble import Transcript
from kmon.dialects.dialect import FinishWords
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.cut_text import cut_off
from kmon.findings.damaged_text import blank_flood, garbled
from kmon.findings.leaked_markup import leaked, leaked_into_arguments
from kmon.findings.model_names import TREATED_AS_EQUAL, may_be_same
from kmon.findings.repetition import endless_ruler, loop_at_end, passage_sent_twice, sent_again
from kmon.findings.repetition_asked import asked_for
from kmon.findings.tool_call import shown, tool_problem
from kmon.findings.usage import usage_problem
from kmon.findings.written_calls import written_call
from kmon.format import plural
from kmon.model import Tool

LATE_CHUNKS = 3
"""From so many output chunks after the finish reason on, the order is wrong."""
TEXT_CHUNKS = 2
"""From so many on, text follows the finish reason; one may be a late last word."""
SAME_CALLS = 2
"""After so many earlier calls with the same arguments, one more is a loop."""


class RequestFacts(Struct, frozen=True):
    """The parts of a request by which its answer is judged."""

    model: str
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    wants_usage: bool = False
    called: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Tool calls (name, arguments) made and answered earlier in the conversation."""
    ends_elsewhere: bool = False
    """Whether it names a text to stop at, or one that follows the answer."""
    finish_words: FinishWords = FinishWords()
    end_event: bool = True
    """Whether the provider's streams have a terminal event."""


class ContentFinding(Struct, frozen=True):
    """A signature and its evidence, a sentence without full stop; foreign text in it is raw."""

    name: str
    sentence: str


Check = Callable[[RequestFacts, Transcript, ChunkStats], ContentFinding | None]


def content_finding(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """The most serious fault in the content of a finished answer, or None."""
    return next((found for check in CHECKS if (found := check(request, transcript, stats)) is not None), None)


def markers_leaked(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """Markup of the model's chat template in its text, reasoning or arguments."""
    found = ((where, leaked(text, request.prompt)) for where, text in _words(transcript))
    in_arguments = ((where, leaked_into_arguments(text, request.prompt)) for where, text in _arguments(transcript))
    for where, marker in chain(found, in_arguments):
        if marker is None or (marker.family.use == "thinking" and where == "reasoning"):
            continue
        if marker.family.use == "thinking":
            return ContentFinding("thinking-in-text", f"{marker.text} in the {where}: thinking came as the answer")
        calls = len(transcript.tool_calls)
        beside = f"{plural(calls, 'tool call')} beside it" if calls else "no tool call beside it"
        return ContentFinding(
            "tool-markers-leaked", f"{shown(marker.text)} ({marker.family.name}) in the {where}, {beside}"
        )
    return None


def _call_in_words(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """A tool call without markup, which came as the whole text."""
    if transcript.tool_calls or transcript.server_tools or not request.tools:
        return None
    name = written_call(transcript.text, {tool.name for tool in request.tools})
    if name is None or f'"{name}"' in request.prompt:
        return None  # the prompt may have shown this form and asked for it
    return ContentFinding(
        "tool-markers-leaked", f"the text is a call of {shown(name)} in words, no tool call beside it"
    )


def looping(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    """Output that ends in a repetition loop, which was not asked for.

    A model in a loop goes on to the token limit. An answer that ends by itself and repeats whole lines is a refrain, a
    table or a log.
    """
    ended_itself = transcript.finish_reason not in (None, *request.finish_words.length)
    for where, text in (*_words(transcript), *_arguments(transcript)):
        loop = loop_at_end(text) or (None if ended_itself else endless_ruler(text))
        if loop is None or asked_for(loop, request.prompt, ended_itself=ended_itself, thinking=where == "reasoning"):
            continue
        if "\n" not in loop.unit or not ended_itself:
            return ContentFinding("repetition-loop", f"the {where} ends in {shown(loop.unit)!r} {loop.times} times")
    return None


def _words(transcript: Transcript) -> Sequence[tuple[str, str]]:
    return (("text", transcript.text), ("reasoning", transcript.reasoning))


def _damaged(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    for where, text in (*_words(transcript), *_arguments(transcript)):
        if (length := blank_flood(text)) is not None:
            return ContentFinding("whitespace-flood", f"{length} characters of white space in a row in the {where}")
    for where, text in _words(transcript):
        if (how := garbled(text)) is not None and garbled(request.prompt) is None:
            return ContentFinding("garbled-text", f"in the {where} {how}")
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
    run_by_server = {tool.name for tool in transcript.server_tools}
    for call in transcript.tool_calls:
        problem = None if call.name in run_by_server else tool_problem(call, request.tools)
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
    said = transcript.text.strip() or transcript.refusal.strip() or transcript.tool_calls or transcript.media
    if said or transcript.server_tools:
        return None  # a tool of the server may wait for the client's consent, or be run by it
    finish = _finish(transcript)
    if transcript.finish_reason in request.finish_words.without_output:
        return None
    if transcript.finish_reason in request.finish_words.tools:
        return ContentFinding("finish-mismatch", f"{finish}, and no tool call in the stream")
    limited = transcript.finish_reason in request.finish_words.length
    if transcript.reasoning.strip():
        why = "thinking used up the token limit" if limited else "the answer may be in there"
        return ContentFinding(
            "only-reasoning", f"{len(transcript.reasoning)} characters of reasoning, no answer, {finish}: {why}"
        )
    tokens = transcript.usage.completion_tokens if transcript.usage else None
    if limited and tokens:
        return None  # hidden reasoning used up the limit, and the finish reason says so
    counted = f"; usage counts {tokens} output tokens" if tokens is not None else ""
    return ContentFinding("empty-answer", f"no text, no tool call, no reasoning, {finish}{counted}")


def _calls_missing(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    called = transcript.tool_calls or transcript.server_tools
    if transcript.finish_reason in request.finish_words.tools and not called:
        return ContentFinding("finish-mismatch", f"{_finish(transcript)}, and no tool call in the stream")
    return None


def cut_short(request: RequestFacts, transcript: Transcript) -> ContentFinding | None:
    """A text that stops inside of something, though its finish reason says that the model ended it.

    The words alone are the evidence, so that anything else that is wrong with the stream comes first.
    """
    other_output = transcript.tool_calls or transcript.server_tools or transcript.media or transcript.refusal
    ended_itself = (transcript.finish_reason or "").lower() in request.finish_words.whole
    if request.ends_elsewhere or other_output or not ended_itself or (inside := cut_off(transcript.text)) is None:
        return None
    return ContentFinding("text-unfinished", f"the text ends inside {shown(inside)}, {_finish(transcript)}")


def _other_model(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    served = stats.models[0] if stats.models else ""
    if not request.model or not served or may_be_same(request.model, served):
        return None
    named = f"asked for {shown(request.model)}, the chunks name {shown(served)}"
    return ContentFinding("wrong-model", f"{named} ({TREATED_AS_EQUAL} would not count)")


def _switched(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if len(stats.upstreams) > 1:
        return ContentFinding("upstream-switched", f"the host changed: {shown(', then '.join(stats.upstreams))}")
    for before, after in zip(stats.models, stats.models[1:], strict=False):
        if not may_be_same(before, after):
            return ContentFinding("upstream-switched", f"the model changed from {shown(before)} to {shown(after)}")
    return None


def _out_of_order(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if stats.late_chunks >= TEXT_CHUNKS:
        name = "reordered-chunks" if stats.late_chunks >= LATE_CHUNKS else "text-after-finish"
        late = plural(stats.late_chunks, "chunk")
        return ContentFinding(name, f"{late} with output after the finish reason")
    if stats.early_arguments:
        return ContentFinding(
            "reordered-chunks", f"arguments before their name in {stats.early_arguments} tool call(s)"
        )
    return None


def _sent_twice(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    if (how := sent_again(stats.pieces)) is not None:
        return ContentFinding("duplicate-chunks", how)
    passage = passage_sent_twice(stats.pieces)
    if passage is None:
        return None
    return ContentFinding(
        "duplicate-chunks", f"{len(passage)} characters came twice, chunk for chunk: {shown(passage)!r}"
    )


def _usage_amiss(request: RequestFacts, transcript: Transcript, stats: ChunkStats) -> ContentFinding | None:
    missing = stats.usage_announced and request.wants_usage and transcript.done
    problem = usage_problem(transcript, announced=missing)
    return None if problem is None else ContentFinding(*problem)


CHECKS: tuple[Check, ...] = (
    looping, _damaged, _calls_amiss, _calls_again, markers_leaked, _call_in_words, _silent_answer, _calls_missing,
    _other_model, _switched, _out_of_order, _sent_twice, _usage_amiss,
)  # fmt: skip
"""The most serious first: what breaks an agent, then what spoils a comparison, then what affects the bill."""
