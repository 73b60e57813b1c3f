"""The frames of one run, as each release words them. Builds payloads; sending is the caller's.

The order and the members are those of the recordings. ``seq`` counts the agent events of the run; a chat event carries
the number of the agent event it goes with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from kmon.simulator.gateway.tools import ToolCall, ToolOutcome

PROVIDER, MODEL = "fake", "fake-1"


class Send(Protocol):
    """Where frames go. ``owner_only``: just to the connection that started the run, if it wants tool events."""

    def __call__(
        self, event: str, payload: dict[str, Any], *, owner_only: bool = False, droppable: bool = False
    ) -> None: ...


class Subject(Struct, frozen=True):
    """What a run is about."""

    run_id: str
    session_key: str
    session_id: str


class Failure(Struct, frozen=True):
    """Why a run fails, in the gateway's words."""

    text: str
    reason: str
    detail: str
    kind: str = ""


def now_ms() -> int:
    """The wall clock, which the gateway writes into its frames."""
    return time.time_ns() // 1_000_000


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now_ms()}


def _message(text: str) -> dict[str, Any]:
    """The member of an ending that shows something; none for an empty one."""
    return {"message": assistant(text)} if text else {}


class Voice:
    """Protocol 3: few words. Protocol 4 says more in between; see :class:`Voice4`."""

    def __init__(self, subject: Subject, send: Send, delta_due: Callable[[], bool]) -> None:
        self.subject = subject
        self.segment = ""
        """The text of the current model call, as shown."""
        self.told = ""
        """The text that chat events show."""
        self.silent = False
        """Whether the chat has been told an error, and the run goes on behind its back."""
        self.started_ms = 0
        self.seq = 0
        self._send = send
        self._delta_due = delta_due
        self._raw = ""

    # -- the two streams

    def agent(self, stream: str, payload_data: dict[str, Any], *, owner_only: bool = False) -> None:
        self.seq += 1
        self._agent(stream, payload_data, owner_only=owner_only)

    def _agent(self, stream: str, payload_data: dict[str, Any], *, owner_only: bool = False) -> None:
        payload: dict[str, Any] = {"runId": self.subject.run_id, "stream": stream, "data": payload_data}
        if not self.silent:  # a run the gateway has forgotten has no session any more
            payload["sessionKey"] = self.subject.session_key
        self._send("agent", {**payload, "seq": self.seq, "ts": now_ms()}, owner_only=owner_only)

    def chat(self, state: str, *, droppable: bool = False, **members: object) -> None:
        if self.silent:
            return
        head = {"runId": self.subject.run_id, "sessionKey": self.subject.session_key}
        self._send("chat", {**head, "seq": max(self.seq, 1), "state": state, **members}, droppable=droppable)

    # -- what happens

    def prepared(self) -> None:
        """The run has been taken up."""

    def begun(self) -> None:
        """An attempt begins."""
        if self.silent:
            gap = {"reason": "seq gap", "expected": 1, "received": self.seq + 1}
            self._send("agent", {"runId": self.subject.run_id, "stream": "error", "ts": now_ms(), "data": gap})
        self.started_ms = now_ms()
        self._raw = self.segment = self.told = ""
        self.agent("lifecycle", {"phase": "start", "startedAt": self.started_ms})

    def calling(self) -> None:
        """A model call begins."""
        self._raw = self.segment = ""

    def said(self, text: str) -> None:
        """A piece of text came."""
        self._raw += text
        shown = self._raw.rstrip()
        if (delta := shown[len(self.segment) :]) == "":
            return
        self.segment = shown
        self.agent("assistant", self._assistant(delta))
        if self._delta_due():
            self._delta()

    def _assistant(self, delta: str) -> dict[str, Any]:
        return {"text": self.segment, "delta": delta}

    def _delta(self) -> None:
        self.told = self.segment
        self.chat("delta", droppable=True, message=assistant(self.told))

    def tool_asked(self) -> None:
        """The model begins a tool call."""

    def answered(self, output_tokens: int) -> None:
        """A model call has ended well; ``output_tokens`` of the run so far."""

    def tool_started(self, call: ToolCall) -> None:
        data = {"phase": "start", "name": call.name, "toolCallId": call.id, "args": call.args}
        self.agent("tool", data, owner_only=True)

    def tool_ended(self, call: ToolCall, outcome: ToolOutcome) -> None:
        head = {"name": call.name, "toolCallId": call.id}
        self.agent("tool", {"phase": "update", **head}, owner_only=True)
        self.agent("tool", {"phase": "result", **head, "meta": call.meta, "isError": False}, owner_only=True)

    def attempt_failed(self, failure: Failure) -> None:
        """An attempt broke off; what follows is a retry or :meth:`failed`."""

    def retrying(self, failure: Failure, attempt: int, delay_ms: int) -> None:
        """A retry has been decided on."""

    def again(self) -> None:
        """The wait before the retry is over."""

    def asked_again(self) -> None:
        """An empty reply is asked for again."""

    def failed(self, failure: Failure) -> None:
        self.agent("lifecycle", {"phase": "error", "error": failure.detail, "endedAt": now_ms()})
        self.chat("error", errorMessage=failure.detail)

    def empty(self) -> None:
        """The reply was empty for good."""
        self.ended()

    def ended(self) -> None:
        self.agent("lifecycle", {"phase": "end", "endedAt": now_ms()})
        shown = self.final_text
        self.chat("final", **_message(shown))

    @property
    def final_text(self) -> str:
        return self.segment

    def aborted(self, reason: str) -> None:
        """Told before the abort request is answered."""
        self.seq += 1
        text = self.final_text
        self.chat("aborted", stopReason=reason, **_message(text))

    def abort_settled(self) -> None:
        """Told after it."""


class Voice4(Voice):
    """Protocol 4."""

    def __init__(self, subject: Subject, send: Send, delta_due: Callable[[], bool]) -> None:
        super().__init__(subject, send, delta_due)
        self._before = ""
        self._calls = 0
        self._preamble = False

    def _agent(self, stream: str, payload_data: dict[str, Any], *, owner_only: bool = False) -> None:
        head: dict[str, Any] = {"runId": self.subject.run_id}
        if not self.silent:
            head["sessionKey"] = self.subject.session_key
        if stream == "lifecycle":
            head["sessionId"] = self.subject.session_id
        tail = {"seq": self.seq, "ts": now_ms(), "isHeartbeat": False}
        payload = {**head, "agentId": "main", "stream": stream, "data": payload_data, **tail}
        self._send("agent", payload, owner_only=owner_only)

    def chat(self, state: str, *, droppable: bool = False, **members: object) -> None:
        if self.silent:
            return
        head = {"runId": self.subject.run_id, "sessionKey": self.subject.session_key, "agentId": "main"}
        self._send("chat", {**head, "seq": max(self.seq, 1), "state": state, **members}, droppable=droppable)

    def _status(self, phase: str) -> None:
        self.seq += 1
        self.chat("status", phase=phase)
        self._agent("run_status", {"phase": phase})

    def _model(self, *, known: bool = True) -> None:
        provider, model = (PROVIDER, MODEL) if known else (None, None)
        self.agent("lifecycle", {"phase": "model", "provider": provider, "model": model})

    def _finishing(self, state: str, **members: object) -> None:
        data = {"phase": "finishing", **members, "aborted": False, "livenessState": state, "endedAt": now_ms()}
        self.agent("lifecycle", data)

    def prepared(self) -> None:
        self._status("preparing_workspace")
        self._status("preparing_context")

    def begun(self) -> None:
        super().begun()
        self._before = ""
        self._status("starting_model")

    def calling(self) -> None:
        if self.segment:
            self._before = self.final_text
        super().calling()
        self._calls += 1
        self._preamble = False
        self._model()

    @property
    def final_text(self) -> str:
        return "\n\n".join(text for text in (self._before, self.segment) if text)

    def _item_id(self) -> str:
        return f"{self.subject.run_id[:32]}:{self._calls}"

    def _assistant(self, delta: str) -> dict[str, Any]:
        return {"text": self.segment, "delta": delta, "itemId": self._item_id()}

    def _delta(self) -> None:
        text = self.final_text
        increment, self.told = text[len(self.told) :], text
        self.chat("delta", droppable=True, deltaText=increment, message=assistant(text))

    def tool_asked(self) -> None:
        if self.segment and not self._preamble:
            self._preamble = True
            self._preamble_item("update")

    def _preamble_item(self, phase: str) -> None:
        data = {"kind": "preamble", "title": "Preamble", "phase": phase, "progressText": self.segment}
        self.agent("item", {**data, "itemId": f"commentary-{self._item_id()}"})

    def answered(self, output_tokens: int) -> None:
        self.agent("usage", {"outputTokens": output_tokens})
        if self._preamble:
            self._preamble_item("end")

    def _tool_item(self, call: ToolCall, phase: str, status: str) -> None:
        named = {"itemId": f"tool:{call.id}", "toolCallId": call.id, "name": call.name, "kind": "tool"}
        said = {"title": f"Exec {call.meta}", "status": status, "meta": call.meta}
        self.agent("item", {**named, "phase": phase, **said})

    def _output(self, call: ToolCall, phase: str, outcome: ToolOutcome, **members: object) -> None:
        named = {"itemId": f"command:{call.id}", "phase": phase, "title": f"command {call.meta}"}
        data = {**named, "toolCallId": call.id, "name": call.name, "output": outcome.output, **members}
        self.agent("command_output", data)

    def tool_started(self, call: ToolCall) -> None:
        self._tool_item(call, "start", "running")
        super().tool_started(call)

    def tool_ended(self, call: ToolCall, outcome: ToolOutcome) -> None:
        head = {"name": call.name, "toolCallId": call.id}
        content = {"content": [{"type": "text", "text": outcome.output}]}
        self.agent("tool", {"phase": "update", **head, "partialResult": content}, owner_only=True)
        self._tool_item(call, "update", "running")
        self._output(call, "delta", outcome, status="running")
        result = {"phase": "result", **head, "meta": call.meta, "isError": False, "result": content}
        self.agent("tool", result, owner_only=True)
        self._tool_item(call, "end", "completed")
        ended = {"status": "completed", "exitCode": 0, "durationMs": round(outcome.duration_s * 1e3)}
        self._output(call, "end", outcome, **ended)

    def attempt_failed(self, failure: Failure) -> None:
        self._finishing("blocked", error=failure.text, errorObservation=self._observed(failure))

    def _observed(self, failure: Failure) -> dict[str, Any]:
        kind = {"failoverReason": failure.reason, "providerRuntimeFailureKind": "timeout"}
        return {"provider": PROVIDER, "model": MODEL, **kind}

    def retrying(self, failure: Failure, attempt: int, delay_ms: int) -> None:
        self.seq += 1
        self.chat("status", phase="starting_model")
        message = f"Provider temporarily unavailable. Retrying in {max(1, round(delay_ms / 1e3))}s ({attempt}/8)."
        counts = {"retryAttempt": attempt, "maxRetries": 8, "attempt": attempt + 1, "maxAttempts": 9}
        told = {"phase": "retrying", "message": message, **counts, "delayMs": delay_ms, "reason": failure.reason}
        self._agent("run_status", told)

    def again(self) -> None:
        empty = {"itemId": self._item_id(), "text": "", "delta": "", "replace": True}
        self.agent("assistant", empty)
        if self.told:
            self.told = ""
            self.chat("delta", deltaText="", replace=True, message=assistant(""))
        self._status("preparing_context")

    def asked_again(self) -> None:
        self._finishing("working", stopReason="stop")
        self._status("preparing_context")

    def _chain_exhausted(self, failure: Failure) -> None:
        self._model(known=False)
        step = {"phase": "fallback_step", "fallbackStepType": "fallback_step", "fallbackStepFromModel": "fake/fake-1"}
        why = {
            "fallbackStepFromFailureReason": failure.reason,
            "fallbackStepFromFailureDetail": failure.detail,
            "fallbackStepChainPosition": 1,
            "fallbackStepFinalOutcome": "chain_exhausted",
        }
        self.agent("lifecycle", {**step, **why})

    def _error(self, state: str, text: str, **members: object) -> None:
        times = {"endedAt": now_ms(), "startedAt": self.started_ms}
        data = {"aborted": False, "livenessState": state, **members, "phase": "error", **times, "error": text}
        self.agent("lifecycle", {**data, "executionSettled": True})

    def failed(self, failure: Failure) -> None:
        self._chain_exhausted(failure)
        observed = self._observed(failure)
        self._error("blocked", failure.text, errorObservation=observed)
        kind: dict[str, Any] = {"errorKind": failure.kind} if failure.kind else {}
        self.chat("error", errorMessage=failure.text, **kind, errorDetail=observed)
        if not self.silent:
            logs = "To view logs, run `openclaw logs --follow` in a terminal."
            self._send("chat", self._plain_error(f"⚠️ Agent failed before reply: {failure.text}\n{logs}"))

    def _plain_error(self, text: str) -> dict[str, Any]:
        """The second error event of a failed run, which has no agent and begins counting anew."""
        head = {"runId": self.subject.run_id, "sessionKey": self.subject.session_key}
        return {**head, "seq": 1, "state": "error", "errorMessage": text}

    def empty(self) -> None:
        text = "⚠️ Agent couldn't generate a response. Please try again."
        self._finishing("working", stopReason="stop")
        self._chain_exhausted(Failure(text, "format", text))
        self._error("abandoned", text, stopReason="stop", terminalReply={"disposition": "empty"})
        self.chat("aborted", stopReason="stop")
        self._send("chat", self._plain_error(text))

    def ended(self) -> None:
        self._finishing("working", stopReason="stop")
        self._model(known=False)
        text = self.final_text
        reply = {"disposition": "visible", "text": text} if text else {"disposition": "empty"}
        ending = {"stopReason": "stop", "aborted": False, "livenessState": "working", "phase": "end"}
        times = {"endedAt": now_ms(), "startedAt": self.started_ms}
        self.agent("lifecycle", {**ending, **times, "terminalReply": reply, "executionSettled": True})
        self.chat("final", stopReason="stop", **_message(text))

    def aborted(self, reason: str) -> None:
        super().aborted(reason)
        ending = {"phase": "end", "status": "cancelled", "aborted": True, "stopReason": reason}
        self._agent("lifecycle", {**ending, "startedAt": self.started_ms, "endedAt": now_ms()})
        self._model()

    def abort_settled(self) -> None:
        self._model(known=False)
        times = {"endedAt": now_ms(), "startedAt": self.started_ms}
        told = {"phase": "error", **times, "error": "This operation was aborted", "aborted": True}
        self.agent("lifecycle", {**told, "stopReason": "aborted", "executionSettled": True})
