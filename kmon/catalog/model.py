"""The typed shapes of the catalog: targets (what is aimed at) and scenarios (what is asked).

They hold no secrets: a target names the environment variables its key may be in, never the key.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

DialectName = Literal["chat", "converse", "messages", "deepinfra", "openclaw"]
Role = Literal["system", "user", "assistant", "tool"]


class Target(Struct, frozen=True, kw_only=True):
    """Provider + model + dialect: what a run is aimed at. Written ``provider/model``."""

    name: str
    """What the user types: a preset (``together``) or ``provider/model``."""
    provider: str
    model: str
    dialect: DialectName = "chat"
    base_url: str
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key, first match wins. Empty: no key is needed."""
    control_model: str | None = None
    """A model of another family at the same provider, to tell the provider from the model."""
    token_cap: str | None = "max_tokens"
    """The body parameter that caps output tokens; None sends no cap."""
    stream_options: bool = True
    """Whether ``stream_options: {include_usage: true}`` may be sent."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """Extra members merged into the request body."""
    quirks: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def label(self) -> str:
        """``provider/model``, the full written form."""
        return f"{self.provider}/{self.model}"


class ToolUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call inside a scenario's conversation; ``arguments`` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of a conversation, in no dialect: every dialect translates it."""

    role: Role
    content: str = ""
    reasoning: str = ""
    """What the assistant thought; some providers refuse a replayed tool call without it."""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool offered in the request; ``parameters`` is a JSON Schema object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes an answer right. It must say something (text or a tool call) in any case; thoughts alone do not do."""

    contains: tuple[str, ...] = ()
    """Every one of these must occur in the text, in any case of letters."""
    tool_call: bool = False
    """Whether a tool must be called. A call that is made must be valid either way."""


class Scenario(Struct, frozen=True, kw_only=True):
    """What is asked: messages, tools, an output cap in tokens, and what makes the answer right."""

    name: str
    title: str = ""
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    max_tokens: int = 1024
    filler_tokens: int | None = None
    """Approximate size of the text that stands for ``{filler}`` in a message; None where there is none."""
    check: Check = Check()
