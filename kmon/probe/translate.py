"""The edge where hostile text becomes an event: cleaned across chunks, and never carrying a key it was asked with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kmon.dialects.delta import Delta, StreamError, ToolCall, ToolFragment
from kmon.dialects.text import Cleaner, clean
from kmon.probe.events import DeltaArrived
from kmon.probe.redact import Redactor

MESSAGE_LIMIT_CHARS = 400
NAME_LIMIT_CHARS = 200
"""Longer ids, names and finish reasons are cut."""


class Translator:
    """Deltas of one attempt to events. Keeps a cleaner per kind of text, since an escape may span chunks."""

    def __init__(self, run: str, attempt: int, *, secrets: Sequence[str] = ()) -> None:
        self._run, self._attempt = run, attempt
        self._redactor = Redactor(secrets)
        self._text, self._reasoning, self._arguments = (_Pieces(secrets) for _ in range(3))

    def __call__(self, t_ns: int, delta: Delta) -> DeltaArrived:
        kind = delta.kind
        text = self._text(delta.text)
        reasoning = self._reasoning(delta.reasoning)
        tools = tuple(self._tool(fragment) for fragment in delta.tools)
        shown = {"text": text, "reasoning": reasoning, "tool": "".join(t.arguments for t in tools)}.get(kind, "")
        return DeltaArrived(
            t_ns,
            self._run,
            self._attempt,
            kind,
            shown,
            reasoning=reasoning if kind != "reasoning" else "",
            tools=tools,
            finish_reason=self._short(delta.finish_reason),
            usage=delta.usage,
            error=None if delta.error is None else self.error(delta.error),
            done=delta.done,
            chunk=delta.chunk,
            model=self._short(delta.model),
            upstream=self._short(delta.upstream),
            raw=self._redactor.evidence(clean(delta.raw)),
        )

    def error(self, error: StreamError) -> StreamError:
        """An error fit to be shown: every string in it cleaned, the key taken out."""
        return msgspec.structs.replace(
            error,
            message=self.redacted(error.message)[:MESSAGE_LIMIT_CHARS],
            code=self._short(error.code),
            frame=None if error.frame is None else self._redactor.evidence(clean(error.frame)),
        )

    def redacted(self, text: str) -> str:
        """``text`` cleaned and without the key."""
        return self._redactor.whole(clean(text))

    def tool_call(self, call: ToolCall) -> ToolCall:
        """A merged tool call, cleaned and without the key."""
        return ToolCall(self.redacted(call.id), self.redacted(call.name), self.redacted(call.arguments))

    def _tool(self, fragment: ToolFragment) -> ToolFragment:
        return ToolFragment(
            fragment.index,
            self.redacted(fragment.id)[:NAME_LIMIT_CHARS],
            self.redacted(fragment.name)[:NAME_LIMIT_CHARS],
            self._arguments(fragment.arguments),
        )

    def _short(self, name: str | None) -> str | None:
        return None if name is None else self.redacted(name)[:NAME_LIMIT_CHARS]


class _Pieces:
    """One kind of text as it comes, piece by piece: cleaned, then without the keys."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._cleaner, self._redactor = Cleaner(), Redactor(secrets)

    def __call__(self, piece: str) -> str:
        return self._redactor.feed(self._cleaner.feed(piece)) if piece else ""
