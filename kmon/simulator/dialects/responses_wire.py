"""The answers of OpenAI Responses as a server encodes them: numbered events, output items with their parts, one last
event."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Self

from msgspec import Struct, field

from kmon.simulator.answers import ModelAnswer, Piece
from kmon.simulator.dialects.chat import CREATED, error_body
from kmon.simulator.http import Headers
from kmon.simulator.request import ChatRequest, TokenUsage
from kmon.simulator.script import Script, SendChunk, SendKind, Whole
from kmon.simulator.sse import JSON_HEADERS, SSE_HEADERS, event, to_json
from kmon.simulator.wire import Trait

IN_PROGRESS, COMPLETED, INCOMPLETE = "in_progress", "completed", "incomplete"
QUERY = "rivers that reach the sea"
RESPONSES_TRAITS: frozenset[Trait] = frozenset({"tools", "tool-pieces", "tool-text", "hidden-work", "server-tools"})
"""What is true of the answers, whatever carries them."""
Members = dict[str, Any]


class _Step(Struct, frozen=True):
    """One event before it is numbered: its type without ``response.``, and what a fault may know about it."""

    type: str
    members: Members
    kind: SendKind = "block"
    text: str = ""


class _Item(Struct, frozen=True):
    """One output item: its place, its id, and whether the token limit cut it."""

    index: int
    id: str
    status: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if piece.kind != "tool-start")

    def at(self, **members: object) -> Members:
        """The members of an event about a part of this item."""
        return {"item_id": self.id, "output_index": self.index, **members}


class ResponsesWire(Struct, frozen=True):
    """Encodes one answer; implements :class:`kmon.simulator.wire.Wire`."""

    response_id: str
    model: str
    max_output_tokens: int | None = None
    offered: list[Members] = field(default_factory=list)

    @classmethod
    def of(cls, request: ChatRequest, rng: Random) -> Self:
        """The encoder of the answer to ``request``."""
        offered = [
            {
                "type": "function",
                "name": tool.function.name,
                "description": tool.function.description,
                "parameters": tool.function.parameters,
                "strict": False,
            }
            for tool in request.tools or ()
        ]
        return cls(f"resp_{rng.getrandbits(96):024x}", request.model, request.token_limit, offered)

    @property
    def head(self) -> Headers:
        return (*SSE_HEADERS, self._request_id)

    def stream(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[SendChunk]:
        for number, step in enumerate(self._steps(answer, usage)):
            yield SendChunk(self._event(step.type, step.members, number), step.kind, text=step.text)

    def whole(self, answer: ModelAnswer, usage: TokenUsage) -> Whole:
        body = self._ended(answer, usage, [_finished(item) for item in self._items(answer)])
        return Whole(200, (*JSON_HEADERS, self._request_id), to_json(body))

    def timed(self, script: Script, usage: TokenUsage) -> Script:
        return script

    def keepalive(self) -> bytes:
        return self.encoded({"type": "keepalive", "sequence_number": 0})

    def error(self, message: str, code: int, kind: str, *, named: bool = False) -> bytes:
        """An error as its own event if it is ``named``, else as the last event of an answer that failed."""
        if named:
            members = {"type": "error", "code": kind, "message": message, "param": None, "sequence_number": 0}
            return self.encoded(members)
        failed = self._answer("failed", [], None) | {"error": {"code": kind, "message": message}}
        return self._event("failed", {"response": failed}, 0)

    def refusal(self, status: int, message: str, kind: str, code: str | None = None) -> Whole:
        return Whole(status, (*JSON_HEADERS, self._request_id), error_body(message, kind, code))

    def encoded(self, members: Members) -> bytes:
        """One event on the wire."""
        return event(members, members["type"])

    # -- the events ----------------------------------------------------------------------------------------------------

    def _event(self, kind: str, members: Members, number: int) -> bytes:
        return self.encoded({"type": f"response.{kind}", **members, "sequence_number": number})

    def _steps(self, answer: ModelAnswer, usage: TokenUsage) -> Iterator[_Step]:
        begun = {"response": self._answer(IN_PROGRESS, [], None)}
        yield _Step("created", begun, "role")
        yield _Step("in_progress", begun)
        output: list[Members] = []
        for item in self._items(answer):
            output.append(_finished(item))
            yield from _item_steps(item, output[-1])
        ended = self._ended(answer, usage, output)
        yield _Step(ended["status"], {"response": ended}, "finish")

    def _items(self, answer: ModelAnswer) -> list[_Item]:
        blocks = answer.blocks
        cut = len(blocks) - 1 if answer.finish == "length" else -1
        return [
            _Item(index, self._item_id(index, block[0]), INCOMPLETE if index == cut else COMPLETED, block)
            for index, block in enumerate(blocks)
        ]

    def _item_id(self, index: int, first: Piece) -> str:
        prefix = {"reasoning": "rs", "text": "msg", "tool-start": "fc", "search": "ws"}.get(first.kind, "item")
        return f"{prefix}_{self.response_id[5:]}{index:02d}"

    def _ended(self, answer: ModelAnswer, usage: TokenUsage, output: list[Members]) -> Members:
        if answer.finish != "length":
            return self._answer(COMPLETED, output, usage)
        return self._answer(INCOMPLETE, output, usage) | {"incomplete_details": {"reason": "max_output_tokens"}}

    def _answer(self, status: str, output: list[Members], usage: TokenUsage | None) -> Members:
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": self.max_output_tokens,
            "metadata": {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": self.offered,
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None if usage is None else _counts(usage),
        }

    @property
    def _request_id(self) -> tuple[str, str]:
        return ("x-request-id", f"req_{self.response_id[-12:]}")


def _item_steps(item: _Item, finished: Members) -> Iterator[_Step]:
    """The events of one item, from its beginning to its end."""
    first = item.pieces[0].kind
    begun = {"output_index": item.index, "item": _begun(item)}
    yield _Step("output_item.added", begun, "tool" if first == "tool-start" else "block")
    match first:
        case "reasoning":
            yield from _reasoning_steps(item)
        case "text":
            yield from _text_steps(item)
        case "search":
            for state in ("in_progress", "searching"):
                yield _Step(f"web_search_call.{state}", item.at())
            yield _Step("web_search_call.completed", item.at(), "hidden")
        case _:
            for piece in item.pieces[1:]:
                yield _Step("function_call_arguments.delta", item.at(delta=piece.text), "tool")
            yield _Step("function_call_arguments.done", item.at(arguments=item.text))
    hidden = first == "reasoning" and not item.text
    yield _Step("output_item.done", {"output_index": item.index, "item": finished}, "hidden" if hidden else "block")


def _text_steps(item: _Item) -> Iterator[_Step]:
    yield _Step("content_part.added", item.at(content_index=0, part=_text_part("")))
    for piece in item.pieces:
        delta = item.at(content_index=0, delta=piece.text, logprobs=[])
        yield _Step("output_text.delta", delta, "text", piece.text)
    yield _Step("output_text.done", item.at(content_index=0, text=item.text, logprobs=[]))
    yield _Step("content_part.done", item.at(content_index=0, part=_text_part(item.text)))


def _reasoning_steps(item: _Item) -> Iterator[_Step]:
    """A summary of the reasoning; reasoning without words is hidden, and there is nothing to send."""
    if not item.text:
        return
    yield _Step("reasoning_summary_part.added", item.at(summary_index=0, part=_summary("")))
    for piece in item.pieces:
        yield _Step("reasoning_summary_text.delta", item.at(summary_index=0, delta=piece.text), "reasoning")
    yield _Step("reasoning_summary_text.done", item.at(summary_index=0, text=item.text))
    yield _Step("reasoning_summary_part.done", item.at(summary_index=0, part=_summary(item.text)))


def _begun(item: _Item) -> Members:
    """The item when it begins: no words yet."""
    empty = _finished(_Item(item.index, item.id, IN_PROGRESS, item.pieces[:1]))
    match item.pieces[0].kind:
        case "text":
            return empty | {"content": []}
        case "reasoning":
            return empty | {"summary": []}
    return empty


def _finished(item: _Item) -> Members:
    """The whole item, as its last event and the whole answer have it."""
    match item.pieces[0].kind:
        case "reasoning":
            return {"id": item.id, "type": "reasoning", "summary": [_summary(item.text)] if item.text else []}
        case "text":
            content = [_text_part(item.text)]
            return {
                "id": item.id, "type": "message", "role": "assistant", "status": item.status, "content": content,
            }  # fmt: skip
        case "search":
            action = {"type": "search", "query": QUERY}
            return {"id": item.id, "type": "web_search_call", "status": item.status, "action": action}
    return {
        "id": item.id,
        "type": "function_call",
        "status": item.status,
        "call_id": f"call_{item.id[3:]}",
        "name": item.pieces[0].text,
        "arguments": item.text,
    }


def _text_part(text: str) -> Members:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _summary(text: str) -> Members:
    return {"type": "summary_text", "text": text}


def _counts(usage: TokenUsage) -> Members:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
