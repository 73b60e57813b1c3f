"""Decides the sequence of a run's attempts: retries at its own target, then the fallbacks."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from kmon.catalog.credential import Credential
from kmon.model import Target
from kmon.probe.recorder import AttemptOutcome
from kmon.retry.classify import Wait, cause_of, may_fall_back, reason, wait
from kmon.retry.policy import Policy
from kmon.stream.events import AttemptRole


class Endpoint(NamedTuple):
    """A target and its credential."""

    target: Target
    credential: Credential


class NextAttempt(NamedTuple):
    """The attempt that follows a failed one: its role and reason, its delay, and its number among ``of``."""

    role: AttemptRole
    reason: str
    delay_s: float
    number: int
    of: int
    after_first_token: bool
    retry_after_s: float | None = None


class AttemptSequence:
    """The current endpoint of a run, advanced by :meth:`after`. ``endpoints`` begins with the run's own target."""

    def __init__(self, policy: Policy, endpoints: Sequence[Endpoint], name: str) -> None:
        self._policy, self._endpoints = policy, endpoints
        seed = policy.jitter_seed
        self._random = Random() if seed is None else Random(f"{seed}/{name}")
        self._at = 0
        self._retries = 0

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoints[self._at]

    @property
    def fallen_back(self) -> str:
        """The name of the current target after a fallback; else empty."""
        return self.endpoint.target.name if self._at else ""

    def restart(self) -> None:
        """Start again at the run's own target."""
        self._at = self._retries = 0

    def next_request(self) -> None:
        """The next request of the conversation, at the same target, with its own retries."""
        self._retries = 0

    def after(self, outcome: AttemptOutcome) -> NextAttempt | None:
        """Advance to the attempt that follows ``outcome``; None if the outcome is final."""
        begun = outcome.timeline.progress.last_ns is not None
        why = reason(outcome.error, outcome.signature.name)
        marked = f"{why}, after the first token" if begun else why
        cause = cause_of(outcome.state, outcome.error)
        if cause in self._policy.retry_on and self._retries < self._policy.retries:
            self._retries += 1
            asked_s = None if outcome.error is None else outcome.error.retry_after_s
            waiting: Wait = wait(self._policy, self._retries, asked_s, self._random)
            reasons = f"{marked}, {waiting.words}" if waiting.words else marked
            return NextAttempt("retry", reasons, waiting.delay_s, self._retries, self._policy.retries, begun, asked_s)
        if begun and self._policy.fallback_when != "anytime":
            return None
        if self._at + 1 < len(self._endpoints) and may_fall_back(outcome.state, outcome.error):
            self._at, self._retries = self._at + 1, 0
            return NextAttempt("fallback", marked, 0.0, self._at, len(self._endpoints) - 1, begun)
        return None
