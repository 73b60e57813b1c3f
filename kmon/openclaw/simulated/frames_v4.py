"""The events of one simulated run in protocol 4. Order and members are those of the recordings of 2026.9.6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kmon.openclaw.simulated.frames_v3 import (
    MODEL,
    PROVIDER,
    RunFailure,
    RunFrames,
    RunIds,
    SendEvent,
    assistant,
    message_member,
    now_ms,
)
from kmon.openclaw.simulated.tools import ExecCall, ExecResult


class RunFramesV4(RunFrames):
    """Has events for every step: preparing, model calls, items of tools, retries, a second error after a failed run."""

    def __init__(self, ids: RunIds, send: SendEvent, delta_due: Callable[[], bool]) -> None:
        super().__init__(ids, send, delta_due)
        self._before = ""
        self._calls = 0
        self._preamble = False

    def _agent(self, stream: str, data: dict[str, Any], *, owner_only: bool = False) -> None:
        head: dict[str, Any] = {"runId": self.ids.run_id}
        if not self.chat_closed:
            head["sessionKey"] = self.ids.session_key
        if stream == "lifecycle":
            head["sessionId"] = self.ids.session_id
        tail = {"seq": self.seq, "ts": now_ms(), "isHeartbeat": False}
        payload = {**head, "agentId": "main", "stream": stream, "data": data, **tail}
        self._send("agent", payload, owner_only=owner_only)

    def chat(self, state: str, *, droppable: bool = False, **members: object) -> None:
        if self.chat_closed:
            return
        head = {"runId": self.ids.run_id, "sessionKey": self.ids.session_key, "agentId": "main"}
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
        return f"{self.ids.run_id[:32]}:{self._calls}"

    def _assistant(self, delta: str) -> dict[str, Any]:
        return {"text": self.segment, "delta": delta, "itemId": self._item_id()}

    def _delta(self) -> None:
        text = self.final_text
        increment, self.chat_text = text[len(self.chat_text) :], text
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

    def _tool_item(self, call: ExecCall, phase: str, status: str) -> None:
        named = {"itemId": f"tool:{call.id}", "toolCallId": call.id, "name": call.name, "kind": "tool"}
        state = {"title": f"Exec {call.meta}", "status": status, "meta": call.meta}
        self.agent("item", {**named, "phase": phase, **state})

    def _output(self, call: ExecCall, phase: str, result: ExecResult, **members: object) -> None:
        named = {"itemId": f"command:{call.id}", "phase": phase, "title": f"command {call.meta}"}
        data = {**named, "toolCallId": call.id, "name": call.name, "output": result.output, **members}
        self.agent("command_output", data)

    def tool_started(self, call: ExecCall) -> None:
        self._tool_item(call, "start", "running")
        super().tool_started(call)

    def tool_ended(self, call: ExecCall, result: ExecResult) -> None:
        head = {"name": call.name, "toolCallId": call.id}
        content = {"content": [{"type": "text", "text": result.output}]}
        self.agent("tool", {"phase": "update", **head, "partialResult": content}, owner_only=True)
        self._tool_item(call, "update", "running")
        self._output(call, "delta", result, status="running")
        ending = {"phase": "result", **head, "meta": call.meta, "isError": False, "result": content}
        self.agent("tool", ending, owner_only=True)
        self._tool_item(call, "end", "completed")
        ended = {"status": "completed", "exitCode": 0, "durationMs": round(result.duration_s * 1e3)}
        self._output(call, "end", result, **ended)

    def attempt_failed(self, failure: RunFailure) -> None:
        self._finishing("blocked", error=failure.text, errorObservation=self._observed(failure))

    def _observed(self, failure: RunFailure) -> dict[str, Any]:
        kind = {"failoverReason": failure.reason, "providerRuntimeFailureKind": "timeout"}
        return {"provider": PROVIDER, "model": MODEL, **kind}

    def retrying(self, failure: RunFailure, attempt: int, delay_ms: int) -> None:
        self.seq += 1
        self.chat("status", phase="starting_model")
        message = f"Provider temporarily unavailable. Retrying in {max(1, round(delay_ms / 1e3))}s ({attempt}/8)."
        counts = {"retryAttempt": attempt, "maxRetries": 8, "attempt": attempt + 1, "maxAttempts": 9}
        data = {"phase": "retrying", "message": message, **counts, "delayMs": delay_ms, "reason": failure.reason}
        self._agent("run_status", data)

    def again(self) -> None:
        empty = {"itemId": self._item_id(), "text": "", "delta": "", "replace": True}
        self.agent("assistant", empty)
        if self.chat_text:
            self.chat_text = ""
            self.chat("delta", deltaText="", replace=True, message=assistant(""))
        self._status("preparing_context")

    def asked_again(self) -> None:
        self._finishing("working", stopReason="stop")
        self._status("preparing_context")

    def _chain_exhausted(self, failure: RunFailure) -> None:
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

    def failed(self, failure: RunFailure) -> None:
        self._chain_exhausted(failure)
        observed = self._observed(failure)
        self._error("blocked", failure.text, errorObservation=observed)
        kind: dict[str, Any] = {"errorKind": failure.kind} if failure.kind else {}
        self.chat("error", errorMessage=failure.text, **kind, errorDetail=observed)
        if not self.chat_closed:
            logs = "To view logs, run `openclaw logs --follow` in a terminal."
            self._send("chat", self._plain_error(f"⚠️ Agent failed before reply: {failure.text}\n{logs}"))

    def _plain_error(self, text: str) -> dict[str, Any]:
        """The second error event of a failed run, without an agent id and with ``seq`` 1."""
        head = {"runId": self.ids.run_id, "sessionKey": self.ids.session_key}
        return {**head, "seq": 1, "state": "error", "errorMessage": text}

    def empty(self) -> None:
        text = "⚠️ Agent couldn't generate a response. Please try again."
        self._finishing("working", stopReason="stop")
        self._chain_exhausted(RunFailure(text, "format", text))
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
        self.chat("final", stopReason="stop", **message_member(text))

    def aborted(self, reason: str) -> None:
        super().aborted(reason)
        ending = {"phase": "end", "status": "cancelled", "aborted": True, "stopReason": reason}
        self._agent("lifecycle", {**ending, "startedAt": self.started_ms, "endedAt": now_ms()})
        self._model()

    def abort_settled(self) -> None:
        self._model(known=False)
        times = {"endedAt": now_ms(), "startedAt": self.started_ms}
        data = {"phase": "error", **times, "error": "This operation was aborted", "aborted": True}
        self.agent("lifecycle", {**data, "stopReason": "aborted", "executionSettled": True})
