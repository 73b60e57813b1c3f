"""What the gateway's own terminal client shows: its status line, derived from the same frames.

The client keeps one active run, and its line shows the state of that run for the whole session. Its wrong lines follow
from that: a follow-up becomes the active run, and its empty ``final`` shows idle while the first run is still open.

:class:`ClientStatus` follows one session over one connection. The client's own acts are requests on that connection
(``chat.send`` is Enter, ``chat.abort`` is Esc). A passive watcher sees no requests; with ``inferred`` it assumes of
every run that begins, and of every message that is queued, that the client of that session sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from kmon.dialects.bounds import NAME_LIMIT_CHARS, bounded
from kmon.dialects.json_access import members, text
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, GatewayRequest, GatewayResponse, message_text
from kmon.openclaw.protocol.handshake import is_hello
from kmon.stream.claim import Claim

S = 1_000_000_000
BUSY = frozenset({"sending", "waiting", "streaming", "running", "finishing context", "starting up"})
CONNECTED_NS = 4 * S
"""After this ``gateway connected`` becomes ``connected``."""
DISCONNECTED_NS = 5 * S
"""After this ``gateway disconnected: REASON`` becomes ``disconnected``."""
RUNS_LIMIT = 200
"""How many ended runs and open requests are remembered; the client drops old ones too."""
WATCHDOG_LINE = "This response is taking longer than expected. Still waiting for the current run."

Connection = Literal["connecting", "subscribing", "connected", "disconnected"]


class ClientRules(Struct, frozen=True):
    """How the status line of one release moves. Sources: the code of 2026.2.17, recorded screens of both releases."""

    release: str
    typed_is_active: bool
    """A message becomes the active run when it is typed (2026.2), or when the first event of its run comes (2026.9)."""
    starting_up: bool
    """Subscribes to session events after the handshake and shows it."""
    finishing: bool
    """Shows ``finishing context`` between the model's end and the run's."""
    error_grace_ns: int
    """How long a run's error is held back, since the gateway may try again."""
    watchdog_ns: int | None
    """After how long a silence of a streaming run the client shows :data:`WATCHDOG_LINE`."""


CLIENT_2026_2 = ClientRules(
    "2026.2", typed_is_active=True, starting_up=False, finishing=False, error_grace_ns=0, watchdog_ns=None
)
CLIENT_2026_9 = ClientRules(
    "2026.9", typed_is_active=False, starting_up=True, finishing=True, error_grace_ns=15 * S, watchdog_ns=30 * S
)


def rules_of(protocol: int) -> ClientRules:
    """The rules of the client that uses this protocol."""
    return CLIENT_2026_2 if protocol and protocol < 4 else CLIENT_2026_9


@dataclass(frozen=True, slots=True)
class Shown:
    """The status line at a moment. Its text is as the client draws it, without the spinner."""

    claim: Claim
    busy_s: int | None = None
    """How long the activity has been shown, whole seconds; None for an idle line."""
    notice: str = ""
    """The last line that the client itself wrote into its log."""

    @property
    def busy(self) -> bool:
        return self.claim.busy

    def __str__(self) -> str:
        return self.claim.line(self.busy_s or 0)


class ClientStatus:
    """The status line of one client in one session."""

    def __init__(self, session: str, *, rules: ClientRules | None = None, inferred: bool = False) -> None:
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
        self._connection: Connection = "connecting"
        self._connection_ns = 0
        self._lost_reason = ""
        self._error_due_ns: int | None = None
        self._streamed_ns: int | None = None
        self._watchdog_shown = False
        self._ended: dict[str, None] = {}
        self._requests: dict[str, GatewayRequest] = {}

    @property
    def rules(self) -> ClientRules:
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
        """Fold one frame in. Never raises, whatever its payload holds."""
        self._advance(t_ns)
        match frame:
            case GatewayRequest() if direction == "out":
                self._on_request(t_ns, frame)
            case GatewayResponse() if direction == "in":
                self._on_response(t_ns, frame)
            case GatewayEvent() if direction == "in":
                if frame.event == "chat":
                    self._on_chat(t_ns, frame.payload)
                elif frame.event == "agent":
                    self._on_agent(t_ns, frame.payload)

    def disconnected(self, t_ns: int, reason: str) -> None:
        """The socket closed: the client drops its active run."""
        self._set(t_ns, "idle")
        self.active = self._pending = ""
        self._connect(t_ns, "disconnected")
        self._lost_reason = reason

    def _connect(self, t_ns: int, connection: Connection) -> None:
        self._connection, self._connection_ns = connection, t_ns

    # -- the client's own acts -------------------------------------------------------------------------------------

    def _on_request(self, t_ns: int, frame: GatewayRequest) -> None:
        here = text(frame.params.get("sessionKey")) == self.session
        if frame.method == "connect":
            self._connect(t_ns, "connecting")
        elif frame.method != "sessions.subscribe" and not (frame.method in ("chat.send", "chat.abort") and here):
            return
        self._requests[frame.id] = frame
        while len(self._requests) > RUNS_LIMIT:
            del self._requests[next(iter(self._requests))]
        if frame.method == "chat.send":
            self._typed(t_ns, text(frame.params.get("idempotencyKey")))
        elif frame.method == "sessions.subscribe" and self.rules.starting_up:
            self._set(t_ns, "starting up")
            self._connection = "subscribing"

    def _typed(self, t_ns: int, run: str) -> None:
        if self.rules.typed_is_active:
            self.active = run
        else:
            self._pending = run
        self._set(t_ns, "sending")

    def _on_response(self, t_ns: int, frame: GatewayResponse) -> None:
        request = self._requests.pop(frame.id, None)
        if is_hello(frame):
            protocol = members(frame.payload).get("protocol")
            self._rules = self._rules or rules_of(protocol if isinstance(protocol, int) else 4)
            self._connect(t_ns, "connected")
            return
        if request is None:
            return
        if request.method == "sessions.subscribe" and self.activity == "starting up":
            self._connect(t_ns, "connected")
            self._set(t_ns, "idle")
        elif request.method == "chat.send":
            self._sent(t_ns, ok=frame.ok)
        elif request.method == "chat.abort":
            self._set(t_ns, "aborted" if frame.ok else "abort failed")

    def _sent(self, t_ns: int, *, ok: bool) -> None:
        """The gateway accepted the message or refused it. 2026.2 shows ``waiting`` even if a later state was shown."""
        if not ok:
            self.active = self._pending = ""
            self._set(t_ns, "error")
        elif self.rules.typed_is_active or self.activity == "sending":
            self._set(t_ns, "waiting")

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_chat(self, t_ns: int, payload: dict[str, Any]) -> None:
        run, state = text(payload.get("runId")), text(payload.get("state"))
        if not run or text(payload.get("sessionKey")) != self.session:
            return
        if state == "status":  # changes no line, but shows a watcher that a message was sent
            if self._inferred and not self.active and run != self._pending and run not in self._ended:
                self._typed(t_ns, run)
                self._sent(t_ns, ok=True)
            return
        if run in self._ended and state in ("delta", "final"):
            return
        known = run in (self.active, self._pending)
        empty = state == "final" and not message_text(payload.get("message"))
        if self._inferred and empty and not known and self.active:
            self._queued = True
            self._typed(t_ns, run)
            self._sent(t_ns, ok=True)
        if not self.active and (self.rules.typed_is_active or state == "delta"):
            self.active = run
        mine = run in (self.active, self._pending)
        if state == "delta":
            if mine and message_text(payload.get("message")):
                self._adopt(run)
                self._set(t_ns, "streaming")
                self._streamed_ns, self._watchdog_shown = t_ns, False
        elif state in ("final", "aborted", "error"):
            self._end(t_ns, run, state, payload, mine=mine)

    def _end(self, t_ns: int, run: str, state: str, payload: dict[str, Any], *, mine: bool) -> None:
        self._ended[run] = None
        while len(self._ended) > RUNS_LIMIT:
            del self._ended[next(iter(self._ended))]
        failed = members(payload.get("message")).get("stopReason") == "error"
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
            self.notice = f"run error: {bounded(text(payload.get('errorMessage')), NAME_LIMIT_CHARS)}"

    def _on_agent(self, t_ns: int, payload: dict[str, Any]) -> None:
        run, data = text(payload.get("runId")), members(payload.get("data"))
        phase = data.get("phase")
        starts = payload.get("stream") == "lifecycle" and phase == "start"
        here = text(payload.get("sessionKey")) == self.session
        inferred = self._inferred and not self.active and not self._queued
        if starts and here and run:
            self._queued = False  # a queued message was not typed now: the client does not know its run
            if run == self._pending or inferred:
                self._adopt(run)
        if not run or run != self.active:
            return
        self._error_due_ns = None
        if self._streamed_ns is not None:
            self._streamed_ns = t_ns
        if payload.get("stream") != "lifecycle":
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
        """Apply what was due by ``now_ns``: a delayed error, the watchdog."""
        if self._error_due_ns is not None and now_ns >= self._error_due_ns:
            self._set(self._error_due_ns, "error")
        watchdog_ns = self.rules.watchdog_ns
        silent_since = self._streamed_ns
        if watchdog_ns is None or silent_since is None or self._watchdog_shown or self.activity not in BUSY:
            return
        if now_ns - silent_since >= watchdog_ns:
            self.notice, self._watchdog_shown = WATCHDOG_LINE, True

    def _set(self, t_ns: int, activity: str) -> None:
        """Show an activity. Its clock starts again only when it changes."""
        self._error_due_ns = None
        if activity != self.activity:
            self.activity, self._since_ns = activity, t_ns

    def _connected(self, now_ns: int) -> str:
        """The connection as the line shows it: first in a long form, after some seconds in a short one."""
        shown_ns = now_ns - self._connection_ns
        match self._connection:
            case "connected":
                return "connected" if shown_ns >= CONNECTED_NS else "gateway connected"
            case "disconnected":
                return "disconnected" if shown_ns >= DISCONNECTED_NS else f"gateway disconnected: {self._lost_reason}"
            case "subscribing":
                return "subscribing to session events"
            case "connecting":
                return "connecting"
