"""One run of the simulated gateway: model calls, tools, retries, and their frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from kmon.openclaw.simulated.frames_v3 import RunFailure, RunFrames
from kmon.openclaw.simulated.options import GatewayOptions, RunBehaviour
from kmon.openclaw.simulated.provider import Finished, Piece, ProviderError, Text, ToolPart, buffered
from kmon.openclaw.simulated.tools import TOOLS, ExecCall, pretend

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


class UserMessage(Struct, frozen=True):
    """A user's message, which becomes a run of its own or part of another one."""

    run_id: str
    text: str
    prompt: str


@dataclass(slots=True)
class Reply:
    """The answer of one model call."""

    text: str = ""
    tools: dict[int, ExecCall] = field(default_factory=dict)

    def add(self, part: ToolPart) -> None:
        known = self.tools.get(part.index, ExecCall("", "", ""))
        whole = ExecCall(known.id or part.id, known.name or part.name, known.arguments + part.arguments)
        self.tools[part.index] = whole


class EmptyReplyError(Exception):
    """The model sent neither text nor a tool call."""


@dataclass(frozen=True, slots=True)
class RunHooks:
    """What a run calls of its surroundings."""

    ask: Callable[[Body, str], AsyncIterator[Piece]]
    """Makes a provider request, with the value of a fault header."""
    on_steered: Callable[[UserMessage], None]
    """Ends a steered message that the run consumed."""
    on_reached: Callable[[Point], Awaitable[None]]
    """Awaited at the points where a fault of the gateway may happen."""


class SimulatedRun:
    """One run of a session: ``play`` runs it to its end."""

    def __init__(
        self,
        message: UserMessage,
        behaviour: RunBehaviour,
        options: GatewayOptions,
        frames: RunFrames,
        row: dict[str, Any],
        *,
        history: list[Body],
        hooks: RunHooks,
    ) -> None:
        self.message = message
        self.frames = frames
        self.state: RunState = "open"
        self.over = asyncio.Event()
        self.steered: list[UserMessage] = []
        self.rows: list[Body] = []
        """The rows of the session's history from this run, without the user's row."""
        self._behaviour = behaviour
        self._options = options
        self.row = row
        self._history = history
        self._hooks = hooks
        self._output_tokens = 0
        self._attempt = 0

    async def play(self) -> None:
        """Run until the end. Cancelled by an abort or by the end of the gateway."""
        self.frames.prepared()
        delays: Iterator[float] | None = None
        empties = 0
        while self.state == "open":
            self._attempt += 1
            self.frames.begun()
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
                    self.frames.attempt_failed(failure)
                    self.frames.retrying(failure, self._attempt, round(delay_s * 1e3 / self._options.speed))
                if delay_s is None:
                    self.settle("error")
                    return
                await self._wait(delay_s)
                if not self.frames.chat_closed:
                    self.frames.again()
            except EmptyReplyError:
                empties += 1
                limit = self._options.release.empty_retries
                if limit is not None and empties <= limit:
                    self.frames.asked_again()
                    continue
                self.frames.empty()
                self.settle("ok" if limit is None else "error")
            else:
                await self._hooks.on_reached("before-end")
                self.frames.ended()
                self.settle("ok")

    def settle(self, state: RunState) -> None:
        """Set the final state; later calls change nothing."""
        if self.state == "open":
            self.state = self.row["state"] = state
            self.over.set()

    async def _fail(self, failure: RunFailure) -> None:
        self.frames.attempt_failed(failure)
        self.frames.failed(failure)
        self.rows.append({"role": "assistant", "content": [], "stopReason": "error", "errorMessage": failure.detail})
        self.frames.chat_closed = self._options.silent_retries

    def _failure(self, failed: ProviderError) -> RunFailure:
        if failed.reason == "http":
            return RunFailure(REFUSED.format(detail=failed.detail), "server_error", failed.detail)
        return RunFailure(STREAM_BROKE, "timeout", failed.detail, "timeout")

    async def _turns(self) -> None:
        """Model calls until the answer is complete. Raises ProviderError and EmptyReplyError."""
        messages: list[Body] = [{"role": "system", "content": SYSTEM}, *self._history]
        messages.append({"role": "user", "content": self.message.prompt})
        for _ in range(CALLS_LIMIT):
            self.frames.calling()
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
                self._hooks.on_steered(message)
                messages.append({"role": "user", "content": message.prompt})

    async def _reply(self, messages: list[Body]) -> Reply:
        self.row["provider_requests"] += 1
        fault = "" if self._behaviour.once and self._attempt > 1 else self._behaviour.provider_fault
        body: Body = {"model": self._options.model, "messages": messages, "stream": True, "tools": TOOLS}
        body["stream_options"] = {"include_usage": True}
        if self._behaviour.tool_choice and messages[-1]["role"] != "tool":
            body["tool_choice"] = self._behaviour.tool_choice
        reply = Reply()
        try:
            pieces = self._hooks.ask(body, fault)
            async for piece in buffered(pieces) if self._behaviour.buffered else pieces:
                first = isinstance(piece, Text) and not self.frames.segment
                self._take(piece, reply)
                if first:
                    await self._hooks.on_reached("first-text")
        except ProviderError as failed:
            if failed.reason != "truncated" or not self._options.release.accepts_truncated:
                raise
        return reply

    def _take(self, piece: Piece, reply: Reply) -> None:
        match piece:
            case Text():
                reply.text += piece.text
                self.frames.text(piece.text)
            case ToolPart():
                reply.add(piece)
                self.frames.tool_asked()
            case Finished():
                self._output_tokens += piece.output_tokens
                self.frames.answered(self._output_tokens)

    def _keep(self, reply: Reply) -> None:
        content: list[Body] = [{"type": "text", "text": reply.text}] if reply.text else []
        for call in reply.tools.values():
            content.append({"type": "toolCall", "id": call.id, "name": call.name, "arguments": call.args})
        reason = "toolUse" if reply.tools else "stop"
        self.rows.append({"role": "assistant", "content": content, "stopReason": reason})

    async def _use(self, call: ExecCall) -> Body:
        self.frames.tool_started(call)
        outcome = pretend(call)
        await self._wait(outcome.duration_s)
        self.frames.tool_ended(call, outcome)
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
