"""The events of an Anthropic Messages stream, wherever it comes from: what each means, given those before it.

A message is a list of blocks. Only a ``tool_use`` block is a call of the client's functions; ``server_tool_use``,
``mcp_tool_use`` and their like run at the provider, and their input and results are no output. A block may be whole in
the event that starts it, and a message in the one that starts it. The accumulated message is that of Anthropic's SDK
(``anthropic/lib/streaming``). Counts are totals: the latest of each is valid.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kmon.dialects.delta import Delta, HiddenWork, ServerTool, StreamError, ToolFragment, Usage, whole_prompt
from kmon.dialects.fault import fault
from kmon.dialects.json_access import compact, count, items, members, position, text

EVENTS = (
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
    "message_stop",
)  # fmt: skip
CALL = "tool_use"
THOUGHTS = ("thinking", "redacted_thinking")
RUN_THERE = ("server_tool_use", "mcp_tool_use")
"""Blocks of tools that the provider runs, so that nothing is owed until their results."""
CALLING_CODE = "code_execution"
"""How the ``caller`` of a call begins that a program in the provider's sandbox makes (programmatic tool calling)."""
WITHOUT_OUTPUT = frozenset({"refusal", "pause_turn", "stop_sequence", "compaction"})
"""Stop reasons of an answer that may be empty."""
COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
"""The members of ``usage``; the first leaves out the next two."""
THOUGHT_TOKENS = "thinking_tokens"
"""The part of the output that is reasoning, in ``usage.output_tokens_details``."""
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP status by error type, as sent when the error comes before the stream."""


class MessagesEvents:
    """Interprets the events of one stream, in order."""

    def __init__(self) -> None:
        self._kinds: dict[int, str] = {}
        """The type of each block that was started, by index."""
        self._given: dict[int, str] = {}
        """The input of a call as its start gave it, until it is known whether it is also streamed."""
        self._running: set[str] = set()
        """Ids of the provider's tools without a result yet."""
        self._hidden: HiddenWork = "none"
        self._counts: dict[str, int] = {}

    def delta(self, event: dict[str, Any]) -> Delta:
        """The meaning of ``event``, by its ``type``. A ``ping`` is a keep-alive, never progress."""
        kind = event.get("type")
        index = position(event.get("index"), 0)
        if kind == "content_block_delta":
            return self._piece(index, members(event.get("delta")))
        if kind == "content_block_start":
            return self._start(index, members(event.get("content_block")))
        if kind == "content_block_stop":
            return self._stop(index)
        if kind == "message_start":
            return replace(whole_message(members(event.get("message"))), usage=self._usage(event.get("message")))
        if kind == "message_delta":
            return self._end(event)
        if kind == "message_stop":
            return Delta(tools=self._left(), done=True)
        if kind == "message":  # a server that does not stream, in one event
            whole = whole_message(event)
            return replace(whole, done=True, unstreamed=whole.progress)
        if kind == "error" or event.get("error"):
            return Delta(error=_error(event.get("error") or event))
        return Delta(keepalive=kind == "ping")

    def _start(self, index: int, block: dict[str, Any]) -> Delta:
        kind = self._kinds[index] = text(block.get("type"))
        tools = self._taken(index)
        if kind == CALL:
            if given := _input(block):
                self._given[index] = given
            tools += (_call(index, block),)
        self._running.discard(text(block.get("tool_use_id")))
        if kind in RUN_THERE:
            self._running.add(text(block.get("id")))
        elif not kind.endswith("_result"):
            self._running.clear()
        work: HiddenWork = "reasoning" if kind in THOUGHTS else "server-tool" if self._running else "none"
        delta = replace(block_delta(block), tools=tools)
        return replace(delta, hidden_work=self._now("none" if delta.progress else work))

    def _piece(self, index: int, delta: dict[str, Any]) -> Delta:
        thought = text(delta.get("thinking"))
        tools: tuple[ToolFragment, ...] = ()
        if delta.get("type") == "input_json_delta" and self._kinds.get(index, CALL) == CALL:
            partial = text(delta.get("partial_json"))
            if partial:
                self._given.pop(index, None)  # the SDK builds the input from the deltas alone
            tools = (ToolFragment(index, arguments=partial),)
        work = self._now("none") if thought else None
        return Delta(text=text(delta.get("text")), reasoning=thought, tools=tools, hidden_work=work)

    def _stop(self, index: int) -> Delta:
        over = self._kinds.get(index) in THOUGHTS
        return Delta(tools=self._taken(index), hidden_work=self._now("none") if over else None)

    def _end(self, event: dict[str, Any]) -> Delta:
        told = members(event.get("delta"))
        return Delta(
            tools=self._left(),
            finish_reason=text(told.get("stop_reason")) or None,
            refusal=text(members(told.get("stop_details")).get("explanation")),
            usage=self._usage(event),
            hidden_work=self._now("none"),
        )

    def _taken(self, index: int) -> tuple[ToolFragment, ...]:
        """The input that the start of a call gave, if it was not streamed."""
        given = self._given.pop(index, "")
        return (ToolFragment(index, arguments=given),) if given else ()

    def _left(self) -> tuple[ToolFragment, ...]:
        """The same of all calls, for a stream that does not stop its blocks."""
        return tuple(fragment for index in tuple(self._given) for fragment in self._taken(index))

    def _now(self, work: HiddenWork) -> HiddenWork | None:
        """``work`` if it is another than before, else None."""
        before, self._hidden = self._hidden, work
        return None if work == before else work

    def _usage(self, holder: object) -> Usage | None:
        """The running totals, with those of ``holder.usage``; None if it has none."""
        counted = members(holder).get("usage")
        if not isinstance(counted, dict):
            return None
        self._counts |= _counts(counted)
        return _usage(self._counts)


def whole_message(message: dict[str, Any]) -> Delta:
    """The meaning of a message as far as it is there: all of one that is not streamed."""
    found = [block_delta(members(block), index) for index, block in enumerate(items(message.get("content")))]
    counted = message.get("usage")
    return Delta(
        text="".join(delta.text for delta in found),
        reasoning="".join(delta.reasoning for delta in found),
        tools=tuple(fragment for delta in found for fragment in delta.tools),
        server_tools=tuple(tool for delta in found for tool in delta.server_tools),
        finish_reason=text(message.get("stop_reason")) or None,
        refusal=text(members(message.get("stop_details")).get("explanation")),
        usage=_usage(_counts(counted)) if isinstance(counted, dict) else None,
        response_id=text(message.get("id")) or None,
        model=text(message.get("model")) or None,
    )


def block_delta(block: dict[str, Any], index: int = 0) -> Delta:
    """The meaning of a block with all that is in it."""
    kind = text(block.get("type"))
    if kind == CALL:
        return Delta(tools=(_call(index, block, _input(block) or "{}"),))
    if kind.endswith(CALL):
        return Delta(server_tools=(ServerTool(kind, text(block.get("name"))),))
    return Delta(text=text(block.get("text")), reasoning=text(block.get("thinking")))


def _call(index: int, block: dict[str, Any], arguments: str = "") -> ToolFragment:
    from_code = text(members(block.get("caller")).get("type")).startswith(CALLING_CODE)
    return ToolFragment(index, text(block.get("id")), text(block.get("name")), arguments, from_code=from_code)


def _input(block: dict[str, Any]) -> str:
    given = block.get("input")
    return compact(given) if isinstance(given, dict) and given else ""


def _error(cause: object) -> StreamError:
    error = fault(cause)
    return replace(error, status=error.status or STATUS.get(error.code or ""))


def _counts(counted: dict[str, Any]) -> dict[str, int]:
    """The counts that are there, by name."""
    thought = members(counted.get("output_tokens_details")).get(THOUGHT_TOKENS)
    named = {name: counted.get(name) for name in COUNTS} | {THOUGHT_TOKENS: thought}
    return {name: number for name, value in named.items() if (number := count(value)) is not None}


def _usage(counts: dict[str, int]) -> Usage:
    uncached, written, read, output = (counts.get(name) for name in COUNTS)
    prompt = whole_prompt(uncached, read, written)
    return Usage(prompt, output, None, counts.get(THOUGHT_TOKENS), read, written)
