"""Collects what the merged answer no longer shows: names in chunks, their order, repetition, when tool calls began."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from kmon.dialects.delta import Delta

NAMES_LIMIT = 8
"""Different models, or hosts, that are kept."""
PIECES_LIMIT = 5_000
"""Pieces of output that are searched for repetition, which takes a few ms per thousand."""
_NULL_USAGE = re.compile(r'"usage"\s*:\s*null')


@dataclass(slots=True)
class ChunkStats:
    """A fold over the deltas of one attempt, in the order of their arrival."""

    models: list[str] = field(default_factory=list)
    upstreams: list[str] = field(default_factory=list)
    usage_announced: bool = False
    """Whether chunks carried ``"usage": null``, which announces a count in the last one."""
    error_first: bool = False
    """Whether the first chunk was an error."""
    late_chunks: int = 0
    """Chunks with output after the finish reason."""
    early_arguments: int = 0
    """Tool calls whose arguments came before their name."""
    idle_chunks: int = 0
    """Data chunks since the last output."""
    idle_keepalives: int = 0
    """Keep-alives since the last output."""
    waiting_tool: str | None = None
    """The tool that was named last, while none of its arguments has arrived."""
    held_back: list[tuple[int, int]] = field(default_factory=list)
    """Intervals in which the server buffered tool arguments, start and end in ns: from a tool's name to its first
    argument, or before a tool call that arrived whole in one chunk."""
    pieces: list[str] = field(default_factory=list)
    """The text and reasoning of each chunk."""
    _chunks: int = 0
    _finished: bool = False
    _last_ns: int = 0
    _nameless: set[int] = field(default_factory=set)
    _named: set[int] = field(default_factory=set)

    def add(self, t_ns: int, delta: Delta, *, progress: bool) -> None:
        """Fold in one delta that arrived at ``t_ns``; ``progress``: whether it brought output, after cleaning."""
        if delta.chunk:
            self._chunks += 1
            self._see_chunk(delta)
        self._see_tools(t_ns, delta)
        if progress:
            self.idle_chunks = self.idle_keepalives = 0
            self.late_chunks += self._finished
            self._last_ns = t_ns
            if (delta.text or delta.reasoning) and len(self.pieces) < PIECES_LIMIT:
                self.pieces.append(delta.text or delta.reasoning)
        elif delta.keepalive:
            self.idle_keepalives += 1
        elif delta.chunk:
            self.idle_chunks += 1
        if delta.finish_reason is not None:  # some providers say it in every chunk: what was before one is not late
            self._finished, self.late_chunks = True, 0

    def _see_chunk(self, delta: Delta) -> None:
        _remember(self.models, delta.model)
        _remember(self.upstreams, delta.upstream)
        if delta.error is not None and self._chunks == 1:
            self.error_first = True
        if not self.usage_announced and self._chunks <= NAMES_LIMIT:
            self.usage_announced = _NULL_USAGE.search(delta.raw) is not None

    def _see_tools(self, t_ns: int, delta: Delta) -> None:
        for fragment in delta.tools:
            if fragment.name:
                if fragment.index in self._nameless and fragment.index not in self._named:
                    self.early_arguments += 1
                self._named.add(fragment.index)
                if not fragment.arguments:
                    self.waiting_tool = fragment.name
            elif fragment.arguments and fragment.index not in self._named:
                self._nameless.add(fragment.index)
            if fragment.arguments:
                if self.waiting_tool is not None or (fragment.name and _whole(fragment.arguments)):
                    self.held_back.append((self._last_ns, t_ns))
                self.waiting_tool = None


def _remember(names: list[str], name: str | None) -> None:
    if name is not None and len(names) < NAMES_LIMIT and (not names or names[-1] != name):
        names.append(name)


def _whole(arguments: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (ValueError, RecursionError):
        return False
