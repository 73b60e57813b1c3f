"""Types of targets (where a request goes) and scenarios (what is asked).

The dialects build requests from them, and the catalog reads them from TOML. They hold no secrets: a target names the
environment variables that may hold its key, never the key.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

Role = Literal["system", "user", "assistant", "tool"]
Auth = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "aws"]
DEFAULT_DIALECT = "chat"
"""The dialect of a target that names none."""
GATEWAY_KEY_ENV = ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD")
"""Variables with a gateway's credential: a password if the name ends in PASSWORD, else a token."""
SESSION_PREFIX = "agent:main:kmon-"
"""Begins the names of the sessions that kmon opens at a gateway."""
REGION = "{region}"
"""Placeholder in a base URL for the region, which is resolved when the request is sent."""


class PromptTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Renders a conversation as one prompt, for a dialect without messages (default: ChatML).

    ``{content}`` is replaced by the content of a message; ``opening`` begins the model's answer.
    """

    system: str = "<|im_start|>system\n{content}<|im_end|>\n"
    user: str = "<|im_start|>user\n{content}<|im_end|>\n"
    assistant: str = "<|im_start|>assistant\n{content}<|im_end|>\n"
    opening: str = "<|im_start|>assistant\n"
    stop: tuple[str, ...] = ("<|im_end|>",)


class FileLine(Struct, frozen=True):
    """A line of a file, from 1."""

    path: str
    line: int


class Target(Struct, frozen=True, kw_only=True):
    """Provider, model and dialect of a run. Written ``provider/model``."""

    name: str
    """What the user types: a preset (``together``) or ``provider/model``."""
    provider: str
    model: str
    dialect: str = DEFAULT_DIALECT
    """One of the names of ``kmon/dialects/registry.py``; the catalog refuses any other."""
    base_url: str
    url_variables: tuple[str, ...] = ()
    """The variables in the base URL of its file, such as ``azure_resource``; the catalog fills them in."""
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key, first match wins. Empty: no key is needed."""
    auth: Auth = "bearer"
    """How the key is sent; ``aws`` means the AWS credential chain, whose variables ``key_env`` names."""
    region: str | None = None
    """AWS region; None leaves it to AWS_REGION, AWS_DEFAULT_REGION, the profile, then the first of ``regions``."""
    regions: tuple[str, ...] = ()
    """AWS regions where the model is known to be served."""
    control_model: str | None = None
    """A model of another family at the same provider: it shows whether the provider or the model fails."""
    token_cap: str | None = "max_tokens"
    """The body parameter that caps output tokens; None sends no cap."""
    stream_options: bool = True
    """Whether ``stream_options: {include_usage: true}`` may be sent."""
    end_event: bool = True
    """Whether its streams have the dialect's terminal event, such as ``[DONE]``."""
    finish_reason: bool = True
    """Whether its streams say why an answer ended."""
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    """Extra members merged into the request body."""
    template: PromptTemplate = PromptTemplate()
    """For the ``deepinfra`` dialect only."""
    quirks: tuple[str, ...] = ()
    simulated: bool = False
    http2: bool = False
    """Whether it is asked by HTTP/2. Files cannot set it: ``kmon isolate`` does."""
    reuse_connection: bool = False
    """Whether a request takes a connection that was used before, if its race has one (``RacePlan.keep_connections``).
    Files cannot set it: ``kmon isolate`` does."""
    named_in: FileLine | None = None
    """The line of a project's file that sets the base URL or the request; None if kmon's catalog, the user's file or a
    flag does. A cloned project may not decide where the user's keys are sent."""

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
    """One message of a conversation, independent of the dialect."""

    role: Role
    content: str = ""
    reasoning: str = ""
    """The assistant's reasoning; some providers refuse a replayed tool call without it."""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool offered in the request; ``parameters`` is a JSON Schema object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


class AnswerCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an answer is right. It must always have text or a tool call; reasoning alone is not enough."""

    contains: tuple[str, ...] = ()
    """Each of these must occur in the text; upper and lower case are the same."""
    tool_call: bool = False
    """Whether a tool must be called. Any call must be valid."""


class PassLimits(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How long a run may take and still pass, in s; 0 sets no limit. Time that this machine took does not count."""

    max_gap_s: float = 0.0
    """The longest silence after the first token."""
    ttft_s: float = 0.0
    """The wait for the first token; reasoning counts as one."""
    duration_s: float = 0.0
    """The whole run, all turns of a chain included."""


class Chain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario of several turns: a local fake answers each tool call until the model answers in text."""

    steps: int
    """Number of tool results the model must collect; it replaces ``{steps}`` in a message."""
    results: dict[str, str]
    """The fake result by tool name; ``{n}`` is replaced by the number of the result, from 1."""


class Scenario(Struct, frozen=True, kw_only=True):
    """What is asked: messages, tools, an output cap in tokens, and the check of the answer."""

    name: str
    title: str = ""
    messages: tuple[PromptMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_calls: bool | None = None
    """Whether several tools may be called in one turn (``chat``, ``responses`` and ``messages`` only); None leaves
    it to the provider."""
    max_tokens: int = 1024
    filler_tokens: int | None = None
    """Approximate size of the text that replaces ``{filler}`` in a message; None without filler."""
    check: AnswerCheck = AnswerCheck()
    limits: PassLimits = PassLimits()
    """How long an answer may take and still be right for a test."""
    chain: Chain | None = None
    """None for a scenario of one request and one answer."""
    stream: bool = True
    """Whether the answer is streamed; else it comes as one document. Files cannot set it: ``kmon isolate`` does."""
