"""The meaning of one chunk of a stream, independent of the dialect.

Decoders produce :class:`Delta` values only. A delta is raw: its text may be hostile, and is cleaned
(``dialects/text.py``) when it becomes an event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from msgspec import Struct

Kind = Literal["text", "reasoning", "tool", "usage", "finish", "keepalive", "error", "other"]


HiddenWork = Literal["reasoning", "server-tool", "none"]
"""What a server works on while it sends no output: it reasons without showing it, or runs one of its own tools."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """Token counts as the provider reports them; ``None`` where it reports none.

    ``prompt_tokens`` includes the tokens that were read from a cache or written to it.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    unseen_tokens: int | None = None
    """Output tokens that are neither text nor reasoning: audio, pictures, and predictions that were rejected."""


def counted(before: Usage | None, now: Usage | None) -> Usage | None:
    """The counts after ``now``: those of the last whole report, which has both a prompt and an answer.

    A report with some counts, or with none but a price, takes back no other. A total belongs to the counts beside it,
    so an older one is dropped once they have changed.
    """
    if before is None or now is None or None not in (now.prompt_tokens, now.completion_tokens):
        return now or before
    kept, told = (
        {name: number for name in Usage.__struct_fields__ if (number := getattr(usage, name)) is not None}
        for usage in (before, now)
    )
    if not told.keys() <= {"total_tokens"}:
        kept.pop("total_tokens", None)
    return Usage(**(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens")) | kept | told))


def whole_prompt(uncached: int | None, read: int | None, written: int | None) -> int | None:
    """The prompt tokens of a dialect that counts those read from a cache, or written to it, apart from the others."""
    return None if uncached is None else uncached + (read or 0) + (written or 0)


class ToolFragment(Struct, frozen=True, omit_defaults=True):
    """A piece of one tool call. ``index`` keys the call; ``id`` and ``name`` may be empty or repeated."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    free_form: bool = False
    """Whether the arguments of the call are free text by the tool's definition, not JSON."""
    from_code: bool = False
    """Whether a program that the model wrote, and the server runs, makes the call: no output tokens are counted."""
    whole: bool = False
    """Whether ``arguments`` replaces what came before: some servers send an object that grows."""


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """A whole tool call, merged from its fragments. ``arguments`` is raw JSON text, or any text if ``free_form``.
    ``from_code`` is that of its fragments."""

    id: str
    name: str
    arguments: str
    free_form: bool = False
    from_code: bool = False


class ServerTool(Struct, frozen=True, omit_defaults=True):
    """A use of a tool that the client does not call as a function: the server runs it, or the protocol has a form of
    its own for it (a shell, a patch). ``type`` is the wire's word (``web_search_call``); ``name`` may be empty."""

    type: str
    name: str = ""


class Output(NamedTuple):
    """Which parts of an answer a chunk extended."""

    text: bool
    """Text, or output that is no text (an image)."""
    reasoning: bool
    tool: bool
    """The arguments of a tool call; an id or a name alone does not count."""


def output(
    text: str,
    reasoning: str,
    tools: Iterable[ToolFragment],
    held: Collection[str] = (),
    media: Collection[str] = (),
) -> Output:
    """Which parts a chunk with these pieces extends. Any of the three is progress; this is its only definition.

    Other content of the chunk (an error, a finish reason, usage) does not matter. ``held`` names the parts with new
    text that is held back and not shown yet. ``media`` extends the answer as text does.
    """
    return Output(
        bool(text or media) or "text" in held,
        bool(reasoning) or "reasoning" in held,
        "tool" in held or any(fragment.arguments for fragment in tools),
    )


CONNECT_TIMEOUT = "connect-timeout"
"""The code of the error ``connect`` when a connection was neither refused nor accepted in time."""


class StreamError(Struct, frozen=True):
    """Why an attempt, or one frame of it, failed.

    ``kind`` is one kebab-case word: ``in-stream``, ``malformed-frame`` (unreadable, or cut off by the end of the body;
    the attempt goes on), ``corrupt-frame`` (its checksum is wrong; the attempt fails), ``http``, ``not-a-stream``,
    ``dns``, ``connect``, ``tls``, ``timeout``, ``reset``, ``cut``, ``protocol``, ``network``, ``credentials`` (there
    are none, or they cannot be used), ``not-sent`` (the AWS client refused the request), ``cancelled``. ``status`` is
    the HTTP status or the numeric error code of an in-stream error. ``frame`` is the offending frame, bounded.
    """

    kind: str
    message: str
    status: int | None = None
    code: str | None = None
    frame: str | None = None
    retry_after_s: float | None = None
    """How long the server asks to wait: ``Retry-After``, ``retry-after-ms``, or Google's RetryInfo."""


class Delta(Struct, frozen=True, omit_defaults=True):
    """The meaning of one chunk. A chunk may hold several things at once (text, finish reason and usage).

    ``chunk`` is False for what is not a data chunk of the dialect: SSE comments and the ``[DONE]`` sentinel.
    ``keepalive`` marks comments and pings, which are never progress. ``done`` marks the dialect's
    terminal event (``[DONE]``, Bedrock ``metadata``, ``message_stop``).
    """

    text: str = ""
    reasoning: str = ""
    tools: tuple[ToolFragment, ...] = ()
    media: tuple[str, ...] = ()
    """The MIME type of each piece of output that is no text (``image/png``); "" where it has none."""
    finish_reason: str | None = None
    usage: Usage | None = None
    error: StreamError | None = None
    keepalive: bool = False
    done: bool = False
    chunk: bool = True
    refusal: str = ""
    """A piece of the words with which the model declines, if the wire has them apart from the text."""
    server_tools: tuple[ServerTool, ...] = ()
    """Uses of tools that begin with this chunk and are no calls of the client's functions."""
    other_choices: bool = False
    """Whether it is part of another answer to the same request, which is not read but counts in usage."""
    hidden_work: HiddenWork | None = None
    """What the server works on from now on without output; ``none`` if that is over, None if nothing changed."""
    cut: bool = False
    """Whether the body ended inside this frame."""
    unstreamed: bool = False
    """Whether it holds the whole answer at once where pieces are expected, which clients of streams do not read."""
    response_id: str | None = None
    model: str | None = None
    upstream: str | None = None
    """The provider behind an aggregator, if the chunk names it (OpenRouter ``provider``)."""
    server_ms: float | None = None
    """The server's own total time, if the chunk has it (Bedrock ``metrics.latencyMs``)."""
    server_load_ms: float | None = None
    """How long the server loaded the model before it read the prompt, if the chunk says so."""
    server_prompt_ms: float | None = None
    """How long the server read the prompt before the first token, if the chunk says so."""
    raw: str = ""
    """The data or comment as received, bounded (``bounds.py``), as evidence."""

    @property
    def progress(self) -> bool:
        """Whether the chunk, before it is cleaned, has output."""
        return any(output(self.text + self.refusal, self.reasoning, self.tools, media=self.media))

    @property
    def kind(self) -> Kind:
        """The word for this chunk: errors first, then progress, then the rest."""
        if self.error is not None:
            return "error"
        if self.text or self.refusal:
            return "text"
        if self.tools:
            return "tool"
        if self.reasoning:
            return "reasoning"
        if self.finish_reason is not None:
            return "finish"
        if self.usage is not None:
            return "usage"
        return "keepalive" if self.keepalive else "other"
