"""Turns deltas with hostile text into events: cleaned across chunks, bounded, without the keys of the request.

Every string from outside passes here once, in the order of arrival: output in pieces (text, reasoning, the arguments of
each tool call), whole strings (names, ids, header values, error messages), and kmon's own sentences that quote them.
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
"""Tool-call fragments that are read per chunk; no provider sends a hundred."""


class Sanitizer:
    """Converts one attempt's deltas to events. Keeps a cleaner per kind of text: an escape may span chunks."""

    def __init__(self, run: str, attempt: int, *, secrets: Iterable[str] = ()) -> None:
        self._run, self._attempt = run, attempt
        self._redactor = Redactor(secrets)
        self._cleaners: dict[str, Cleaner] = {}
        self._held: list[Kind] = []

    def learn(self, secrets: Iterable[str]) -> None:
        """Remove these keys as well from now on."""
        self._redactor.learn(secrets)

    def __call__(self, t_ns: int, delta: Delta) -> DeltaArrived:
        kind = delta.kind
        self._redactor.split = False
        self._held = []
        reasoning = self._piece("reasoning", "reasoning", delta.reasoning)
        text = self._piece("text", "text", delta.text + delta.refusal)
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
            hidden_work=delta.hidden_work,
            raw=self._frame(delta.raw),
            held=tuple(dict.fromkeys(self._held)),
            tools_dropped=max(0, len(delta.tools) - FRAGMENTS_LIMIT),
            media=tuple(self.named("media", one) for one in delta.media[:FRAGMENTS_LIMIT]) if delta.media else (),
        )

    def rest(self, t_ns: int) -> list[DeltaArrived]:
        """The output held back because a key may have begun in it; call it when the stream has ended."""
        late = []
        for field, held in self._redactor.rest():
            kind: Kind = "text" if field == "text" else "reasoning" if field == "reasoning" else "tool"
            index = int(field) if field.isdecimal() else 0
            tools = (ToolFragment(index, arguments=held),) if kind == "tool" else ()
            late.append(DeltaArrived(t_ns, self._run, self._attempt, kind, held, tools=tools, chunk=False, late=True))
        return late

    def error(self, error: StreamError) -> StreamError:
        """The error with every string cleaned, bounded and without keys."""
        return msgspec.structs.replace(
            error,
            code=self._named("code", error.code),
            message=bounded(self._redactor.whole_field("message", clean(error.message)), MESSAGE_LIMIT_CHARS),
            frame=None if error.frame is None else self._frame(error.frame),
        )

    def redacted(self, text: str, limit_chars: int = SENTENCE_LIMIT_CHARS) -> str:
        """An independent text (a sentence, the name of a session) on one line, bounded, without keys."""
        return one_line(self._redactor.whole(clean(text)), limit_chars)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Header values on one line, bounded, without keys."""
        return {name: self.named(name, value, HEADER_LIMIT_CHARS) for name, value in headers.items()}

    def named(self, field: str, value: str, limit_chars: int = NAME_LIMIT_CHARS) -> str:
        """A whole string of ``field`` on one line, bounded, without keys."""
        return one_line(self._redactor.whole_field(field, one_line(clean(value), len(value))), limit_chars)

    def answer(self, text: str, reasoning: str) -> tuple[str, str]:
        """Text and reasoning of a whole answer without keys, also without a key that is split between the two."""
        return self._redactor.pair(clean(text), clean(reasoning))

    def tool_calls(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """Merged tool calls, in their order."""
        return tuple(
            ToolCall(
                self.named("id", call.id, ID_LIMIT_CHARS),
                self.named("name", call.name),
                self._redactor.whole_field("arguments", clean(call.arguments)),
                call.free_form,
                call.from_code,
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
            fragment.free_form,
            fragment.from_code,
            whole=fragment.whole,
        )

    def _named(self, field: str, value: str | None) -> str | None:
        return None if value is None else self.named(field, value)

    def _frame(self, raw: str) -> str:
        return WITHHELD if self._redactor.split else bounded(self._redactor.evidence(clean(raw)), FRAME_LIMIT_CHARS)
