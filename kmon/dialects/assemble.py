"""Folds the deltas of one answer into a transcript: text, reasoning, refusal, tool calls, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from kmon.dialects.bounds import ID_LIMIT_CHARS
from kmon.dialects.delta import Delta, ServerTool, StreamError, ToolCall, ToolFragment, Usage, counted
from kmon.dialects.text import mended

TEXT_LIMIT_CHARS = 4_000_000
"""Limit of each text: the answer, the reasoning, the arguments of one tool call."""
TOOL_CALLS_LIMIT = 1_000
"""Limit of the calls, and of the tools of the server."""
MEDIA_LIMIT = 1_000


@dataclass(slots=True)
class _Text:
    """The pieces of one bounded text."""

    pieces: list[str] = field(default_factory=list)
    chars: int = 0

    def add(self, piece: str) -> int:
        """Keep ``piece`` up to the limit; return the number of characters dropped."""
        room = TEXT_LIMIT_CHARS - self.chars
        kept = piece if len(piece) <= room else piece[:room]
        if kept:
            self.pieces.append(kept)
            self.chars += len(kept)
        return len(piece) - len(kept)

    def __str__(self) -> str:
        return mended("".join(self.pieces))


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    free_form: bool = False
    from_code: bool = False
    arguments: _Text = field(default_factory=_Text)


class Transcript:
    """The answer so far. May be read at any time.

    Deltas after an in-stream error are still added. ``error`` is the first error; but an error that the provider
    reports replaces that of an unreadable frame. Strings are raw (hostile) but encodable: surrogate pairs that were
    split are joined, lone surrogates replaced.
    """

    def __init__(self) -> None:
        self._text, self._reasoning, self._refusal = _Text(), _Text(), _Text()
        self._server_tools: list[ServerTool] = []
        self._media: list[str] = []
        self._calls: list[_OpenCall] = []
        self._call_at: dict[int, _OpenCall] = {}
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.error: StreamError | None = None
        self.done = False
        self.response_id = ""
        self.model = ""
        self.chunks = 0
        self.malformed_frames = 0
        self.cut_frames = 0
        """Those of them in which the body ended: one or none."""
        self.other_choices = False
        """Whether the stream holds other answers to the same request."""
        self.unstreamed = False
        """Whether the answer came at once, where a stream has pieces."""
        self.dropped_chars = 0
        """Characters of text and arguments beyond the limits."""
        self.dropped_calls = 0
        """Tool calls beyond the limit."""

    @property
    def text(self) -> str:
        return str(self._text)

    @property
    def reasoning(self) -> str:
        return str(self._reasoning)

    @property
    def refusal(self) -> str:
        return str(self._refusal)

    @property
    def server_tools(self) -> tuple[ServerTool, ...]:
        """Uses of tools that are no calls of the client's functions, in order."""
        return tuple(ServerTool(mended(tool.type), mended(tool.name)) for tool in self._server_tools)

    @property
    def media(self) -> tuple[str, ...]:
        """The MIME types of output that is no text, in order."""
        return tuple(map(mended, self._media))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls in the order of their first fragments; a call without id, name and arguments is left out."""
        return tuple(
            ToolCall(mended(call.id), mended(call.name), str(call.arguments), call.free_form, call.from_code)
            for call in self._calls
            if call.id or call.name or call.arguments.chars
        )

    def add(self, delta: Delta) -> None:
        """Fold one delta in."""
        self.chunks += delta.chunk
        if delta.text:
            self.dropped_chars += self._text.add(delta.text)
        if delta.reasoning:
            self.dropped_chars += self._reasoning.add(delta.reasoning)
        if delta.refusal:
            self.dropped_chars += self._refusal.add(delta.refusal)
        self._server_tools += delta.server_tools[: TOOL_CALLS_LIMIT - len(self._server_tools)]
        self._media += delta.media[: MEDIA_LIMIT - len(self._media)]
        for fragment in delta.tools:
            self._add_fragment(fragment)
        if delta.finish_reason is not None:
            self.finish_reason = mended(delta.finish_reason)
        if delta.usage is not None:
            self.usage = counted(self.usage, delta.usage)
        if delta.error is not None:
            self._add_error(delta.error)
            self.cut_frames += delta.cut
        if delta.unstreamed:
            self.unstreamed = True
        if delta.other_choices:
            self.other_choices = True
        if delta.done:
            self.done = True
        if delta.response_id and not self.response_id:
            self.response_id = mended(delta.response_id)
        if delta.model and not self.model:
            self.model = mended(delta.model)

    def _add_error(self, error: StreamError) -> None:
        malformed = error.kind == "malformed-frame"
        self.malformed_frames += malformed
        if self.error is None or (self.error.kind == "malformed-frame" and not malformed):
            self.error = error

    def _add_fragment(self, fragment: ToolFragment) -> None:
        """Merge by index: first id, all arguments, and of the name what comes before them, if it is no repetition.

        Another id at the same index begins a new call only if it has a name.
        """
        call = self._call_at.get(fragment.index)
        if call is None or (fragment.name and fragment.id and call.id and fragment.id != call.id):
            if len(self._calls) >= TOOL_CALLS_LIMIT:
                self.dropped_chars += len(fragment.arguments)
                self.dropped_calls += bool(fragment.name)
                self._call_at.pop(fragment.index, None)
                return
            call = _OpenCall()
            self._calls.append(call)
            self._call_at[fragment.index] = call
        call.id = call.id or fragment.id
        if fragment.name and fragment.name != call.name and (not call.name or not call.arguments.chars):
            call.name = (call.name + fragment.name)[:ID_LIMIT_CHARS]
        if fragment.whole:
            call.arguments = _Text()
        call.free_form = call.free_form or fragment.free_form
        call.from_code = call.from_code or fragment.from_code
        self.dropped_chars += call.arguments.add(fragment.arguments)
