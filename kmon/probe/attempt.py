"""What every attempt is, whatever carries it: a request of ours, its limits, and how its end is told.

An attempt never decides what to do next; it keeps its account (``account.py``), which emits the events, and returns an
:class:`Outcome`. Cancelling its task closes the socket and ends the attempt as ``cancelled``.
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

from kmon.blame.adaptive_threshold import Habits
from kmon.catalog.credential import Credential
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError
from kmon.dialects.dialect import FinishWords
from kmon.dialects.registry import wire_format
from kmon.findings.content import Asked
from kmon.findings.signature import Signature
from kmon.logs import log
from kmon.model import Message, Scenario, Target
from kmon.probe.context import Shared
from kmon.probe.limit_watch import LimitWatch
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId, AttemptRecorder, Outcome, fatal
from kmon.probe.request_secrets import own_keys
from kmon.stream import events as ev
from kmon.stream.timeline import Timeline
from kmon.transport.connect import Phase
from kmon.transport.errors import ExchangeError, stream_error
from kmon.transport.proxy import proxy_for, secrets, shown

_log = logging.getLogger(__name__)
FINISH_GRACE_S = 2.0
"""How long to wait after a finish reason, or an error, for usage, late content and ``[DONE]``."""
DONE_GRACE_S = 0.5
"""How long to wait after the terminal event for the peer to close; servers linger."""


class Conversation(NamedTuple):
    """What is asked, and what was said before."""

    scenario: Scenario
    messages: Sequence[Message]
    session: str = ""
    """The conversation at the other end, where it keeps one: a follow-up goes on with it."""


class Attempt(ABC):
    """An attempt in progress. ``timeline`` and ``transcript`` may be read at any time (a nudge does)."""

    error_grace_s = FINISH_GRACE_S
    """How long an answer that ended in an error may still go on."""

    def __init__(
        self,
        id: AttemptId,
        conversation: Conversation,
        *,
        target: Target,
        credential: Credential,
        limits: Limits,
        network: Shared,
        emit: Callable[[ev.Event], None],
        habits: Habits | None = None,
    ) -> None:
        self.run, self.attempt, self.role = id.run, id.number, id.role
        scenario, messages, self.session = conversation
        self._target, self._credential, self._limits = target, credential, limits
        self._network, self._emit = network, emit
        self._scenario, self._messages = scenario, messages
        self.followed_up_ns: int | None = None
        """When a follow-up in the same session was last sent."""
        self.on_request_sent: Callable[[int], None] | None = None
        """Told when the request had left."""
        spoken = wire_format(target.dialect)
        self._account = AttemptRecorder(
            id,
            asked=Asked(
                target.model,
                scenario.tools,
                prompt="\n".join(message.content for message in messages),
                wants_usage=target.stream_options,
                called=tuple((use.name, use.arguments) for message in messages for use in message.tool_calls),
                finish_words=FinishWords() if spoken is None else spoken.finish_words,
            ),
            secrets=(*credential.secrets, *own_keys(target)),
            stall_s=limits.stall_s,
            machine=network.monitor,
            emit=emit,
            habits=habits,
        )
        self._deadline = asyncio.timeout(None)
        self._limit_watch = LimitWatch(self.timeline, limits, self._give_up)
        self._lingered = False
        self._graced = False
        self._total_deadline_s = 0.0
        self.prepare()

    @property
    def timeline(self) -> Timeline:
        return self._account.timeline

    @property
    def transcript(self) -> Transcript:
        return self._account.transcript

    def redacted(self, text: str) -> str:
        """``text``, which came from the other end, cleaned and without the keys it was asked with."""
        return self._account.translate.redacted(text)

    async def go(self) -> Outcome:
        """Run the attempt to its end. Never raises for what the network or the provider does."""
        url = self.url()
        proxy = proxy_for(url)
        self._account.translate.learn(secrets(proxy))
        self._account.started(time.monotonic_ns(), url, shown(proxy))
        self._total_deadline_s = asyncio.get_running_loop().time() + self._limits.timeout_s
        error: StreamError | None = None
        state: ev.Ending
        try:
            async with asyncio.timeout(self._limits.timeout_s) as self._deadline:
                error = await self.exchange()
            state = self._account.judge(error)
        except TimeoutError:
            error = self.transcript.error
            state = self._account.judge(error) if self._settled else "done" if self.over() else "timed-out"
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
            if isinstance(exc, ValueError):  # of an odd URL or header, or of kmon itself
                _log.warning("attempt %d of run %s failed", self.attempt, self.run, exc_info=exc)
            error, state = stream_error(exc), "failed"
        except Exception as exc:  # whatever it was, an attempt that began must end, and say so
            _log.exception("attempt %d of run %s failed", self.attempt, self.run)
            error, state = StreamError("internal", log.failed("kmon itself failed in this attempt", exc)), "failed"
        finally:
            self._account.stalls.stop()
            self._limit_watch.stop()
        _log.debug("attempt %d of run %s ended as %s", self.attempt, self.run, state)
        return self._account.end(
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

    def never_began(self) -> Outcome:
        """End an attempt that was cancelled before it could send anything."""
        self._account.started(self.timeline.t_start, self._target.base_url, None)
        return self._account.end("cancelled", StreamError("cancelled", "cancelled before it began"))

    # -- what carries it -----------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self) -> None:
        """Make what is to be sent, before any clock runs."""

    @abstractmethod
    def url(self) -> str:
        """Where the attempt goes."""

    @abstractmethod
    async def exchange(self) -> StreamError | None:
        """Ask, and take what comes. Returns the error the answer ended with, if any; raises what the network raises."""

    def over(self) -> bool:
        """Whether an attempt whose time is up has done what it was for."""
        return False

    def _named(self, state: ev.Ending, error: StreamError | None, found: Signature) -> Signature:
        """The attempt's name where its carrier knows more than the stream tells."""
        return found

    # -- what they share -----------------------------------------------------------------------------------------------

    @property
    def _settled(self) -> bool:
        """Whether the outcome is known and only the rest of the stream is still to come."""
        return self._account.finished or fatal(self.transcript.error)

    def _take(self, t_ns: int, delta: Delta) -> bool:
        """Fold one chunk in; returns whether it brought output."""
        progress = self._account.take(t_ns, delta)
        self._limit_watch.look()
        return progress

    def _on_phase(self, phase: Phase, t_ns: int, detail: str) -> None:
        self._account.phase(phase, t_ns, detail)
        self._limit_watch.look()
        if phase == "request_sent" and self.on_request_sent is not None:
            self.on_request_sent(t_ns)

    def _shorten(self, *, progress: bool) -> None:
        """Once the outcome is known, wait for the rest no longer than a grace that only progress renews."""
        if self.timeline.t_done is not None:
            grace_s = DONE_GRACE_S
        elif self._settled and (progress or not self._graced):
            grace_s, self._graced = FINISH_GRACE_S if self._account.finished else self.error_grace_s, True
        else:
            return
        self._deadline.reschedule(min(self._total_deadline_s, asyncio.get_running_loop().time() + grace_s))

    def _give_up(self) -> None:
        """A limit has passed: let the time of the whole attempt be over now."""
        if not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    def _timeout(self) -> StreamError:
        """Which limit passed, by its setting in ``code``."""
        passed = self._limit_watch.passed
        if passed is not None:
            return StreamError("timeout", passed.sentence, code=passed.setting)
        return StreamError("timeout", f"no end within {self._limits.timeout_s:g} s", code="timeout_s")
