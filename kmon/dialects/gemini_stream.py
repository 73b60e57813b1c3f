"""The answers of Gemini: server-sent events or one growing JSON array of ``GenerateContentResponse``.

There is no terminal event. ``finishReason`` is not the end: after each round of code execution, and in every chunk of
old servers, more output follows it. The end of the body after a finish reason is the end of the answer. A body without
one was cut. Token counts are running totals; the last chunk that has some has all that count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.delta import Delta, HiddenWork, ServerTool, StreamError, ToolFragment, Usage
from kmon.dialects.fault import fault
from kmon.dialects.gemini_arguments import PathArguments
from kmon.dialects.json_access import compact, count, items, members, text
from kmon.dialects.json_pieces import ArrayDecoder, JSONPiecesDecoder
from kmon.dialects.sse import BOM
from kmon.dialects.sse_deltas import JSONEventsDecoder

FINISH_NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""The words of ``enum-encoding=int``. From 6 on the Gemini API and Vertex count differently."""
UNFINISHED = frozenset({"", "FINISH_REASON_UNSPECIFIED", "0"})
RUN_THERE = {"executableCode": "codeExecutionResult", "toolCall": "toolResponse"}
"""Parts of tools that Google runs itself (code execution; search, maps), and the part with the result of each.

Source: https://ai.google.dev/api/caching#Part; code runs for up to 30 s, and nothing is sent meanwhile.
"""
SERVER_TOOLS = tuple(part for pair in RUN_THERE.items() for part in pair)
MEDIA = ("inlineData", "fileData")
OUTPUT = ("functionCall", *MEDIA)
"""Parts that are output of the model, as text is."""


class GeminiDecoder:
    """Bytes of an answer to deltas, in the framing that the first byte shows: a JSON array, else SSE.

    A single JSON object is no stream: an error, or a whole answer where a stream was expected.
    """

    def __init__(self) -> None:
        self._begin = b""
        self._answer = GeminiAnswer()
        self._array = ArrayDecoder()
        self._inner: JSONEventsDecoder | JSONPiecesDecoder | None = None
        self._closed = self._broken = False

    def feed(self, data: bytes) -> list[Delta]:
        inner = self._inner
        if inner is None:
            self._begin += data
            if (inner := self._chosen()) is None:
                return []
            data, self._begin = self._begin, b""
        found = self._seen(inner.feed(data))
        return found + self._closing() if self._array.closed else found

    def end(self) -> list[Delta]:
        found = [] if self._inner is None else self._seen(self._inner.end())
        return found + self._closing()

    def _seen(self, deltas: list[Delta]) -> list[Delta]:
        """The same. An error between the events, which the answer did not see, fails it like one in them."""
        failed = any(delta.error is not None and delta.error.kind != "malformed-frame" for delta in deltas)
        self._broken = self._broken or (failed and not self._answer.blocked)
        return deltas

    def _chosen(self) -> JSONEventsDecoder | JSONPiecesDecoder | None:
        first = self._begin.removeprefix(BOM).lstrip()[:1]
        if not first or (len(self._begin) < len(BOM) and BOM.startswith(self._begin)):
            return None
        if first == b"[":
            self._inner = JSONPiecesDecoder(self._array, self._answer.delta)
        elif first == b"{":
            self._inner = JSONPiecesDecoder(self._array, self._not_streamed)
        else:
            self._inner = JSONEventsDecoder(self._event)
        return self._inner

    def _event(self, value: dict[str, Any], raw: str, name: str) -> Delta:
        return self._answer.delta(value, raw)

    def _not_streamed(self, value: dict[str, Any], raw: str) -> Delta:
        delta = self._answer.delta(value, raw)
        if delta.error is not None:
            return delta
        error = StreamError("not-a-stream", "answered one JSON object instead of a stream", frame=raw)
        return msgspec.structs.replace(delta, error=error)

    def _closing(self) -> list[Delta]:
        """The end of the answer, once, if the answer had one."""
        if self._closed or self._broken or not self._answer.ended:
            return []
        self._closed = True
        return [Delta(done=True, chunk=False)]


class GeminiAnswer:
    """The meaning of the chunks of one answer, in their order; only the first candidate counts."""

    def __init__(self) -> None:
        self._finished = self._failed = False
        self.blocked = False
        """Whether the prompt was refused: an error that is a whole answer."""
        self._calls = 0
        self._running: dict[str, int] = dict.fromkeys(RUN_THERE, 0)
        """How many uses of each tool of the server have no result yet."""
        self._hidden: HiddenWork = "none"
        self._open: PathArguments | None = None
        """The arguments of the last call, while they come in pieces."""

    @property
    def ended(self) -> bool:
        """Whether the answer may end here: after a finish reason or a blocked prompt, without an error."""
        return self._finished and not self._failed

    def delta(self, value: dict[str, Any], raw: str = "") -> Delta:
        """The meaning of one chunk; ``raw`` is its text as evidence."""
        value = unwrapped(value)
        candidate = _first(value.get("candidates"))
        finish = _finish(candidate.get("finishReason"))
        reported = _error(value.get("error"), raw)
        blocked = None if candidate else _blocked(value, raw)
        self.blocked = self.blocked or blocked is not None
        self._finished = self._finished or finish is not None or blocked is not None
        self._failed = self._failed or reported is not None
        parts = [members(part) for part in items(members(candidate.get("content")).get("parts"))]
        return Delta(
            text="".join(text(part.get("text")) for part in parts if part.get("thought") is not True),
            reasoning="".join(text(part.get("text")) for part in parts if part.get("thought") is True),
            tools=tuple(
                fragment
                for part in parts
                if isinstance(part.get("functionCall"), dict)
                for fragment in self._call(part["functionCall"])
            ),
            server_tools=tuple(
                ServerTool(kind, text(part[kind].get("language")) or text(part[kind].get("toolType")))
                for part in parts
                for kind in SERVER_TOOLS
                if isinstance(part.get(kind), dict)
            ),
            media=tuple(
                text(part[kind].get("mimeType")) for part in parts for kind in MEDIA if isinstance(part.get(kind), dict)
            ),
            finish_reason=finish,
            usage=_usage(value.get("usageMetadata")),
            error=reported or blocked,
            hidden_work=self._work(parts, over=bool(finish or reported or blocked)),
            response_id=text(value.get("responseId")) or None,
            model=text(value.get("modelVersion")) or None,
            raw=raw,
        )

    def _work(self, parts: Sequence[Mapping[str, Any]], *, over: bool) -> HiddenWork | None:
        """The work of the server's tools after this chunk; None if nothing changed. ``over``: no more of it comes.

        Output of the model ends it as well: a result may be left out, and from then on text is due.
        """
        for part in parts:
            for used, result in RUN_THERE.items():
                begun, ended = isinstance(part.get(used), dict), isinstance(part.get(result), dict)
                self._running[used] = max(0, self._running[used] + begun - ended)
            if text(part.get("text")) or any(isinstance(part.get(kind), dict) for kind in OUTPUT):
                self._running = dict.fromkeys(RUN_THERE, 0)
        if over:
            self._running = dict.fromkeys(RUN_THERE, 0)
        before, self._hidden = self._hidden, "server-tool" if any(self._running.values()) else "none"
        return None if self._hidden == before else self._hidden

    def _call(self, call: Mapping[str, Any]) -> list[ToolFragment]:
        """A whole call, or a piece of one: the name is in the first piece, and the last has no ``willContinue``."""
        name, continues = text(call.get("name")), call.get("willContinue") is True
        pieces = [members(piece) for piece in items(call.get("partialArgs"))]
        if name:
            self._calls += 1
            self._open = PathArguments() if continues or pieces else None
        if self._open is not None:
            arguments = "".join(map(self._open.add, pieces))
            if not continues:
                arguments += self._open.close()
                self._open = None
        elif name:
            arguments = compact(members(call.get("args")))
        else:
            return []
        return [ToolFragment(self._calls - 1, text(call.get("id")), name, arguments)]


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The response itself: Google's Code Assist sends it as the member ``response`` of each chunk."""
    inner = value.get("response")
    return inner if isinstance(inner, dict) and "candidates" not in value else value


def described(error: object) -> object:
    """An error of Google, whose ``code`` is the number and ``status`` the word, with the two exchanged."""
    if isinstance(error, dict) and isinstance(error.get("code"), int) and isinstance(error.get("status"), str):
        return {**error, "code": error["status"], "status": error["code"]}
    return error


def _error(value: object, raw: str) -> StreamError | None:
    return fault(described(value), frame=raw) if value else None


def _blocked(value: Mapping[str, Any], raw: str) -> StreamError | None:
    """The error of a prompt that was refused: no candidates, and the reason in ``promptFeedback``."""
    feedback = members(value.get("promptFeedback"))
    reason = feedback.get("blockReason")
    if not isinstance(reason, str | int) or not reason:
        return None
    words = text(feedback.get("blockReasonMessage"))
    blocked = f"the prompt was blocked: {reason}" + (f" ({words})" if words else "")
    return fault({"message": blocked, "code": str(reason)}, frame=raw)


def _first(candidates: object) -> dict[str, Any]:
    """The candidate with index 0; an index may be left out."""
    found = (members(candidate) for candidate in items(candidates))
    return next((one for one in found if not one.get("index")), {})


def _finish(reason: object) -> str | None:
    word = FINISH_NUMBERS.get(reason, str(reason)) if isinstance(reason, int) else text(reason)
    return None if word in UNFINISHED else word


def _usage(value: object) -> Usage | None:
    """The counts so far; None without any. ``completion_tokens`` includes the thoughts, which Google counts apart.

    The tokens of server tools' results (``toolUsePromptTokenCount``) are only in ``total_tokens``.
    """
    given = members(value)
    thoughts, written = count(given.get("thoughtsTokenCount")), count(given.get("candidatesTokenCount"))
    found = Usage(
        count(given.get("promptTokenCount")),
        None if written is None and thoughts is None else (written or 0) + (thoughts or 0),
        count(given.get("totalTokenCount")),
        reasoning_tokens=thoughts,
        cached_tokens=count(given.get("cachedContentTokenCount")),
    )
    return None if found == Usage(None, None, None) else found
