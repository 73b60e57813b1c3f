"""The typed shapes of targets (what is aimed at) and scenarios (what is asked).

They stand below the dialects, which build requests from them, and below the catalog, which reads them from TOML. They
hold no secrets: a target names the environment variables its key may be in, never the key.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

Role = Literal["system", "user", "assistant", "tool"]
Auth = Literal["bearer", "x-api-key", "aws"]
DEFAULT_DIALECT = "chat"
"""What a target speaks that names no dialect."""
GATEWAY_KEY_ENV = ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD")
"""What a gateway lets in by; a variable whose name ends in PASSWORD holds a password, any other a token."""
SESSION_PREFIX = "agent:main:kmon-"
"""How the sessions that kmon begins at a gateway are called."""
REGION = "{region}"
"""Stands in a base URL for the region, which is settled when the request is sent."""


class PromptTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a conversation is written out as one prompt, for a dialect that takes no messages (default: ChatML).

    ``{content}`` stands for what a message says; ``opening`` is where the model goes on.
    """

    system: str = "<|im_start|>system\n{content}<|im_end|>\n"
    user: str = "<|im_start|>user\n{content}<|im_end|>\n"
    assistant: str = "<|im_start|>assistant\n{content}<|im_end|>\n"
    opening: str = "<|im_start|>assistant\n"
    stop: tuple[str, ...] = ("<|im_end|>",)


class Target(Struct, frozen=True, kw_only=True):
    """Provider + model + dialect: what a run is aimed at. Written ``provider/model``."""

    name: str
    """What the user types: a preset (``together``) or ``provider/model``."""
    provider: str
    model: str
    dialect: str = DEFAULT_DIALECT
    """One of the names of ``kmon/dialects/registry.py``; the catalog refuses any other."""
    base_url: str
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key, first match wins. Empty: no key is needed."""
    auth: Auth = "bearer"
    """How the key is presented; ``aws`` means the usual AWS chain, of which ``key_env`` names the variables."""
    region: str | None = None
    """AWS region; None leaves it to AWS_REGION, AWS_DEFAULT_REGION, the profile, then the first of ``regions``."""
    regions: tuple[str, ...] = ()
    """AWS regions where the model is known to be served."""
    control_model: str | None = None
    """A model of another family at the same provider, to tell the provider from the model."""
    token_cap: str | None = "max_tokens"
    """The body parameter that caps output tokens; None sends no cap."""
    stream_options: bool = True
    """Whether ``stream_options: {include_usage: true}`` may be sent."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """Extra members merged into the request body."""
    template: PromptTemplate = PromptTemplate()
    """For the ``deepinfra`` dialect only."""
    quirks: tuple[str, ...] = ()
    simulated: bool = False
    named_in: str = ""
    """The line of a project's file that says where the target is or what it is asked with; empty where kmon's own
    catalog, the user's file or a flag does. A project is cloned: it may not have the user's keys sent anywhere."""

    @property
    def label(self) -> str:
        """``provider/model``, the full written form."""
        return f"{self.provider}/{self.model}"


class ToolUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call inside a scenario's conversation; ``arguments`` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class PromptMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
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


class Chain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario of several turns: every tool call is answered by a local fake, until the model answers in text."""

    steps: int
    """Tool results the model was asked to collect; the text that stands for ``{steps}`` in a message."""
    results: dict[str, str]
    """Per tool name, what its fake answers; ``{n}`` stands for how many results there were before, plus one."""


class Scenario(Struct, frozen=True, kw_only=True):
    """What is asked: messages, tools, an output cap in tokens, and what makes the answer right."""

    name: str
    title: str = ""
    messages: tuple[PromptMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_calls: bool | None = None
    """Whether several tools may be called in one turn, where the dialect can say so (``chat``, ``messages``); None
    leaves it to the provider."""
    max_tokens: int = 1024
    filler_tokens: int | None = None
    """Approximate size of the text that stands for ``{filler}`` in a message; None where there is none."""
    check: Check = Check()
    chain: Chain | None = None
    """None for a scenario of one request and one answer."""
