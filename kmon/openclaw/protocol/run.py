"""One run of the gateway as its frames tell: how far its agent is, how far its chat is, and what was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kmon.openclaw.protocol.answer import Answer

Lifecycle = Literal["unseen", "start", "model", "finishing", "end", "error"]
ChatState = Literal["unseen", "status", "delta", "final", "aborted", "error"]
Origin = Literal["sent", "other", "queue"]
"""``sent`` over this very connection, begun by an ``other`` one, or born from the ``queue`` of follow-ups."""

TOOLS_LIMIT = 500


@dataclass(slots=True)
class Tool:
    """A tool call of a run. ``phase`` is ``start``, ``update`` or ``result``."""

    index: int
    name: str
    t_start_ns: int
    phase: Literal["start", "update", "result"] = "start"
    is_error: bool = False
    has_arguments: bool = False


@dataclass(slots=True)
class GatewayRun:
    """All that is known of one run. Stamps are CLOCK_MONOTONIC ns or None."""

    id: str
    session: str
    origin: Origin
    t_first_ns: int
    t_last_ns: int
    """The last frame that belongs to this run."""
    t_started_ns: int | None = None
    """When its agent began, the first time."""
    t_text_ns: int | None = None
    t_tool_ns: int | None = None
    """The last that was heard of a tool: one that runs is no silence of the model."""
    t_ended_ns: int | None = None
    """When it was last seen to end; None again once it goes on."""
    t_chat_ended_ns: int | None = None
    lifecycle: Lifecycle = "unseen"
    chat: ChatState = "unseen"
    status: str = ""
    """The last phase of preparation, or ``retrying``, in the gateway's words."""
    answer: Answer = field(default_factory=Answer)
    spoken_by: Literal["", "agent", "chat"] = ""
    """Which stream of events the text is taken from; the other one repeats it."""
    unseen_chars: int = 0
    """Text of agent events after the chat had ended: no chat event will ever bring it."""
    silent_retry: bool = False
    """Its chat was told of an end, and its agent went on all the same."""
    chat_errors: int = 0
    tries: int = 0
    failed_try: bool = False
    tools: dict[str, Tool] = field(default_factory=dict)
    model: str = ""
    provider: str = ""
    output_tokens: int | None = None
    stop_reason: str | None = None
    error: str = ""
    error_kind: str | None = None
    """The gateway's own word for it; 2026.9 calls a reset ``timeout``, so it says nothing about the cause."""
    empty_final: bool = False
    """The chat ended without a message: queued, steered into another run, or silent. Never an answer."""
    behind: str = ""
    """The run that was open when this one was queued behind it."""
    last_assistant_seq: int = 0

    @property
    def short(self) -> str:
        """Four characters to tell runs of a session apart: the first of a UUID, else the last."""
        return self.id[:4] if self.id.count("-") == 4 and len(self.id) == 36 else self.id[-4:]

    @property
    def begun(self) -> bool:
        return self.t_started_ns is not None or self.chat in ("delta", "status") or self.lifecycle != "unseen"

    @property
    def open(self) -> bool:
        """Its agent has begun and neither it nor its chat has ended, or it went on after that."""
        return self.begun and self.t_ended_ns is None

    @property
    def waiting(self) -> bool:
        """Taken by the gateway, and nothing happened with it yet."""
        return not self.begun and self.t_ended_ns is None

    @property
    def open_tool(self) -> Tool | None:
        """The tool that runs now, the latest if several do."""
        return next((tool for tool in reversed(self.tools.values()) if tool.phase != "result"), None)

    @property
    def answered(self) -> bool:
        """Whether the chat got an answer: a final message with something in it."""
        return self.chat == "final" and not self.empty_final
