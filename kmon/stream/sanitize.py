"""The edge where hostile text becomes an event: cleaned across chunks, bounded, never carrying a key it was asked with.

Every string from outside passes here once, in the order in which it came: output that comes in pieces (text, reasoning,
the arguments of each tool call), strings that come whole (names, ids, header values, error messages), and sentences of
kmon's own that quote any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kmon.dialects.bounds import (
    FRAME_LIMIT_CHARS,
    HEADER_LIMIT_CHARS,
    ID_LIMIT_CHARS,
    MESSAGE_LIMIT_CHARS,
    NAME_LIMIT_CHARS,
    SENTENCE_LIMIT_CHARS,
    bounded,
    one_line,
)
from kmon.dialects.delta import Delta, Kind, StreamError, ToolCall, ToolFragment
from kmon.dialects.text import Cleaner, clean
from kmon.redaction.redact import WITHHELD, Redactor
from kmon.stream.events import DeltaArrived

FRAGMENTS_LIMIT = 1_000
"""Pieces of tool calls that one chunk may bring; no provider sends a hundred."""


class Sanitizer:
    """Deltas of one attempt to events. Keeps a cleaner per kind of text, since an escape may span chunks."""

    def __init__(self, run: str, attempt: int, *, secrets: Iterable[str] = ()) -> None:
        self._run, self._attempt = run, attempt
        self._redactor = Redactor(secrets)
        self._cleaners: dict[str, Cleaner] = {}
        self._held: list[Kind] = []

    def learn(self, secrets: Iterable[str]) -> None:
        """Keys that were overheard only now: taken out from here on."""
        self._redactor.learn(secrets)

    def __call__(self, t_ns: int, delta: Delta) -> DeltaArrived:
        kind = delta.kind
        self._redactor.split = False
        self._held = []
        reasoning = self._piece("reasoning", "reasoning", delta.reasoning)
        text = self._piece("text", "text", delta.text)
        tools = tuple(self._tool(fragment) for fragment in delta.tools[:FRAGMENTS_LIMIT])
        arguments = "".join(tool.arguments for tool in tools)
        shown = {"text": text, "error": text, "reasoning": reasoning, "tool": arguments}.get(kind, "")
        finish_reason = self._named("finish_reason", delta.finish_reason)
        error = None if delta.error is None else self.error(delta.error)
        model, upstream = self._named("model", delta.model), self._named("upstream", delta.upstream)
        return DeltaArrived(
            t_ns,
            self._run,
            self._attempt,
            kind,
            shown,
            reasoning=reasoning if kind != "reasoning" else "",
            tools=tools,
            finish_reason=finish_reason,
            usage=delta.usage,
            error=error,
            done=delta.done,
            chunk=delta.chunk,
            model=model,
            upstream=upstream,
            raw=self._frame(delta.raw),
            held=tuple(dict.fromkeys(self._held)),
            tools_dropped=max(0, len(delta.tools) - FRAGMENTS_LIMIT),
        )

    def rest(self, t_ns: int) -> list[DeltaArrived]:
        """What was held back because a key may have begun in it, once nothing more comes."""
        late = []
        for field, held in self._redactor.rest():
            kind: Kind = "text" if field == "text" else "reasoning" if field == "reasoning" else "tool"
            index = int(field) if field.isdecimal() else 0
            tools = (ToolFragment(index, arguments=held),) if kind == "tool" else ()
            late.append(DeltaArrived(t_ns, self._run, self._attempt, kind, held, tools=tools, chunk=False, late=True))
        return late

    def error(self, error: StreamError) -> StreamError:
        """An error fit to be shown: every string in it cleaned, bounded, the keys taken out."""
        return msgspec.structs.replace(
            error,
            code=self._named("code", error.code),
            message=bounded(self._redactor.said("message", clean(error.message)), MESSAGE_LIMIT_CHARS),
            frame=None if error.frame is None else self._frame(error.frame),
        )

    def redacted(self, text: str, limit_chars: int = SENTENCE_LIMIT_CHARS) -> str:
        """A text that stands alone (a sentence, a session's name): on one line, bounded, without the keys."""
        return one_line(self._redactor.whole(clean(text)), limit_chars)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Header values fit to be shown."""
        return {name: self.named(name, value, HEADER_LIMIT_CHARS) for name, value in headers.items()}

    def named(self, field: str, value: str, limit_chars: int = NAME_LIMIT_CHARS) -> str:
        """A string that came whole in ``field``: on one line, bounded, without the keys."""
        return one_line(self._redactor.said(field, one_line(clean(value), len(value))), limit_chars)

    def answer(self, text: str, reasoning: str) -> tuple[str, str]:
        """An answer's text and reasoning as a whole, either of which may go on with a key that the other began."""
        return self._redactor.pair(clean(text), clean(reasoning))

    def tool_calls(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """Merged tool calls, in their order."""
        return tuple(
            ToolCall(
                self.named("id", call.id, ID_LIMIT_CHARS),
                self.named("name", call.name),
                self._redactor.said("arguments", clean(call.arguments)),
            )
            for call in calls
        )

    def _piece(self, kind: Kind, field: str, piece: str) -> str:
        if not piece:
            return ""
        cleaned = self._cleaners.setdefault(field, Cleaner()).feed(piece)
        shown = self._redactor.feed(field, cleaned)
        if cleaned and not shown:
            self._held.append(kind)
        return shown

    def _tool(self, fragment: ToolFragment) -> ToolFragment:
        index = fragment.index
        return ToolFragment(
            index,
            self.named(f"id {index}", fragment.id, ID_LIMIT_CHARS) if fragment.id else "",
            self.named(f"name {index}", fragment.name) if fragment.name else "",
            self._piece("tool", str(index) if 0 <= index < FRAGMENTS_LIMIT else "other", fragment.arguments),
        )

    def _named(self, field: str, value: str | None) -> str | None:
        return None if value is None else self.named(field, value)

    def _frame(self, raw: str) -> str:
        return WITHHELD if self._redactor.split else bounded(self._redactor.evidence(clean(raw)), FRAME_LIMIT_CHARS)
