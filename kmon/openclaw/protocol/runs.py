"""Follows every run of every session through the frames of one connection. Sans-IO: stamps come in with the frames.

The agent's events are the primary source of text: they come first, none is throttled, and after a silent retry they
alone come. Chat events repeat them and are evidence of what a chat program was told; where no agent event spoke
before them (an answer made without a model, frames that were dropped) their text counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import Delta
from kmon.dialects.json_access import items, members, text
from kmon.openclaw.protocol import deltas
from kmon.openclaw.protocol.agent_events import on_agent
from kmon.openclaw.protocol.chat_events import on_chat
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, Request, Response
from kmon.openclaw.protocol.pulse import Pulse
from kmon.openclaw.protocol.run import GatewayRun

Direction = Literal["in", "out"]
RUNS_LIMIT = 500
REQUESTS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Change:
    """What one frame changed. ``what`` lists it in words; ``run`` is None for what concerns the connection alone.

    Words of a run: ``sent acked new started retry model tool text replaced usage status finishing ended
    chat-final chat-empty chat-aborted chat-error queued dequeued``. Words of the connection: ``hello tick health
    shutdown gap refused life``.
    """

    what: tuple[str, ...]
    run: GatewayRun | None = None
    delta: Delta | None = None


@dataclass(slots=True)
class Session:
    """The runs of one session: which are open, and what waits behind them."""

    key: str
    queue: list[str] = field(default_factory=list)
    """Ids of messages that were taken while a run was open, oldest first."""


class Tracker:
    """The run tree of one connection."""

    def __init__(self) -> None:
        self.runs: dict[str, GatewayRun] = {}
        self.sessions: dict[str, Session] = {}
        self.pulse = Pulse()
        self._asked: dict[str, Request] = {}

    def feed(self, t_ns: int, frame: Frame, direction: Direction = "in") -> list[Change]:
        """Fold one frame in; never raises, whatever its payload holds."""
        match frame:
            case Request() if direction == "out":
                return self._on_request(t_ns, frame)
            case Response() if direction == "in":
                return self._on_response(t_ns, frame)
            case GatewayEvent() if direction == "in":
                return self._on_event(t_ns, frame)
            case _:
                return []

    def of(self, session: str) -> list[GatewayRun]:
        """The runs of a session, oldest first."""
        return [run for run in self.runs.values() if run.session == session]

    def open_runs(self, session: str | None = None) -> list[GatewayRun]:
        """Runs that are going on, of one session or of all."""
        return [run for run in self.runs.values() if run.open and session in (None, run.session)]

    def learn(self, run: GatewayRun) -> None:
        """Take in a run that goes on and was followed over another connection: what waits behind it is no answer."""
        began_ns = run.t_started_ns or run.t_first_ns
        known, _ = self._run(began_ns, run.id, run.session, origin="other")
        known.t_started_ns, known.lifecycle = began_ns, run.lifecycle

    # -- requests and their answers --------------------------------------------------------------------------------

    def _on_request(self, t_ns: int, frame: Request) -> list[Change]:
        self._asked[bounded(frame.id, NAME_LIMIT_CHARS)] = frame
        while len(self._asked) > REQUESTS_LIMIT:
            del self._asked[next(iter(self._asked))]
        key = text(frame.params.get("idempotencyKey"))
        if frame.method != "chat.send" or not key:
            return []
        run, new = self._run(t_ns, key, text(frame.params.get("sessionKey")), origin="sent")
        run.origin = "sent"
        return [Change(("sent", "new") if new else ("sent",), run)]

    def _on_response(self, t_ns: int, frame: Response) -> list[Change]:
        asked = self._asked.pop(bounded(frame.id, NAME_LIMIT_CHARS), None)
        said = members(frame.payload)
        if said.get("type") == "hello-ok":
            self.pulse.on_hello(t_ns, said)
            return [Change(("hello",))]
        self.pulse.t_heard_ns = t_ns
        if asked is None or asked.method != "chat.send":
            return []
        run = self.runs.get(bounded(text(asked.params.get("idempotencyKey")), NAME_LIMIT_CHARS))
        if run is None:
            return []
        run.t_last_ns = t_ns
        if not frame.ok:
            run.error = frame.error.message if frame.error else "refused"
            run.error_kind = frame.error.code if frame.error else None
            run.t_ended_ns = t_ns
            return [Change(("refused",), run, deltas.failed(run, frame))]
        return [Change(("acked",), run)]

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_event(self, t_ns: int, frame: GatewayEvent) -> list[Change]:
        found = [Change(("gap",))] if self.pulse.on_event(t_ns, frame) else []
        if frame.event not in ("agent", "chat"):
            word = frame.event if frame.event in ("tick", "health", "shutdown") else "life"
            return [*found, Change((word,), None, deltas.life(frame))]
        said = frame.payload
        run_id = text(said.get("runId"))
        if not run_id:
            return found
        run, new = self._run(t_ns, run_id, text(said.get("sessionKey")), origin="other")
        was_open = run.open
        run.t_last_ns = t_ns
        words = [*(["new"] if new else []), *self._born(t_ns, run, said, frame.event, new=new)]
        step = on_agent if frame.event == "agent" else on_chat
        more, delta = step(run, t_ns, frame, said)
        words += more
        if "chat-empty" in words and not run.begun:
            words += self._queued(t_ns, run)
        if was_open and not run.open and self._steered(t_ns, run):
            words.append("dequeued")
        return [*found, Change(tuple(words), run, delta)]

    def _born(self, t_ns: int, run: GatewayRun, said: dict[str, Any], event: str, *, new: bool) -> Iterator[str]:
        """A run nobody sent, that begins where messages wait, is the turn they were queued for."""
        queue = self._session(run.session).queue if run.session else []
        if not (event == "agent" and members(said.get("data")).get("phase") == "start" and queue):
            return
        if new and run.origin != "sent":
            run.origin, run.behind = "queue", queue[-1]
            self._leave(t_ns, queue, list(queue))
            yield "dequeued"
        elif run.id in queue:
            queue.remove(run.id)
            yield "dequeued"

    def _queued(self, t_ns: int, run: GatewayRun) -> list[str]:
        """A chat that ends before its run began: the message waits behind the open run, or came to nothing."""
        ahead = next((one for one in self.open_runs(run.session) if one is not run), None)
        if ahead is None:
            run.t_ended_ns = t_ns
            return []
        run.behind = ahead.id
        self._session(run.session).queue.append(run.id)
        return ["queued"]

    def _steered(self, t_ns: int, run: GatewayRun) -> bool:
        """Protocol 4 ends a steered message's chat when the open run consumes it: when that ends, nothing waits."""
        queue = self._session(run.session).queue
        if self.pulse.protocol < 4:
            return False
        gone = [one for one in queue if (waiting := self.runs.get(one)) is None or waiting.behind == run.id]
        self._leave(t_ns, queue, gone)
        return bool(gone)

    def _leave(self, t_ns: int, queue: list[str], gone: list[str]) -> None:
        for one in gone:
            queue.remove(one)
            if waiting := self.runs.get(one):
                waiting.t_ended_ns = t_ns

    def _session(self, key: str) -> Session:
        if key not in self.sessions and len(self.sessions) >= RUNS_LIMIT:
            del self.sessions[next(iter(self.sessions))]
        return self.sessions.setdefault(key, Session(key))

    def _run(
        self, t_ns: int, run_id: str, session: str, *, origin: Literal["sent", "other"]
    ) -> tuple[GatewayRun, bool]:
        run_id, session = bounded(run_id, NAME_LIMIT_CHARS), bounded(session, NAME_LIMIT_CHARS)
        run = self.runs.get(run_id)
        if run is not None:
            run.session = run.session or session  # a silent retry names no session
            return run, False
        if len(self.runs) >= RUNS_LIMIT:
            ended = next((one for one in self.runs.values() if not one.open), None)
            del self.runs[ended.id if ended else next(iter(self.runs))]
        run = self.runs[run_id] = GatewayRun(run_id, session, origin, t_ns, t_ns)
        return run, True


def in_flight(history: object) -> dict[str, Any]:
    """The run that ``chat.history`` says is going on (protocol 4), or an empty object."""
    return members(members(history).get("inFlightRun"))


def history_texts(history: object) -> list[str]:
    """The assistant's texts of a ``chat.history`` payload, oldest first: what was said, whatever the chat was told."""
    rows = items(members(history).get("messages"))
    return [deltas.message_text(row) for row in rows if members(row).get("role") == "assistant"]
