"""The base of all attempts, whatever their transport: one request, its limits, and its end.

An attempt does not decide what follows. It feeds an :class:`AttemptRecorder`, which emits the events, and returns an
:class:`AttemptOutcome`. Cancelling its task closes the socket and ends the attempt as ``cancelled``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import httpcore
import httpx

from kmon.blame.adaptive_threshold import TargetGaps
from kmon.catalog.credential import Credential
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.dialect import FinishWords, ends_elsewhere
from kmon.dialects.registry import wire_format
from kmon.findings.content import RequestFacts
from kmon.findings.signature import Signature
from kmon.logs import log
from kmon.model import PromptMessage, Scenario, Target
from kmon.probe.limits import Limits, LimitWatch
from kmon.probe.recorder import AttemptId, AttemptOutcome, AttemptRecorder, fatal
from kmon.probe.request_secrets import own_keys
from kmon.probe.send import Shared
from kmon.stream import events as ev
from kmon.stream.timeline import Timeline
from kmon.transport.errors import ExchangeError, stream_error
from kmon.transport.phase import Phase
from kmon.transport.proxy import proxy_for, secrets, shown

_log = logging.getLogger(__name__)
FINISH_GRACE_S = 5.0
"""How long to wait after a finish reason for usage, late content and ``[DONE]``: as long as a silence is no stall by
default, since what comes before that is late, not missing."""
ERROR_GRACE_S = 2.0
"""The same after an error."""
ROUND_GRACE_S = 30.0
"""The same in a dialect where more output may follow: Gemini's code execution takes up to 30 s."""
DONE_GRACE_S = 0.5
"""How long to wait after the terminal event for the peer to close; servers linger."""


class Conversation(NamedTuple):
    """The scenario of a request and the messages sent with it."""

    scenario: Scenario
    messages: Sequence[PromptMessage]
    session: str = ""
    """The session at the server, if it keeps one; a follow-up continues it."""


class Attempt(ABC):
    """An attempt in progress. ``timeline`` and ``transcript`` may be read at any time (a nudge does)."""

    error_grace_s = ERROR_GRACE_S
    """How long to read on after an error in the stream."""

    def __init__(
        self,
        id: AttemptId,
        conversation: Conversation,
        *,
        target: Target,
        credential: Credential,
        limits: Limits,
        shared: Shared,
        emit: Callable[[ev.Event], None],
        target_gaps: TargetGaps | None = None,
    ) -> None:
        self.run, self.attempt, self.role = id.run, id.number, id.role
        scenario, messages, self.session = conversation
        self._target, self._credential, self._limits = target, credential, limits
        self._shared, self._emit = shared, emit
        self._scenario, self._messages = scenario, messages
        self.followed_up_ns: int | None = None
        """When a follow-up in the same session was last sent."""
        self.on_request_sent: Callable[[int], None] | None = None
        """Called with the stamp when the request was sent."""
        wire = wire_format(target.dialect)
        self._recorder = AttemptRecorder(
            id,
            request=RequestFacts(
                target.model,
                scenario.tools,
                prompt="\n".join(message.content for message in messages),
                wants_usage=target.stream_options,
                called=tuple((use.name, use.arguments) for message in messages for use in message.tool_calls),
                ends_elsewhere=ends_elsewhere(target.body),
                finish_words=FinishWords() if wire is None else wire.finish_words,
                end_event=target.end_event,
            ),
            secrets=(*credential.secrets, *own_keys(target)),
            stall_s=limits.stall_s,
            monitor=shared.monitor,
            emit=emit,
            target_gaps=target_gaps,
        )
        self._deadline = asyncio.timeout(None)
        self._limit_watch = LimitWatch(self.timeline, limits, self._give_up)
        self._lingered = False
        self._graced = False
        self._total_deadline_s = 0.0
        self.prepare()

    @property
    def timeline(self) -> Timeline:
        return self._recorder.timeline

    @property
    def transcript(self) -> Transcript:
        return self._recorder.transcript

    def redacted(self, text: str) -> str:
        """Text from the server on one line, cleaned, without the request's keys."""
        return self._recorder.sanitizer.redacted(text)

    async def go(self) -> AttemptOutcome:
        """Run the attempt to its end. Never raises because of the network or the provider."""
        url = self.url()
        proxy = proxy_for(url)
        self._recorder.sanitizer.learn(secrets(proxy))
        self._recorder.started(time.monotonic_ns(), url, shown(proxy))
        self._total_deadline_s = asyncio.get_running_loop().time() + self._limits.timeout_s
        error: StreamError | None = None
        state: ev.Ending
        try:
            async with asyncio.timeout(self._limits.timeout_s) as self._deadline:
                error = await self.exchange()
            state = self._recorder.judge(error)
        except TimeoutError:
            error = self.transcript.error
            state = self._recorder.judge(error) if self._settled else "done" if self.over() else "timed-out"
            self._lingered = self.timeline.t_done is not None
            if state == "timed-out":
                error = self._timeout()
        except asyncio.CancelledError:
            state, error = "cancelled", StreamError("cancelled", "cancelled by the user")
        except ExchangeError as exc:
            error, state = exc.error, "failed"
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpx.HTTPError) as exc:
            error = stream_error(exc)
            state = "done" if self.timeline.t_done is not None else "failed"
        except (OSError, httpcore.ProxyError, httpcore.UnsupportedProtocol, ValueError) as exc:
            if isinstance(exc, ValueError):  # caused by an unusual URL or header, or a bug
                _log.warning("attempt %d of run %s failed", self.attempt, self.run, exc_info=exc)
            error, state = stream_error(exc), "failed"
        except Exception as exc:  # an attempt that has started must emit its end
            _log.exception("attempt %d of run %s failed", self.attempt, self.run)
            error, state = StreamError("internal", log.failed("kmon itself failed in this attempt", exc)), "failed"
        finally:
            self._recorder.stalls.stop()
            self._limit_watch.stop()
        _log.debug("attempt %d of run %s ended as %s", self.attempt, self.run, state)
        return self._recorder.end(
            state, error, lingered=self._lingered, named=lambda found: self._named(state, error, found)
        )

    @property
    def target_name(self) -> str:
        return self._target.name

    @property
    def dialect(self) -> str:
        return self._target.dialect

    def join(self, first: Attempt) -> None:
        """This attempt is a nudge beside ``first``."""
        self.on_request_sent = first.followed_up

    def followed_up(self, t_ns: int) -> None:
        """A follow-up was sent beside this attempt."""
        self.followed_up_ns = t_ns

    def never_began(self) -> AttemptOutcome:
        """End an attempt that was cancelled before it could send anything."""
        self._recorder.started(self.timeline.t_start, self._target.base_url, None)
        return self._recorder.end("cancelled", StreamError("cancelled", "cancelled before it began"))

    # -- to be implemented per transport -------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self) -> None:
        """Build the request, before any clock runs."""

    @abstractmethod
    def url(self) -> str:
        """The URL of the request."""

    @abstractmethod
    async def exchange(self) -> StreamError | None:
        """Send the request and record the response. Returns the error in it, if any; raises network errors."""

    def over(self) -> bool:
        """Whether an attempt that reached its timeout counts as done."""
        return False

    def _named(self, state: ev.Ending, error: StreamError | None, found: Signature) -> Signature:
        """The signature, refined by what only the transport knows."""
        return found

    # -- shared by all transports --------------------------------------------------------------------------------------

    @property
    def _settled(self) -> bool:
        """Whether the outcome is known and only the rest of the stream is missing."""
        return self._recorder.finished or fatal(self.transcript.error)

    @property
    def _finish_grace_s(self) -> float:
        return ROUND_GRACE_S if self._recorder.request.finish_words.more_follows else FINISH_GRACE_S

    def _record(self, t_ns: int, delta: Delta) -> bool:
        """Fold one chunk in; returns whether it brought output."""
        progress = self._recorder.record(t_ns, delta)
        self._limit_watch.update()
        return progress

    def _on_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self._recorder.phase(phase, t_ns, detail)
        self._limit_watch.update()
        if phase == "request_sent" and self.on_request_sent is not None:
            self.on_request_sent(t_ns)

    def _shorten(self, *, progress: bool) -> None:
        """Once the outcome is known, limit the wait for the rest to a grace period that only progress renews."""
        if self.timeline.t_done is not None:
            grace_s = DONE_GRACE_S
        elif self._settled and (progress or not self._graced):
            grace_s, self._graced = self._finish_grace_s if self._recorder.finished else self.error_grace_s, True
        else:
            return
        self._deadline.reschedule(min(self._total_deadline_s, asyncio.get_running_loop().time() + grace_s))

    def _give_up(self) -> None:
        """A limit has passed: end the attempt now, as by its timeout."""
        if not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    def _timeout(self) -> StreamError:
        """The error of the limit that passed; ``code`` is its setting."""
        passed = self._limit_watch.passed
        if passed is not None:
            return StreamError("timeout", passed.sentence, code=passed.setting)
        return StreamError("timeout", f"no end within {self._limits.timeout_s:g} s", code="timeout_s")
