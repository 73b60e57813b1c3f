"""One run: model calls, tools, retries, and the frames that tell of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from kmon.openclaw.simulated.adapter import buffering, streaming
from kmon.openclaw.simulated.frames_v3 import Failure, Voice
from kmon.openclaw.simulated.options import Behaviour, GatewayOptions
from kmon.openclaw.simulated.provider import Finished, Piece, ProviderError, Text, ToolPart
from kmon.openclaw.simulated.tools import TOOLS, ToolCall, pretend

RunState = Literal["open", "ok", "error", "aborted", "killed"]
Point = Literal["first-text", "before-end"]
Body = dict[str, Any]
STREAM_BROKE = "LLM request timed out."
REFUSED = (
    "⚠️ fake/fake-1 request failed (provider internal error, {detail}). This is usually temporary — try again shortly."
)
SYSTEM = "You are a personal assistant running inside a gateway."
CALLS_LIMIT = 40
"""How many model calls one run makes before it ends with what it has."""


class Message(Struct, frozen=True):
    """What a user sent, as a run of its own or into another one."""

    run_id: str
    text: str
    prompt: str


@dataclass(slots=True)
class Reply:
    """What one model call brought."""

    text: str = ""
    tools: dict[int, ToolCall] = field(default_factory=dict)

    def add(self, part: ToolPart) -> None:
        known = self.tools.get(part.index, ToolCall("", "", ""))
        whole = ToolCall(known.id or part.id, known.name or part.name, known.arguments + part.arguments)
        self.tools[part.index] = whole


class EmptyReplyError(Exception):
    """The model said nothing and called nothing."""


class Told(NamedTuple):
    """Who is asked and told by a run."""

    ask: Callable[[Body, str], Any]
    """Makes the provider request."""
    on_steered: Callable[[Message], None]
    """Tells a steered message its own end."""
    on_reached: Callable[[Point], Awaitable[None]]


class Run:
    """One run of a session."""

    def __init__(
        self,
        message: Message,
        behaviour: Behaviour,
        options: GatewayOptions,
        voice: Voice,
        row: dict[str, Any],
        *,
        history: list[Body],
        told: Told,
    ) -> None:
        self.message = message
        self.voice = voice
        self.state: RunState = "open"
        self.over = asyncio.Event()
        self.steered: list[Message] = []
        self.rows: list[Body] = []
        """What the run adds to the session's history, besides the user's row."""
        self._behaviour = behaviour
        self._options = options
        self.row = row
        self._ask = told.ask
        self._history = history
        self._on_steered = told.on_steered
        self._on_reached = told.on_reached
        self._output_tokens = 0
        self._attempt = 0

    async def play(self) -> None:
        """The whole run. Cancelled by an abort or the gateway's end."""
        self.voice.prepared()
        delays: Iterator[float] | None = None
        empties = 0
        while self.state == "open":
            self._attempt += 1
            self.voice.begun()
            try:
                await self._turns()
            except ProviderError as failed:
                failure = self._failure(failed)
                if delays is None:
                    delays = iter(self._options.release.retry_delays_s[failed.reason])
                delay_s = next(delays, None)
                if delay_s is None or self._options.silent_retries:
                    await self._fail(failure)
                else:
                    self.voice.attempt_failed(failure)
                    self.voice.retrying(failure, self._attempt, round(delay_s * 1e3 / self._options.speed))
                if delay_s is None:
                    self.settle("error")
                    return
                await self._wait(delay_s)
                if not self.voice.silent:
                    self.voice.again()
            except EmptyReplyError:
                empties += 1
                limit = self._options.release.empty_retries
                if limit is not None and empties <= limit:
                    self.voice.asked_again()
                    continue
                self.voice.empty()
                self.settle("ok" if limit is None else "error")
            else:
                await self._on_reached("before-end")
                self.voice.ended()
                self.settle("ok")

    def settle(self, state: RunState) -> None:
        """End the account; only the first ending counts."""
        if self.state == "open":
            self.state = self.row["state"] = state
            self.over.set()

    async def _fail(self, failure: Failure) -> None:
        self.voice.attempt_failed(failure)
        self.voice.failed(failure)
        self.rows.append({"role": "assistant", "content": [], "stopReason": "error", "errorMessage": failure.detail})
        self.voice.silent = self._options.silent_retries

    def _failure(self, failed: ProviderError) -> Failure:
        if failed.reason == "http":
            return Failure(REFUSED.format(detail=failed.detail), "server_error", failed.detail)
        return Failure(STREAM_BROKE, "timeout", failed.detail, "timeout")

    async def _turns(self) -> None:
        """Model calls until the answer is there. Raises ProviderError and EmptyReplyError."""
        messages: list[Body] = [{"role": "system", "content": SYSTEM}, *self._history]
        messages.append({"role": "user", "content": self.message.prompt})
        for _ in range(CALLS_LIMIT):
            self.voice.calling()
            reply = await self._reply(messages)
            if not reply.tools and not reply.text.strip():
                raise EmptyReplyError
            steered = [self.steered.pop(0) for _ in range(len(self.steered))]
            self._keep(reply)
            if not reply.tools and not steered:
                return
            messages.append(_assistant_message(reply))
            for call in reply.tools.values():
                messages.append(await self._use(call))
            for message in steered:
                self._on_steered(message)
                messages.append({"role": "user", "content": message.prompt})

    async def _reply(self, messages: list[Body]) -> Reply:
        self.row["provider_requests"] += 1
        fault = "" if self._behaviour.once and self._attempt > 1 else self._behaviour.provider_fault
        body: Body = {"model": self._options.model, "messages": messages, "stream": True, "tools": TOOLS}
        body["stream_options"] = {"include_usage": True}
        if self._behaviour.tool_choice and messages[-1]["role"] != "tool":
            body["tool_choice"] = self._behaviour.tool_choice
        adapt = buffering if self._behaviour.buffered else streaming
        reply = Reply()
        try:
            async for piece in adapt(self._ask(body, fault)):
                first = isinstance(piece, Text) and not self.voice.segment
                self._heard(piece, reply)
                if first:
                    await self._on_reached("first-text")
        except ProviderError as failed:
            if failed.reason != "truncated" or not self._options.release.accepts_truncated:
                raise
        return reply

    def _heard(self, piece: Piece, reply: Reply) -> None:
        match piece:
            case Text():
                reply.text += piece.text
                self.voice.said(piece.text)
            case ToolPart():
                reply.add(piece)
                self.voice.tool_asked()
            case Finished():
                self._output_tokens += piece.output_tokens
                self.voice.answered(self._output_tokens)

    def _keep(self, reply: Reply) -> None:
        content: list[Body] = [{"type": "text", "text": reply.text}] if reply.text else []
        for call in reply.tools.values():
            content.append({"type": "toolCall", "id": call.id, "name": call.name, "arguments": call.args})
        reason = "toolUse" if reply.tools else "stop"
        self.rows.append({"role": "assistant", "content": content, "stopReason": reason})

    async def _use(self, call: ToolCall) -> Body:
        self.voice.tool_started(call)
        outcome = pretend(call)
        await self._wait(outcome.duration_s)
        self.voice.tool_ended(call, outcome)
        content = [{"type": "text", "text": outcome.output}]
        named = {"toolCallId": call.id, "toolName": call.name}
        self.rows.append({"role": "toolResult", **named, "content": content, "isError": False})
        return {"role": "tool", "tool_call_id": call.id, "content": outcome.output}

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._options.speed)


def _assistant_message(reply: Reply) -> Body:
    message: Body = {"role": "assistant", "content": reply.text}
    if reply.tools:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.tools.values()
        ]
    return message
