"""One run of the gateway as its frames show it: the state of its agent, the state of its chat, and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Lifecycle = Literal["unseen", "start", "model", "finishing", "end", "error"]
ChatState = Literal["unseen", "status", "delta", "final", "aborted", "error"]
Origin = Literal["sent", "other", "queue"]
"""``sent`` over this connection, begun by another client, or started by the gateway from its ``queue``."""

TOOLS_LIMIT = 500
TEXT_LIMIT_CHARS = 1_000_000
"""How much of one answer is kept and passed on; a frame may be 25 MiB."""
SEGMENT_SEPARATOR = "\n\n"


@dataclass(slots=True)
class AnswerText:
    """The text of a run in its current try, without the repetitions of the gateway.

    Agent and chat events carry the text so far (``text``, ``message``) and mostly the new piece too (``delta``,
    ``deltaText``). A run that calls tools writes one segment per model call: 2026.2 sends the last one alone to the
    chat, 2026.9 joins them with a blank line.
    """

    segments: list[str] = field(default_factory=list)
    discarded_chars: int = 0
    """Text that a retry or another final replaced."""
    dropped_chars: int = 0
    """Text above the limit."""

    @property
    def text(self) -> str:
        return SEGMENT_SEPARATOR.join(segment for segment in self.segments if segment)

    def add(self, whole: str | None, piece: str | None, *, replace: bool = False) -> str:
        """Fold one event in; return its new text, to be appended to what was passed on before.

        ``whole`` is the text of the segment so far and ``piece`` the part that is new, either of them None where the
        event has none. With ``replace`` the segment starts again, and all of it counts as new.
        """
        last = self.segments[-1] if self.segments else ""
        if replace:
            self.discarded_chars += len(last)
            self.segments[-1:] = [""]
            return self._append(whole or piece or "")
        if whole is None:
            return self._append(piece or "")
        if last and whole == piece and last != whole:  # all of it is new: another segment begins
            return self._begin(whole)
        if whole.startswith(last):
            return self._append(whole[len(last) :])
        if last.startswith(whole) or not whole:  # an older state of the same segment
            return ""
        return self._begin(whole)

    def settle(self, final: str) -> str:
        """Fold the text of the final message in; return the part of it that is new.

        A final that repeats the text, or its last segment alone, adds nothing. Any other text replaces it.
        """
        before = self.text
        if not final or final == before or (self.segments and final == self.segments[-1]):
            return ""
        if final.startswith(before):
            missing = final[len(before) :]
            self.segments = [before]
            return self._append(missing)
        if before.endswith(final) or before.startswith(final[:TEXT_LIMIT_CHARS]):
            return ""
        self.discarded_chars += len(before)
        self.segments = []
        return self._append(final)

    def restart(self) -> None:
        """Discard the text: the gateway calls the model again."""
        self.discarded_chars += len(self.text)
        self.segments.clear()

    def _begin(self, whole: str) -> str:
        self.segments.append("")
        return SEGMENT_SEPARATOR + self._append(whole)

    def _append(self, piece: str) -> str:
        room = max(0, TEXT_LIMIT_CHARS - sum(map(len, self.segments)))
        kept = piece[:room]
        self.dropped_chars += len(piece) - len(kept)
        if not self.segments:
            self.segments.append("")
        self.segments[-1] += kept
        return kept


@dataclass(slots=True)
class RunTool:
    """A tool call of a run."""

    index: int
    name: str
    t_start_ns: int
    phase: Literal["start", "update", "result"] = "start"
    has_arguments: bool = False


@dataclass(slots=True)
class GatewayRun:
    """What is known of one run. Stamps are CLOCK_MONOTONIC ns or None."""

    id: str
    session: str
    origin: Origin
    t_first_ns: int
    t_last_ns: int
    """The last frame that belongs to this run."""
    t_started_ns: int | None = None
    """The first start of its agent."""
    t_text_ns: int | None = None
    t_tool_ns: int | None = None
    """The last event of a tool: while one runs, the model is not silent."""
    t_ended_ns: int | None = None
    """Its last end; None again once it goes on."""
    t_chat_ended_ns: int | None = None
    lifecycle: Lifecycle = "unseen"
    chat: ChatState = "unseen"
    status: str = ""
    """The last phase of preparation, or ``retrying``: the gateway's own word."""
    answer: AnswerText = field(default_factory=AnswerText)
    text_source: Literal["", "agent", "chat"] = ""
    """The stream of events that the text is taken from; the other one repeats it."""
    unseen_chars: int = 0
    """Text of agent events after the chat had ended: no chat event brings it."""
    silent_retry: bool = False
    """The chat got an end, and the agent started again after it."""
    chat_errors: int = 0
    tries: int = 0
    failed_try: bool = False
    tools: dict[str, RunTool] = field(default_factory=dict)
    model: str = ""
    provider: str = ""
    output_tokens: int | None = None
    stop_reason: str | None = None
    error: str = ""
    error_kind: str | None = None
    """The gateway's own word; 2026.9 calls a reset ``timeout``, so it is no evidence of the cause."""
    empty_final: bool = False
    """The chat ended without a message: queued, steered into another run, or silent. Never an answer."""
    behind: str = ""
    """The run that was open when this one was queued."""
    last_assistant_seq: int = 0

    @property
    def short(self) -> str:
        """Four characters that distinguish the runs of a session: the first of a UUID, else the last."""
        return self.id[:4] if self.id.count("-") == 4 and len(self.id) == 36 else self.id[-4:]

    @property
    def begun_ns(self) -> int:
        """When its agent started or, before that, when its first frame came."""
        return self.t_first_ns if self.t_started_ns is None else self.t_started_ns

    @property
    def begun(self) -> bool:
        return self.t_started_ns is not None or self.chat in ("delta", "status") or self.lifecycle != "unseen"

    @property
    def open(self) -> bool:
        """Its agent has begun and neither it nor its chat has ended, or it went on after that."""
        return self.begun and self.t_ended_ns is None

    @property
    def waiting(self) -> bool:
        """Accepted by the gateway and not begun."""
        return not self.begun and self.t_ended_ns is None

    @property
    def open_tool(self) -> RunTool | None:
        """The tool that runs now, the latest if several do."""
        return next((tool for tool in reversed(self.tools.values()) if tool.phase != "result"), None)

    @property
    def answered(self) -> bool:
        """Whether the chat got an answer: a final message with content."""
        return self.chat == "final" and not self.empty_final
