"""An attempt through a gateway: ``chat.send`` on a session, then the events of its runs until the answer is complete.

The chat events alone are not enough: an empty ``final`` is no answer (the message waits behind an open run, or was
steered into it), and after a chat ``error`` the gateway may call the model again. So the run is followed, and after it
the run that a queued message becomes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import httpcore

from kmon.catalog.credential import Credential
from kmon.dialects.bounds import NAME_LIMIT_CHARS
from kmon.dialects.delta import Delta, StreamError
from kmon.errors import UsageError
from kmon.findings.content import RequestFacts
from kmon.findings.signature import Signature
from kmon.findings.websocket import closed_signature, complete_answer_signature, held_delivery_signature
from kmon.model import SESSION_PREFIX
from kmon.openclaw import device_key
from kmon.openclaw.link import Link, LinkClosed, Received, Unreadable, WebSocketPing, open_link
from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.device import Device
from kmon.openclaw.protocol.frames import GatewayEvent, GatewayRequest, GatewayResponse
from kmon.openclaw.protocol.handshake import READ, WRITE, Access, is_hello
from kmon.openclaw.protocol.liveness import Gap
from kmon.openclaw.protocol.tracker import Change, Tracker
from kmon.probe.attempt import Attempt
from kmon.probe.send import may_be_sent
from kmon.stream import events as ev
from kmon.transport.errors import ExchangeError
from kmon.transport.phase import Phase

RETRY_GRACE_S = 12.0
"""How long a chat error may be followed by a silent retry: 2026.2 was seen to go on after 2 and 9 s."""
ABORT_WAIT_S = 2.0


def new_session() -> str:
    """A session key that no other client uses."""
    return f"{SESSION_PREFIX}{secrets.token_hex(4)}"


def access_of(credential: Credential, url: str) -> Access:
    """Token or password of a credential: a variable named ``...PASSWORD`` holds a password, any other a token.

    Raises :class:`NotSentError` for a gateway that the credential is not meant for.
    """
    may_be_sent(credential, url)
    for name, value in credential.by_env.items():
        return Access(password=value) if name.endswith("PASSWORD") else Access(token=value)
    return Access()


def own_device() -> Device:
    """This machine's device. Raises :class:`ExchangeError` with one sentence when its file cannot be used."""
    try:
        return device_key.own_device()
    except UsageError as error:
        raise ExchangeError(StreamError("device", str(error))) from None


class GatewayAttempt(Attempt):
    """One message to a gateway and its answer."""

    error_grace_s = RETRY_GRACE_S

    def prepare(self) -> None:
        self.session = self.session or new_session()
        self._key = secrets.token_hex(8)
        texts = [message.content for message in self._messages if message.role != "assistant"]
        self._text = texts[-1] if self.role == "nudge" else "\n\n".join(texts)
        self._recorder.request = RequestFacts("", prompt=self._text)  # the gateway chooses the model
        self.tracker = Tracker()
        self.followed = f"kmon-{self._key}"
        self._first = self.followed
        self.client_status = ClientStatus(self.session)
        """What the gateway's own client would show of the session; a nudge shares that of the attempt it joins."""
        self.frame_arrived = asyncio.Event()
        """Set by every frame; the reporter beside this attempt clears it."""
        self._joined = False
        self._retried = ""
        self._recorder.stalls.intermediary = "gateway"
        self._pongs = 0
        self._lost_events = 0

    def join(self, first: Attempt) -> None:
        super().join(first)
        if isinstance(first, GatewayAttempt):
            self.client_status, self._joined = first.client_status, True
            for run in first.tracker.open_runs(first.session):
                self.tracker.learn(run)

    def url(self) -> str:
        return self._target.base_url

    async def exchange(self) -> StreamError | None:
        async with open_link(
            self.url(),
            access=access_of(self._credential, self.url()),
            scopes=(READ, WRITE),
            device=own_device,
            ssl_context=self._shared.ssl_context,
            open_timeout_s=self._limits.connect_timeout_s,
            on_phase=self._on_link_phase,
            on_sampler=self._recorder.stalls.on_sampler,
        ) as link:
            sending = asyncio.create_task(self._send(link))
            try:
                async for t_ns, received in link.received():
                    self._receive(t_ns, received)
                    if self.timeline.t_done is not None:
                        break
                    if sending.done() and (error := sending.exception()) is not None:
                        raise error
            except asyncio.CancelledError:
                await self._abort(link)
                raise
            finally:
                sending.cancel()
                await asyncio.wait([sending])
        return self.transcript.error

    def _on_link_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        """Leave out the phases of the upgrade: the request is the ``chat.send`` after it."""
        if phase in ("dns", "connect", "tls"):
            self._on_phase(phase, t_ns, detail)

    async def _send(self, link: Link) -> None:
        params = {"sessionKey": self.session, "message": self._text, "idempotencyKey": self._first}
        limit_s = self._limits.timeout_s
        t_ns, answer = await link.request("chat.send", params, limit_s, lambda t: self._on_phase("request_sent", t, ""))
        if not answer.ok:
            error = answer.error
            why = f"{error.code}: {error.message}" if error is not None else "no reason"
            raise ExchangeError(
                StreamError("refused", f"the gateway refused chat.send ({why})", code=error.code if error else None)
            )
        self._on_phase("headers", t_ns, "")
        self._recorder.identified(t_ns, 200, {"run-id": self._first, "session-key": self.session})

    async def _abort(self, link: Link) -> None:
        """Ask the gateway to stop a run whose answer is not wanted any more."""
        if self.timeline.t_request_sent is None:
            return
        with contextlib.suppress(ExchangeError, httpcore.NetworkError, httpcore.TimeoutException):
            await link.request("chat.abort", {"sessionKey": self.session, "runId": self.followed}, ABORT_WAIT_S)

    # -- events --------------------------------------------------------------------------------------------------------

    def _receive(self, t_ns: int, received: Received) -> None:
        self.frame_arrived.set()
        match received:
            case LinkClosed():
                raise ExchangeError(received.error)
            case WebSocketPing():
                self._pongs += received.kind == "pong"
                self._record(t_ns, Delta(keepalive=True, chunk=False))
            case Gap():
                self._lost_events += received.lost
            case Unreadable():
                self._record(t_ns, Delta(error=received.error))
            case GatewayRequest():
                self.tracker.feed(t_ns, received, "out")
                self.client_status.feed(t_ns, received, "out")
            case GatewayEvent() | GatewayResponse():
                # a nudge shares the status: its events also reach the first attempt, which feeds them
                if not self._joined or (isinstance(received, GatewayResponse) and not is_hello(received)):
                    self.client_status.feed(t_ns, received)
                for change in self.tracker.feed(t_ns, received):
                    self._follow(t_ns, change)

    def _follow(self, t_ns: int, change: Change) -> None:
        run = change.run
        if run is None:
            if change.delta is not None:
                self._record(t_ns, change.delta)
            return
        if run.origin == "queue" and run.behind == self.followed and "dequeued" in change.kinds:
            self.followed = run.id  # the turn that the queued message became
        if run.id != self.followed:
            return
        if "retry" in change.kinds and self.transcript.error is not None:
            self._start_over(run.error)
        if "chat-empty" in change.kinds:
            if run.behind:  # no answer: the message waits behind that run, or is part of it
                if self.tracker.connection.protocol >= 4:
                    self.followed = run.behind
            elif not run.open and not run.silent_retry:
                self._record(t_ns, Delta(finish_reason="empty-final", done=True))
            return
        if change.delta is not None and "refused" not in change.kinds:
            self._shorten(progress=self._record(t_ns, change.delta))

    def _start_over(self, why: str) -> None:
        """The run began again after a chat error: discard its text and the error."""
        self._retried = self._recorder.sanitizer.redacted(why, NAME_LIMIT_CHARS) or "an error"
        self._recorder.start_over()
        self._graced = False
        self._deadline.reschedule(self._total_deadline_s)

    # -- signature ---------------------------------------------------------------------------------------------------

    def _named(self, state: ev.Ending, error: StreamError | None, found: Signature) -> Signature:
        per_connection = self.tracker.connection.protocol >= 4  # 2026.2 counts other clients' events: no proof of loss
        lost = self._lost_events if per_connection else 0
        named = closed_signature(error, self._pongs, found)
        if named is None and state == "done":
            named = held_delivery_signature(self.timeline, self.followed_up_ns, found) or complete_answer_signature(
                self._retried, lost, found
            )
        return found if named is None else named
