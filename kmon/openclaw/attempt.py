"""An attempt through a gateway: ``chat.send`` on a session, and what its runs say until the answer is complete.

The chat's word is not the truth: an empty ``final`` is no answer (the message waits behind an open run, or was steered
into it), and after a chat ``error`` the gateway may ask the model again in silence. So the run is followed, not the
chat, and to the run that a queued message becomes.
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
from kmon.findings.content import Asked
from kmon.findings.signature import Signature
from kmon.findings.websocket import closed_signature, held, told_otherwise
from kmon.model import SESSION_PREFIX
from kmon.openclaw import device_key
from kmon.openclaw.link import Ended, Heard, Life, Link, Unreadable, open_link
from kmon.openclaw.protocol.claim import ClientStatus
from kmon.openclaw.protocol.device import Device
from kmon.openclaw.protocol.frames import GatewayEvent, Request, Response
from kmon.openclaw.protocol.handshake import READ, WRITE, Access, is_hello
from kmon.openclaw.protocol.liveness import Gap
from kmon.openclaw.protocol.runs import Change, Tracker
from kmon.probe.attempt import Attempt
from kmon.probe.send import may_be_sent
from kmon.stream import events as ev
from kmon.transport.errors import ExchangeError
from kmon.transport.phase import Phase

RETRY_GRACE_S = 12.0
"""How long a chat error may be followed by a silent retry: 2026.2 was seen to go on after 2 and 9 s."""
ABORT_WAIT_S = 2.0


def new_session() -> str:
    """A session key nobody uses."""
    return f"{SESSION_PREFIX}{secrets.token_hex(4)}"


def access_of(credential: Credential, url: str) -> Access:
    """How the key that was found lets kmon in: a variable called so holds a password, any other a token.

    Raises :class:`NotSentError` for a gateway that it is not meant for.
    """
    may_be_sent(credential, url)
    for name, value in credential.by_env.items():
        return Access(password=value) if name.endswith("PASSWORD") else Access(token=value)
    return Access()


def own_device() -> Device:
    """This machine's device; a problem with its file ends the attempt in its one sentence."""
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
        spoken = [message.content for message in self._messages if message.role != "assistant"]
        self._text = spoken[-1] if self.role == "nudge" else "\n\n".join(spoken)
        self._account.asked = Asked("", prompt=self._text)  # which model answers is the gateway's business
        self.tracker = Tracker()
        self.followed = f"kmon-{self._key}"
        self._first = self.followed
        self.claim = ClientStatus(self.session)
        """What the gateway's own client would show of the session; a nudge shares that of the attempt it joins."""
        self.moved = asyncio.Event()
        """Set by every frame, for whoever mirrors this attempt; they clear it."""
        self._joined = False
        self._retried = ""
        self._account.stalls.between = "gateway"
        self._pongs = 0
        self._gaps: list[Gap] = []

    def join(self, first: Attempt) -> None:
        super().join(first)
        if isinstance(first, GatewayAttempt):
            self.claim, self._joined = first.claim, True
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
            ssl_context=self._network.ssl_context,
            open_timeout_s=self._limits.connect_timeout_s,
            on_phase=self._on_link_phase,
            on_line=self._account.stalls.on_line,
        ) as link:
            sending = asyncio.create_task(self._send(link))
            try:
                async for t_ns, heard in link.heard():
                    self._hear(t_ns, heard)
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
        """The upgrade is no request: what is asked for is sent later, and acknowledged."""
        if phase in ("dns", "connect", "tls"):
            self._on_phase(phase, t_ns, detail)

    async def _send(self, link: Link) -> None:
        params = {"sessionKey": self.session, "message": self._text, "idempotencyKey": self._first}
        limit_s = self._limits.timeout_s
        t_ns, answer = await link.asked("chat.send", params, limit_s, lambda t: self._on_phase("request_sent", t, ""))
        if not answer.ok:
            error = answer.error
            said = f"{error.code}: {error.message}" if error is not None else "no reason"
            raise ExchangeError(
                StreamError("refused", f"the gateway refused chat.send ({said})", code=error.code if error else None)
            )
        self._on_phase("headers", t_ns, "")
        self._account.identified(t_ns, 200, {"run-id": self._first, "session-key": self.session})

    async def _abort(self, link: Link) -> None:
        """Tell the gateway to stop working for nobody."""
        if self.timeline.t_request_sent is None:
            return
        with contextlib.suppress(ExchangeError, httpcore.NetworkError, httpcore.TimeoutException):
            await link.request("chat.abort", {"sessionKey": self.session, "runId": self.followed}, ABORT_WAIT_S)

    # -- hearing -------------------------------------------------------------------------------------------------------

    def _hear(self, t_ns: int, heard: Heard) -> None:
        self.moved.set()
        match heard:
            case Ended():
                raise ExchangeError(StreamError("websocket-closed", heard.sentence, code=str(heard.code)))
            case Life():
                self._pongs += heard.kind == "pong"
                self._take(t_ns, Delta(keepalive=True, chunk=False))
            case Gap():
                self._gaps.append(heard)
            case Unreadable():
                self._take(t_ns, Delta(error=heard.error))
            case Request():
                self.tracker.feed(t_ns, heard, "out")
                self.claim.feed(t_ns, heard, "out")
            case GatewayEvent() | Response():
                if not self._joined or (isinstance(heard, Response) and not is_hello(heard)):
                    self.claim.feed(t_ns, heard)  # of a nudge only what it sent: its events come to the first one, too
                for change in self.tracker.feed(t_ns, heard):
                    self._follow(t_ns, change)

    def _follow(self, t_ns: int, change: Change) -> None:
        run = change.run
        if run is None:
            if change.delta is not None:
                self._take(t_ns, change.delta)
            return
        if run.origin == "queue" and run.behind == self.followed and "dequeued" in change.what:
            self.followed = run.id  # the turn that our queued message became
        if run.id != self.followed:
            return
        if "retry" in change.what and self.transcript.error is not None:
            self._go_on(run.error)
        if "chat-empty" in change.what:
            if run.behind:  # not answered: it waits behind that run, or is part of it
                if self.tracker.pulse.protocol >= 4:
                    self.followed = run.behind
            elif not run.open and not run.silent_retry:
                self._take(t_ns, Delta(finish_reason="empty-final", done=True))
            return
        if change.delta is not None and "refused" not in change.what:
            self._shorten(progress=self._take(t_ns, change.delta))

    def _go_on(self, why: str) -> None:
        """After the chat was told of an error the run began anew: what was said and the error do not count."""
        self._retried = self._account.translate.redacted(why, NAME_LIMIT_CHARS) or "an error"
        self._account.start_over()
        self._graced = False
        self._deadline.reschedule(self._total_deadline_s)

    # -- its name ------------------------------------------------------------------------------------------------------

    def _named(self, state: ev.Ending, error: StreamError | None, found: Signature) -> Signature:
        per_connection = self.tracker.pulse.protocol >= 4  # 2026.2 counts what others got, too: a hole proves nothing
        lost = sum(gap.lost for gap in self._gaps) if per_connection else 0
        named = closed_signature(error, self._pongs, found)
        if named is None and state == "done":
            named = held(self.timeline, self.followed_up_ns, found) or told_otherwise(self._retried, lost, found)
        return found if named is None else named
