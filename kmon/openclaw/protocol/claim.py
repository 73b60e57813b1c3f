"""What the gateway's own terminal client shows: its activity machine, fed with the same frames.

The client knows one active run, and believes of the session whatever that run's events say last. Everything that is
wrong with its status line follows from that: a follow-up makes another run the active one, and its empty ``final``
says idle while the first run goes on.

:class:`Claim` follows one session over one connection. The client's own acts are requests on that connection
(``chat.send`` is Enter, ``chat.abort`` is Esc). A passive watcher sees no requests; with ``inferred`` it assumes of
every run that begins, and of every message that is queued, that the client of that session sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.json_access import members, text
from kmon.openclaw.protocol.claim_rules import WATCHDOG_LINE, ClaimRules, rules_of
from kmon.openclaw.protocol.deltas import message_text
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, Request, Response
from kmon.stream.claim import Claim

S = 1_000_000_000
BUSY = frozenset({"sending", "waiting", "streaming", "running", "finishing context", "starting up"})
CONNECTED_NS = 4 * S
DISCONNECTED_NS = 5 * S
RUNS_LIMIT = 200
"""How many ended runs the client remembers; it lets old ones go too."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The status line at a moment. Its text is as the client draws it, without the spinner."""

    claim: Claim
    busy_s: int | None = None
    """How long the activity has been shown, whole seconds; None for an idle line."""
    notice: str = ""
    """The last line of the log the client wrote on its own account."""

    @property
    def busy(self) -> bool:
        return self.claim.busy

    def __str__(self) -> str:
        return self.claim.line(self.busy_s or 0)


class ClientStatus:
    """The activity machine of one client in one session."""

    def __init__(self, session: str, *, rules: ClaimRules | None = None, inferred: bool = False) -> None:
        self.session = session
        self.activity = "idle"
        self.notice = ""
        self.active = ""
        """The run whose events move the status line."""
        self._rules = rules
        self._inferred = inferred
        self._pending = ""
        self._queued = False
        self._since_ns = 0
        self._connection, self._connection_ns = "connecting", 0
        self._error_due_ns: int | None = None
        self._streamed_ns: int | None = None
        self._watched = False
        self._ended: dict[str, None] = {}
        self._asked: dict[str, Request] = {}

    @property
    def rules(self) -> ClaimRules:
        return self._rules or rules_of(4)

    def shown(self, now_ns: int) -> Shown:
        """The status line at ``now_ns``."""
        self._advance(now_ns)
        busy = self.activity in BUSY
        return Shown(
            Claim(self.activity, self._connected(now_ns), busy),
            max(0, now_ns - self._since_ns) // S if busy else None,
            self.notice,
        )

    def feed(self, t_ns: int, frame: Frame, direction: str = "in") -> None:
        """Fold one frame in; never raises, whatever its payload holds."""
        self._advance(t_ns)
        match frame:
            case Request() if direction == "out":
                self._on_request(t_ns, frame)
            case Response() if direction == "in":
                self._on_response(t_ns, frame)
            case GatewayEvent() if direction == "in":
                if frame.event == "chat":
                    self._on_chat(t_ns, frame.payload)
                elif frame.event == "agent":
                    self._on_agent(t_ns, frame.payload)

    def disconnected(self, t_ns: int, reason: str) -> None:
        """The socket closed: the client forgets what it was doing."""
        self._set(t_ns, "idle")
        self.active = self._pending = ""
        self._connection, self._connection_ns = f"gateway disconnected: {reason}", t_ns

    # -- the client's own acts -------------------------------------------------------------------------------------

    def _on_request(self, t_ns: int, frame: Request) -> None:
        here = text(frame.params.get("sessionKey")) == self.session
        if frame.method == "connect":
            self._connection, self._connection_ns = "connecting", t_ns
        elif frame.method != "sessions.subscribe" and not (frame.method in ("chat.send", "chat.abort") and here):
            return
        self._asked[frame.id] = frame
        while len(self._asked) > RUNS_LIMIT:
            del self._asked[next(iter(self._asked))]
        if frame.method == "chat.send":
            self._typed(t_ns, text(frame.params.get("idempotencyKey")))
        elif frame.method == "sessions.subscribe" and self.rules.starting_up:
            self._set(t_ns, "starting up")
            self._connection = "subscribing to session events"

    def _typed(self, t_ns: int, run: str) -> None:
        if self.rules.typed_is_active:
            self.active = run
        else:
            self._pending = run
        self._set(t_ns, "sending")

    def _on_response(self, t_ns: int, frame: Response) -> None:
        asked = self._asked.pop(frame.id, None)
        said = members(frame.payload)
        if said.get("type") == "hello-ok":
            protocol = said.get("protocol")
            self._rules = self._rules or rules_of(protocol if isinstance(protocol, int) else 4)
            self._connection, self._connection_ns = "gateway connected", t_ns
            return
        if asked is None:
            return
        if asked.method == "sessions.subscribe" and self.activity == "starting up":
            self._connection, self._connection_ns = "gateway connected", t_ns
            self._set(t_ns, "idle")
        elif asked.method == "chat.send":
            self._sent(t_ns, ok=frame.ok)
        elif asked.method == "chat.abort":
            self._set(t_ns, "aborted" if frame.ok else "abort failed")

    def _sent(self, t_ns: int, *, ok: bool) -> None:
        """The gateway took the message, or did not. 2026.2 shows ``waiting`` even over what came in between."""
        if not ok:
            self.active = self._pending = ""
            self._set(t_ns, "error")
        elif self.rules.typed_is_active or self.activity == "sending":
            self._set(t_ns, "waiting")

    # -- what the gateway tells ------------------------------------------------------------------------------------

    def _on_chat(self, t_ns: int, said: dict[str, Any]) -> None:
        run, state = text(said.get("runId")), text(said.get("state"))
        if not run or text(said.get("sessionKey")) != self.session:
            return
        if state == "status":  # moves nothing, but tells a watcher of a message that was sent
            if self._inferred and not self.active and run != self._pending and run not in self._ended:
                self._typed(t_ns, run)
                self._sent(t_ns, ok=True)
            return
        if run in self._ended and state in ("delta", "final"):
            return
        known = run in (self.active, self._pending)
        empty = state == "final" and not message_text(said.get("message"))
        if self._inferred and empty and not known and self.active:
            self._queued = True
            self._typed(t_ns, run)
            self._sent(t_ns, ok=True)
        if not self.active and (self.rules.typed_is_active or state == "delta"):
            self.active = run
        mine = run in (self.active, self._pending)
        if state == "delta":
            if mine and message_text(said.get("message")):
                self._adopt(run)
                self._set(t_ns, "streaming")
                self._streamed_ns, self._watched = t_ns, False
        elif state in ("final", "aborted", "error"):
            self._end(t_ns, run, state, said, mine=mine)

    def _end(self, t_ns: int, run: str, state: str, said: dict[str, Any], *, mine: bool) -> None:
        self._ended[run] = None
        while len(self._ended) > RUNS_LIMIT:
            del self._ended[next(iter(self._ended))]
        failed = members(said.get("message")).get("stopReason") == "error"
        if run == self.active:
            self.active, self._streamed_ns = "", None
        if run == self._pending:
            self._pending = ""
        if not mine:
            return
        self._set(t_ns, {"final": "error" if failed else "idle"}.get(state, state))
        if state == "aborted":
            self.notice = "run aborted"
        elif state == "error":
            self.notice = f"run error: {bounded(text(said.get('errorMessage')), NAME_LIMIT_CHARS)}"

    def _on_agent(self, t_ns: int, said: dict[str, Any]) -> None:
        run, told = text(said.get("runId")), members(said.get("data"))
        phase = told.get("phase")
        starts = said.get("stream") == "lifecycle" and phase == "start"
        here = text(said.get("sessionKey")) == self.session
        inferred = self._inferred and not self.active and not self._queued
        if starts and here and run:
            self._queued = False  # what waited was not typed now: its run begins unknown to the client
            if run == self._pending or inferred:
                self._adopt(run)
        if not run or run != self.active:
            return
        self._error_due_ns = None
        if self._streamed_ns is not None:
            self._streamed_ns = t_ns
        if said.get("stream") != "lifecycle":
            return
        if phase == "start":
            self._set(t_ns, "running")
        elif phase == "finishing" and self.rules.finishing:
            self._set(t_ns, "finishing context")
        elif phase == "end":
            self._set(t_ns, "idle")
        elif phase == "error":
            self._error_due_ns = t_ns + self.rules.error_grace_ns
            self._advance(t_ns)

    def _adopt(self, run: str) -> None:
        self.active = run
        if run == self._pending:
            self._pending = ""

    # -- time ------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        """Let what was due by ``now_ns`` happen."""
        if self._error_due_ns is not None and now_ns >= self._error_due_ns:
            self._set(self._error_due_ns, "error")
        watchdog_ns = self.rules.watchdog_ns
        silent_since = self._streamed_ns
        if watchdog_ns is None or silent_since is None or self._watched or self.activity not in BUSY:
            return
        if now_ns - silent_since >= watchdog_ns:
            self.notice, self._watched = WATCHDOG_LINE, True

    def _set(self, t_ns: int, activity: str) -> None:
        """Show an activity. The client's clock begins again only when it changes."""
        self._error_due_ns = None
        if activity != self.activity:
            self.activity, self._since_ns = activity, t_ns

    def _connected(self, now_ns: int) -> str:
        shown_ns = now_ns - self._connection_ns
        if self._connection == "gateway connected" and shown_ns >= CONNECTED_NS:
            return "connected"
        if self._connection.startswith("gateway disconnected") and shown_ns >= DISCONNECTED_NS:
            return "disconnected"
        return self._connection
