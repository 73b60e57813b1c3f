"""What is asked of the simulated model: a Chat Completions request, which every other dialect is read into."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class FunctionCall(Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class CalledTool(Struct, frozen=True):
    id: str = ""
    function: FunctionCall = FunctionCall()


class ChatMessage(Struct, frozen=True):
    """One message of the request; ``content`` may be text or a list of parts."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    reasoning_content: Any = None
    """What the assistant thought, where the client sends it back; any value is let pass."""

    @property
    def text(self) -> str:
        """The text of the message, parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content if isinstance(part, dict))
        return self.content or ""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two messages the same message, however they were written."""
        calls = [f"{call.id} {call.function.name} {call.function.arguments}" for call in self.tool_calls or ()]
        return (self.role, self.text.strip(), self.tool_call_id or "", *calls)


class OfferedFunction(Struct, frozen=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


class OfferedTool(Struct, frozen=True):
    function: OfferedFunction
    type: str = "function"


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class ChatRequest(Struct, frozen=True):
    """The members of a request that change what is answered; all others are accepted and ignored."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions | None = None
    thinking: Any = None

    @property
    def conversation(self) -> tuple[tuple[str, ...], ...]:
        """The messages as comparable values."""
        return tuple(message.identity for message in self.messages)

    @property
    def token_limit(self) -> int | None:
        limit = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return None if limit is None else max(1, limit)

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def may_think(self) -> bool:
        """Whether the request leaves thinking to the model (``thinking: {type: disabled}`` does not)."""
        return not (isinstance(self.thinking, dict) and self.thinking.get("type") == "disabled")

    @property
    def tool_result(self) -> bool:
        """Whether the last message is the result of a tool."""
        return self.messages[-1].role == "tool"


class TokenUsage(Struct, frozen=True):
    """Token counts of one answer."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
