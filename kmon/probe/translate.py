"""The edge where hostile text becomes an event: cleaned across chunks, and never carrying a key it was asked with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kmon.dialects.delta import Delta, StreamError, ToolCall, ToolFragment
from kmon.dialects.text import Cleaner, clean
from kmon.probe.events import DeltaArrived

REDACTED = "[key]"


class Translator:
    """Deltas of one attempt to events. Keeps a cleaner per kind of text, since an escape may span chunks."""

    def __init__(self, run: str, attempt: int, *, secrets: Sequence[str] = ()) -> None:
        self._run, self._attempt, self._secrets = run, attempt, secrets
        self._text, self._reasoning, self._arguments = Cleaner(), Cleaner(), Cleaner()

    def __call__(self, t_ns: int, delta: Delta) -> DeltaArrived:
        kind = delta.kind
        text = self._safe(self._text.feed(delta.text)) if delta.text else ""
        reasoning = self._safe(self._reasoning.feed(delta.reasoning)) if delta.reasoning else ""
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
            finish_reason=None if delta.finish_reason is None else clean(delta.finish_reason)[:100],
            usage=delta.usage,
            error=None if delta.error is None else self.error(delta.error),
            done=delta.done,
            chunk=delta.chunk,
            model=None if delta.model is None else clean(delta.model)[:200],
            upstream=None if delta.upstream is None else clean(delta.upstream)[:100],
            raw=self._safe(clean(delta.raw)),
        )

    def error(self, error: StreamError) -> StreamError:
        """An error fit to be shown: every string in it cleaned, the key taken out."""
        return msgspec.structs.replace(
            error,
            message=self.redacted(error.message),
            code=None if error.code is None else self.redacted(error.code),
            frame=None if error.frame is None else self.redacted(error.frame),
        )

    def redacted(self, text: str) -> str:
        """``text`` cleaned and without the key."""
        return self._safe(clean(text))

    def tool_call(self, call: ToolCall) -> ToolCall:
        """A merged tool call, cleaned and without the key."""
        return ToolCall(self.redacted(call.id), self.redacted(call.name), self.redacted(call.arguments))

    def _tool(self, fragment: ToolFragment) -> ToolFragment:
        return ToolFragment(
            fragment.index,
            clean(fragment.id)[:200],
            clean(fragment.name)[:200],
            self._safe(self._arguments.feed(fragment.arguments)) if fragment.arguments else "",
        )

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text
