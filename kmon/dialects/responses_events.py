"""Decodes the events of an OpenAI Responses stream, over server-sent events or any other framing of JSON objects.

Every event has its ``type`` in its JSON; the SSE event name is only used without it. Rules where servers differ:

- An item is known by ``output_index``, then by ``item_id``: GitHub Copilot changes the id of an item in every event.
- Words are taken from the deltas, else from the ``.done`` event, else from the finished item, else from the answer in
  the last event, and from one of them only. ChatGPT's last event has no items; LM Studio sends no argument deltas.
- The last event is ``response.completed``, ``incomplete``, ``failed`` or ``cancelled``; an ``error`` event is an error
  and no end. Any other event is a chunk without meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from kmon.dialects.delta import Delta, HiddenWork, ServerTool, StreamError, ToolFragment, Usage
from kmon.dialects.fault import fault
from kmon.dialects.json_access import count, items, members, position, text
from kmon.dialects.responses_items import (
    CALLS,
    CUSTOM_CALL,
    Channel,
    arguments_of,
    hidden_work,
    part_of,
    said_by,
    server_tool,
)
from kmon.dialects.sse_deltas import JSONEventsDecoder

ENDS = ("completed", "incomplete", "failed", "cancelled")
"""The last word of the terminal events, and the status of an answer that has ended."""
SUBJECTS: Mapping[str, Channel] = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "reasoning",
    "reasoning": "reasoning",
    "reasoning_summary_text": "summary",
    "reasoning_summary": "summary",
    "function_call_arguments": "arguments",
    "custom_tool_call_input": "arguments",
}
"""Channel by the middle of the event types ``response.SUBJECT.delta`` and ``response.SUBJECT.done``."""
KINDS: Mapping[Channel, tuple[str, ...]] = {
    "text": ("message",),
    "refusal": ("message",),
    "reasoning": ("reasoning",),
    "summary": ("reasoning",),
    "arguments": CALLS,
}
"""The types of the items that have a channel; the first is assumed for an item whose beginning is missing."""
ITEMS_LIMIT = 10_000
PARTS_LIMIT = 1_000
"""Items of an answer, and parts of an item, that are told apart."""


@dataclass(slots=True, eq=False)
class _Item:
    """An item of the stream: what was already passed on of it."""

    kind: str
    call: int = 0
    """Its number among the calls."""
    work: HiddenWork | None = None
    """What is worked on while nothing of it is sent."""
    ended: bool = False
    named: bool = False
    """Whether the id and name of a call were passed on."""
    said: set[tuple[Channel, int]] = field(default_factory=set)
    """Channel and part of the words that were passed on."""

    def has(self, *channels: Channel) -> bool:
        """Whether words of one of these channels were passed on."""
        return any(channel in channels for channel, _ in self.said)


class ResponsesDecoder(JSONEventsDecoder):
    """Bytes of a Responses body to deltas."""

    def __init__(self) -> None:
        events = ResponsesEvents()
        super().__init__(events.delta)


class ResponsesEvents:
    """A fold over the events of one answer: each event to its delta."""

    def __init__(self) -> None:
        self._at: dict[int, _Item] = {}
        self._by_id: dict[str, _Item] = {}
        self._latest: _Item | None = None
        self._call_ids: dict[str, _Item] = {}
        self._calls = 0
        self._items = 0
        self._said: set[Channel] = set()
        self._server_tools = False
        self._open: _Item | None = None
        """The item whose work is hidden now."""

    def delta(self, event: dict[str, Any], raw: str = "", name: str = "") -> Delta:
        """The meaning of one event; ``raw`` is its text as evidence, ``name`` the SSE event name."""
        kind = text(event.get("type")) or name
        if "error" in (kind, name) or kind == "response.error" or (not kind and event.get("error")):
            return Delta(error=replace(reported(event), frame=raw), raw=raw)
        found = self._meaning(kind, event)
        if found.error is not None:
            return replace(found, error=replace(found.error, frame=raw), raw=raw)
        return replace(found, raw=raw)

    def _meaning(self, kind: str, event: dict[str, Any]) -> Delta:
        scope, _, rest = kind.partition(".")
        if scope != "response":
            return Delta(keepalive=kind in ("keepalive", "ping"))
        subject, _, verb = rest.rpartition(".")
        if subject in SUBJECTS and verb in ("delta", "done"):
            return self._words(SUBJECTS[subject], event, last=verb == "done")
        if rest in ("content_part.done", "reasoning_summary_part.done"):
            usual: Channel = "text" if rest.startswith("content") else "summary"
            channel, words = part_of(event.get("part"), usual)
            return self._words(channel, {**event, "text": words}, last=True)
        if rest in ("output_item.added", "output_item.done"):
            return self._item(event, last=verb == "done")
        return self._answer(members(event.get("response")), rest)

    # -- words in pieces -----------------------------------------------------------------------------------------------

    def _words(self, channel: Channel, event: dict[str, Any], *, last: bool) -> Delta:
        """The words of one ``delta`` or ``done`` event."""
        item = self._find(event, KINDS[channel])
        part = position(event.get("summary_index" if channel == "summary" else "content_index"), 0)
        key = (channel, min(part, PARTS_LIMIT))
        if last:
            whole = next((event[name] for name in ("text", "refusal", "arguments", "input") if name in event), "")
            words = "" if key in item.said else arguments_of(whole)
        else:
            piece = event.get("delta")
            words = text(piece) or text(members(piece).get("text"))
        if words:
            item.said.add(key)
        return replace(self._spoken(item, channel, words), hidden_work=self._working(item, words, last=last))

    def _spoken(self, item: _Item, channel: Channel, words: str, call_id: str = "", name: str = "") -> Delta:
        """``words`` of ``item`` as a delta; for a call with its id and name, if they are given."""
        if words:
            self._said.add(channel)
        if channel == "arguments":
            if not (words or call_id or name):
                return Delta()
            return Delta(tools=(ToolFragment(item.call, call_id, name, words, item.kind == CUSTOM_CALL),))
        if channel == "text":
            return Delta(text=words)
        return Delta(refusal=words) if channel == "refusal" else Delta(reasoning=words)

    def _working(self, item: _Item, words: str, *, last: bool) -> HiddenWork | None:
        """Words of a part show the work until the part is done: then the item goes on without output, or has ended."""
        if item.work is not None and self._open is item:
            return item.work if last else "none" if words else None
        if words and self._open is not None:  # the words of another item: its own end was not sent
            self._open = None
            return "none"
        return None

    # -- items ---------------------------------------------------------------------------------------------------------

    def _item(self, event: dict[str, Any], *, last: bool) -> Delta:
        """The beginning or the end of an item."""
        value = members(event.get("item"))
        kind = text(value.get("type"))
        item = self._known(event, (kind,)) if last else None
        tool: ServerTool | None = None
        if item is None or item.ended:
            item, tool = self._new(kind, event, value), server_tool(value)
            self._server_tools |= tool is not None
        item.ended = last
        delta = self._whole(item, value, last=last)
        work: HiddenWork | None = None
        if not last:
            work = hidden_work(value)
            work, self._open = (work or ("none" if self._open else None)), (item if work else None)
        elif self._open is item:
            work, self._open = "none", None
        return replace(delta, server_tools=() if tool is None else (tool,), hidden_work=work)

    def _whole(self, item: _Item, value: dict[str, Any], *, last: bool) -> Delta:
        """What an item says that was not passed on: a call's name when it begins, and any words when it has ended."""
        if item.kind in CALLS:
            call_id, name = text(value.get("call_id")) or text(value.get("id")), text(value.get("name"))
            told = ("", "") if item.named else (call_id, name)
            item.named = item.named or bool(name)
            if call_id and len(self._call_ids) < ITEMS_LIMIT:
                self._call_ids[call_id] = item
            said = "".join(one.words for one in said_by(value)) if last and not item.has("arguments") else ""
            if said:
                item.said.add(("arguments", 0))
            return self._spoken(item, "arguments", said, *told)
        if not last or item.has("reasoning", "summary"):
            return Delta()
        had = {channel for channel, _ in item.said}
        delta = Delta()
        for one in said_by(value):
            if one.words and one.channel not in had:
                item.said.add((one.channel, min(one.part, PARTS_LIMIT)))
                delta = _joined(delta, self._spoken(item, one.channel, one.words))
        return delta

    def _find(self, event: dict[str, Any], kinds: tuple[str, ...]) -> _Item:
        """The item of an event; a new one if its beginning was not sent, as when a stream is taken up again."""
        return self._known(event, kinds) or self._new(kinds[0], event, {})

    def _known(self, event: dict[str, Any], kinds: tuple[str, ...]) -> _Item | None:
        """The item of an event, if it is of one of these types; the latest for an event that names none."""
        index = position(event.get("output_index"), -1)
        item_id = text(event.get("item_id")) or text(members(event.get("item")).get("id"))
        named = (self._at.get(index), self._by_id.get(item_id)) if index >= 0 or item_id else (self._latest,)
        return next((item for item in named if item is not None and item.kind in kinds), None)

    def _new(self, kind: str, event: dict[str, Any], value: dict[str, Any]) -> _Item:
        item = self._latest = _Item(kind, call=self._calls, work=hidden_work(value or {"type": kind}))
        self._calls += kind in CALLS
        self._items += 1
        if self._items <= ITEMS_LIMIT:
            if (index := position(event.get("output_index"), -1)) >= 0:
                self._at[index] = item
            if item_id := text(value.get("id")) or text(event.get("item_id")):
                self._by_id[item_id] = item
        return item

    # -- the whole answer ----------------------------------------------------------------------------------------------

    def _answer(self, value: dict[str, Any], rest: str) -> Delta:
        """An event with the answer so far: its id and model, and in a terminal event all that is left to say."""
        response_id, model = text(value.get("id")) or None, text(value.get("model")) or None
        if rest not in ENDS and rest != "done":
            return Delta(response_id=response_id, model=model)
        end = ended(value, rest)
        left = self._left(items(value.get("output")))
        return _joined(left, replace(end, response_id=response_id, model=model, done=True))

    def _left(self, output: list[Any]) -> Delta:
        """What the items of the whole answer hold that the stream did not: whole channels, calls, arguments."""
        left = Delta()
        values = [members(value) for value in output]
        calls = [value for value in values if value.get("type") in CALLS]
        more = len(calls) > self._calls
        known, had = dict(self._call_ids), frozenset(self._said)
        if had & {"reasoning", "summary"}:
            had |= {"reasoning", "summary"}
        for value in values:
            kind, tool = text(value.get("type")), server_tool(value)
            if kind in CALLS:
                item = known.get(text(value.get("call_id")))
                if item is None and not more:
                    continue
                left = _joined(left, self._whole(item or self._new(kind, {}, value), value, last=True))
            elif tool is not None and not self._server_tools:
                left = replace(left, server_tools=(*left.server_tools, tool))
            else:
                spoken = _Item(kind)
                for one in said_by(value):
                    if one.channel not in had:
                        left = _joined(left, self._spoken(spoken, one.channel, one.words))
        return left


def ended(value: Mapping[str, Any], word: str) -> Delta:
    """Finish reason, usage and error of a whole answer, by its ``status``, else by the last word of its event.

    The finish reason is the status; of an incomplete answer it is the reason for that, if there is one.
    """
    status = text(value.get("status"))
    status = status if status in ENDS else word if word in ENDS else ENDS[0]
    detail = text(members(value.get("incomplete_details")).get("reason")) if status == "incomplete" else ""
    cause = value.get("error")
    error: StreamError | None = None
    if cause or status == "failed":
        error = fault(cause or {"message": "the provider says that the response failed, without a reason"})
    elif status == "cancelled":
        error = fault({"message": "the response was cancelled at the provider", "code": "cancelled"})
    return Delta(finish_reason=detail or status, usage=usage_of(value.get("usage")), error=error)


def reported(event: Mapping[str, Any]) -> StreamError:
    """The error of an ``error`` event: its members are in the event or in its ``error``; both are in use."""
    if inner := event.get("error"):
        error = fault(inner)
        return replace(error, status=error.status or fault({"status": event.get("status")}).status)
    return fault({name: value for name, value in event.items() if value not in ("error", "response.error")})


def usage_of(value: object) -> Usage | None:
    """Token counts of a ``usage`` object; None if it holds none. ``input_tokens`` includes what was cached."""
    if not isinstance(value, dict):
        return None
    read, written = members(value.get("input_tokens_details")), members(value.get("output_tokens_details"))
    usage = Usage(
        count(value.get("input_tokens")),
        count(value.get("output_tokens")),
        count(value.get("total_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        cached_tokens=count(read.get("cached_tokens")),
        cache_write_tokens=count(read.get("cache_write_tokens")),
    )
    return None if usage == Usage(None, None, None) else usage


def _joined(first: Delta, then: Delta) -> Delta:
    """Both as one delta: pieces joined; of the rest that of ``then``."""
    return replace(
        then,
        text=first.text + then.text,
        refusal=first.refusal + then.refusal,
        reasoning=first.reasoning + then.reasoning,
        tools=first.tools + then.tools,
        server_tools=first.server_tools + then.server_tools,
    )
