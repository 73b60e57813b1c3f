"""The events of one simulated run in protocol 3. Order and members are those of the recordings of 2026.2.17.

``seq`` counts the agent events of the run; a chat event has the number of its agent event.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from kmon.openclaw.simulated.tools import ExecCall, ExecResult

PROVIDER, MODEL = "fake", "fake-1"


class SendEvent(Protocol):
    """Sends an event. ``owner_only``: only to the connection that started the run, if it wants tool events."""

    def __call__(
        self, event: str, payload: dict[str, Any], *, owner_only: bool = False, droppable: bool = False
    ) -> None: ...


class RunIds(Struct, frozen=True):
    """The ids that the events of a run carry."""

    run_id: str
    session_key: str
    session_id: str


class RunFailure(Struct, frozen=True):
    """Why a run fails, as the gateway words it."""

    text: str
    reason: str
    detail: str
    kind: str = ""


def now_ms() -> int:
    """The wall clock in ms, as the gateway's frames have it."""
    return time.time_ns() // 1_000_000


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": now_ms()}


def message_member(text: str) -> dict[str, Any]:
    """The ``message`` member of an ending; none for an empty answer."""
    return {"message": assistant(text)} if text else {}


class RunFrames:
    """Builds and sends the events of one run. Steps without an event in protocol 3 do nothing here."""

    def __init__(self, ids: RunIds, send: SendEvent, delta_due: Callable[[], bool]) -> None:
        self.ids = ids
        self.segment = ""
        """The text of the current model call so far."""
        self.chat_text = ""
        """The text of the latest chat event."""
        self.chat_closed = False
        """Whether the chat got an error and the run goes on: no further chat events."""
        self.started_ms = 0
        self.seq = 0
        self._send = send
        self._delta_due = delta_due
        self._raw = ""

    # -- the two kinds of event

    def agent(self, stream: str, data: dict[str, Any], *, owner_only: bool = False) -> None:
        self.seq += 1
        self._agent(stream, data, owner_only=owner_only)

    def _agent(self, stream: str, data: dict[str, Any], *, owner_only: bool = False) -> None:
        payload: dict[str, Any] = {"runId": self.ids.run_id, "stream": stream, "data": data}
        if not self.chat_closed:  # events after the chat's error have no session
            payload["sessionKey"] = self.ids.session_key
        self._send("agent", {**payload, "seq": self.seq, "ts": now_ms()}, owner_only=owner_only)

    def chat(self, state: str, *, droppable: bool = False, **members: object) -> None:
        if self.chat_closed:
            return
        head = {"runId": self.ids.run_id, "sessionKey": self.ids.session_key}
        self._send("chat", {**head, "seq": max(self.seq, 1), "state": state, **members}, droppable=droppable)

    # -- the steps of a run

    def prepared(self) -> None:
        """The run was accepted."""

    def begun(self) -> None:
        """An attempt, the first one or a retry, begins."""
        if self.chat_closed:
            gap = {"reason": "seq gap", "expected": 1, "received": self.seq + 1}
            self._send("agent", {"runId": self.ids.run_id, "stream": "error", "ts": now_ms(), "data": gap})
        self.started_ms = now_ms()
        self._raw = self.segment = self.chat_text = ""
        self.agent("lifecycle", {"phase": "start", "startedAt": self.started_ms})

    def calling(self) -> None:
        """A model call begins."""
        self._raw = self.segment = ""

    def text(self, text: str) -> None:
        """A piece of text arrived."""
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
        self.chat_text = self.segment
        self.chat("delta", droppable=True, message=assistant(self.chat_text))

    def tool_asked(self) -> None:
        """The model begins a tool call."""

    def answered(self, output_tokens: int) -> None:
        """A model call has ended; ``output_tokens`` are those of the run so far."""

    def tool_started(self, call: ExecCall) -> None:
        data = {"phase": "start", "name": call.name, "toolCallId": call.id, "args": call.args}
        self.agent("tool", data, owner_only=True)

    def tool_ended(self, call: ExecCall, result: ExecResult) -> None:
        head = {"name": call.name, "toolCallId": call.id}
        self.agent("tool", {"phase": "update", **head}, owner_only=True)
        self.agent("tool", {"phase": "result", **head, "meta": call.meta, "isError": False}, owner_only=True)

    def attempt_failed(self, failure: RunFailure) -> None:
        """An attempt failed; a retry or :meth:`failed` follows."""

    def retrying(self, failure: RunFailure, attempt: int, delay_ms: int) -> None:
        """A retry begins after ``delay_ms``."""

    def again(self) -> None:
        """The wait before the retry is over."""

    def asked_again(self) -> None:
        """The model is called again after an empty reply."""

    def failed(self, failure: RunFailure) -> None:
        self.agent("lifecycle", {"phase": "error", "error": failure.detail, "endedAt": now_ms()})
        self.chat("error", errorMessage=failure.detail)

    def empty(self) -> None:
        """The reply was empty after the last try."""
        self.ended()

    def ended(self) -> None:
        self.agent("lifecycle", {"phase": "end", "endedAt": now_ms()})
        shown = self.final_text
        self.chat("final", **message_member(shown))

    @property
    def final_text(self) -> str:
        return self.segment

    def aborted(self, reason: str) -> None:
        """The run was aborted; sent before the response to the abort request."""
        self.seq += 1
        text = self.final_text
        self.chat("aborted", stopReason=reason, **message_member(text))

    def abort_settled(self) -> None:
        """Sent after that response."""
