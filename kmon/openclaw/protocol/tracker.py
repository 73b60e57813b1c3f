"""Follows every run of every session through the frames of one connection. Without I/O: each frame has its stamp.

Text is taken from agent events first: they come before the chat events, none is held back, and after a silent retry
they come alone. Chat events repeat the text and are evidence of what a chat program got. Their text counts where no
agent event had text before (an answer made without a model, frames that were dropped).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.json_access import items, members, text
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, GatewayRequest, GatewayResponse, message_text
from kmon.openclaw.protocol.handshake import is_hello
from kmon.openclaw.protocol.liveness import ConnectionState
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.run_events import ChangeKind, failed_delta, on_agent, on_chat, raw

Direction = Literal["in", "out"]
RUNS_LIMIT = 500
REQUESTS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Change:
    """What one frame changed. ``run`` is None for what concerns the connection alone."""

    kinds: tuple[ChangeKind, ...]
    run: GatewayRun | None = None
    delta: Delta | None = None


@dataclass(slots=True)
class SessionQueue:
    """The messages of one session that wait for an open run."""

    key: str
    queue: list[str] = field(default_factory=list)
    """Their run ids, oldest first."""


class Tracker:
    """The runs and sessions that the frames of one connection name."""

    def __init__(self) -> None:
        self.runs: dict[str, GatewayRun] = {}
        self.sessions: dict[str, SessionQueue] = {}
        self.connection = ConnectionState()
        self._requests: dict[str, GatewayRequest] = {}

    def feed(self, t_ns: int, frame: Frame, direction: Direction = "in") -> list[Change]:
        """Fold one frame in. Never raises, whatever its payload holds."""
        match frame:
            case GatewayRequest() if direction == "out":
                return self._on_request(t_ns, frame)
            case GatewayResponse() if direction == "in":
                return self._on_response(t_ns, frame)
            case GatewayEvent() if direction == "in":
                return self._on_event(t_ns, frame)
            case _:
                return []

    def of(self, session: str) -> list[GatewayRun]:
        """The runs of a session, oldest first."""
        return [run for run in self.runs.values() if run.session == session]

    def open_runs(self, session: str | None = None) -> list[GatewayRun]:
        """Open runs, of one session or of all."""
        return [run for run in self.runs.values() if run.open and session in (None, run.session)]

    def learn(self, run: GatewayRun) -> None:
        """Add an open run of another connection: an empty final of a message queued behind it is no answer."""
        known, _ = self._run(run.begun_ns, run.id, run.session, origin="other")
        known.t_started_ns, known.lifecycle = run.begun_ns, run.lifecycle

    # -- requests and their answers --------------------------------------------------------------------------------

    def _on_request(self, t_ns: int, frame: GatewayRequest) -> list[Change]:
        self._requests[bounded(frame.id, NAME_LIMIT_CHARS)] = frame
        while len(self._requests) > REQUESTS_LIMIT:
            del self._requests[next(iter(self._requests))]
        key = text(frame.params.get("idempotencyKey"))
        if frame.method != "chat.send" or not key:
            return []
        run, new = self._run(t_ns, key, text(frame.params.get("sessionKey")), origin="sent")
        run.origin = "sent"
        return [Change(("sent", "new") if new else ("sent",), run)]

    def _on_response(self, t_ns: int, frame: GatewayResponse) -> list[Change]:
        request = self._requests.pop(bounded(frame.id, NAME_LIMIT_CHARS), None)
        if is_hello(frame):
            self.connection.on_hello(t_ns, members(frame.payload))
            return [Change(("hello",))]
        self.connection.t_frame_ns = t_ns
        if request is None or request.method != "chat.send":
            return []
        run = self.runs.get(bounded(text(request.params.get("idempotencyKey")), NAME_LIMIT_CHARS))
        if run is None:
            return []
        run.t_last_ns = t_ns
        if not frame.ok:
            run.error = frame.error.message if frame.error else "refused"
            run.error_kind = frame.error.code if frame.error else None
            run.t_ended_ns = t_ns
            return [Change(("refused",), run, failed_delta(run, frame))]
        return [Change(("acked",), run)]

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_event(self, t_ns: int, frame: GatewayEvent) -> list[Change]:
        self.connection.on_event(t_ns, frame.event)
        payload = frame.payload
        match frame.event:
            case "agent" | "chat":
                run_id = text(payload.get("runId"))
            case "tick" | "health" | "shutdown":
                return [Change((frame.event,), None, _keepalive(frame))]
            case _:
                return [Change(("other",), None, _keepalive(frame))]
        if not run_id:
            return []
        run, new = self._run(t_ns, run_id, text(payload.get("sessionKey")), origin="other")
        was_open = run.open
        run.t_last_ns = t_ns
        kinds: list[ChangeKind] = ["new"] if new else []
        kinds += self._begun_from_queue(t_ns, run, frame, new=new)
        more, delta = (on_agent if frame.event == "agent" else on_chat)(run, t_ns, frame)
        kinds += more
        if "chat-empty" in kinds and not run.begun and self._queued(t_ns, run):
            kinds.append("queued")
        if was_open and not run.open and self._steered(t_ns, run):
            kinds.append("dequeued")
        return [Change(tuple(kinds), run, delta)]

    def _begun_from_queue(
        self, t_ns: int, run: GatewayRun, frame: GatewayEvent, *, new: bool
    ) -> Iterator[Literal["dequeued"]]:
        """A run without a sender that begins while messages wait is the turn of those messages."""
        queue = self._session(run.session).queue if run.session else []
        if not (frame.event == "agent" and members(frame.payload.get("data")).get("phase") == "start" and queue):
            return
        if new and run.origin != "sent":
            run.origin, run.behind = "queue", queue[-1]
            self._leave(t_ns, queue, list(queue))
            yield "dequeued"
        elif run.id in queue:
            queue.remove(run.id)
            yield "dequeued"

    def _queued(self, t_ns: int, run: GatewayRun) -> bool:
        """A chat ended before its run began: whether the message waits behind an open run. Else the run ends."""
        ahead = next((one for one in self.open_runs(run.session) if one is not run), None)
        if ahead is None:
            run.t_ended_ns = t_ns
            return False
        run.behind = ahead.id
        self._session(run.session).queue.append(run.id)
        return True

    def _steered(self, t_ns: int, run: GatewayRun) -> bool:
        """Protocol 4 ends a steered message's chat when the open run consumes it: nothing waits after that run."""
        queue = self._session(run.session).queue
        if self.connection.protocol < 4:
            return False
        gone = [one for one in queue if (waiting := self.runs.get(one)) is None or waiting.behind == run.id]
        self._leave(t_ns, queue, gone)
        return bool(gone)

    def _leave(self, t_ns: int, queue: list[str], gone: list[str]) -> None:
        for one in gone:
            queue.remove(one)
            if waiting := self.runs.get(one):
                waiting.t_ended_ns = t_ns

    def _session(self, key: str) -> SessionQueue:
        if key not in self.sessions and len(self.sessions) >= RUNS_LIMIT:
            del self.sessions[next(iter(self.sessions))]
        return self.sessions.setdefault(key, SessionQueue(key))

    def _run(
        self, t_ns: int, run_id: str, session: str, *, origin: Literal["sent", "other"]
    ) -> tuple[GatewayRun, bool]:
        run_id, session = bounded(run_id, NAME_LIMIT_CHARS), bounded(session, NAME_LIMIT_CHARS)
        run = self.runs.get(run_id)
        if run is not None:
            run.session = run.session or session  # the events of a silent retry name no session
            return run, False
        if len(self.runs) >= RUNS_LIMIT:
            ended = next((one for one in self.runs.values() if not one.open), None)
            del self.runs[ended.id if ended else next(iter(self.runs))]
        run = self.runs[run_id] = GatewayRun(run_id, session, origin, t_ns, t_ns)
        return run, True


def _keepalive(frame: GatewayEvent) -> Delta:
    """An event of the connection that belongs to no run: tick, health, presence."""
    return Delta(keepalive=True, chunk=False, raw=raw(frame))


def in_flight(history: object) -> dict[str, Any]:
    """The open run in a ``chat.history`` payload (protocol 4), or an empty object."""
    return members(members(history).get("inFlightRun"))


def history_texts(history: object) -> list[str]:
    """The assistant's texts of a ``chat.history`` payload, oldest first."""
    rows = items(members(history).get("messages"))
    return [message_text(row) for row in rows if members(row).get("role") == "assistant"]
