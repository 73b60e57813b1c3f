"""The frames of one run, as protocol 3 words them. Builds payloads; sending is the caller's.

The order and the members are those of the recordings. ``seq`` counts the agent events of the run; a chat event carries
the number of the agent event it goes with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from kmon.openclaw.simulated.tools import ToolCall, ToolOutcome

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


def message_member(text: str) -> dict[str, Any]:
    """The member of an ending that shows something; none for an empty one."""
    return {"message": assistant(text)} if text else {}


class Voice:
    """Protocol 3: few words. Protocol 4 says more in between; see ``voice4.py``."""

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
        self.chat("final", **message_member(shown))

    @property
    def final_text(self) -> str:
        return self.segment

    def aborted(self, reason: str) -> None:
        """Told before the abort request is answered."""
        self.seq += 1
        text = self.final_text
        self.chat("aborted", stopReason=reason, **message_member(text))

    def abort_settled(self) -> None:
        """Told after it."""
