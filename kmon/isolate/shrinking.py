"""One reduction of a request: the rounds that it wants sent, and what is left of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from kmon.engine.plan import Row
from kmon.isolate.parts import Kept, Part, RequestParts
from kmon.isolate.rounds import MUTE_ROUNDS, Round, Sent, mute_reason, refusal_of, sent_as, with_end
from kmon.model import Target
from kmon.stats.isolation.shrink import Shrink, Shrunk, least_requests
from kmon.stats.isolation.state import Rate, rate_of
from kmon.stats.outcome import RunOutcome, classify
from kmon.stream.events import RunEnded

BLOCK = 4


class ShrinkSettings(Struct, frozen=True):
    """``rate`` is what counts as failing, from 0 to 1."""

    rate: float
    max_requests: int
    seed: int


class Shrinking:
    """Hands out rounds (:meth:`next_round`) and takes the ends of their runs (:meth:`add`) until it is ``over``."""

    def __init__(self, reported: Row, settings: ShrinkSettings) -> None:
        """Raises ValueError, with a sentence, for what cannot be done."""
        self.reported, self.settings = reported, settings
        self.request = RequestParts(reported)
        self.parts = self.request.parts
        self.begin()
        if (least := least_requests(len(self.parts), settings.rate)) > settings.max_requests:
            raise ValueError(
                f"{settings.max_requests} requests cannot reduce this one, which has {len(self.parts)} parts: "
                f"at a failure rate of {settings.rate:g} it takes {least} at least"
            )

    def begin(self) -> None:
        """Forget everything; a reduction that is started again is a new one."""
        self._shrink = Shrink(len(self.parts), self.settings.rate, self.max_requests, self.settings.seed, BLOCK)
        self.rounds: list[Round] = []
        self._symptoms: set[int] = set()
        self._mute = 0
        self.given_up = ""
        self.stopped = False
        """Whether its race is at its end, so that no more can be sent."""

    @property
    def max_requests(self) -> int:
        """Requests at most."""
        return self.settings.max_requests

    @property
    def targets(self) -> tuple[Target, ...]:
        """The target that is asked."""
        return (self.reported.target,)

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return sum(len(each.sent) for each in self.rounds)

    @property
    def result(self) -> Shrunk | None:
        """What remains of the request, once that is known."""
        return self._shrink.result()

    @property
    def over(self) -> bool:
        """Whether no more rounds are wanted."""
        return bool(self.given_up) or self.result is not None

    @property
    def left(self) -> tuple[Part, ...]:
        """The parts of the smallest request so far that was seen to fail; at first all of them."""
        return tuple(self.parts[at] for at in self.request.remaining(self.smallest))

    @property
    def smallest(self) -> Kept:
        """What the smallest request so far keeps."""
        kept = set(self._shrink.smallest)
        return tuple(at in kept for at in range(len(self.parts)))

    def next_round(self) -> tuple[Row, ...]:
        """The rows to send together now; none while a round is open, and none when it is over."""
        if self.over or self.stopped or (self.rounds and not self.rounds[-1].over):
            return ()
        sent = tuple(Sent(self.request.label(kept), self.request.row(kept), kept) for kept in self._shrink.next_block())
        if sent:
            self.rounds.append(Round(len(self.rounds) + 1, 0, sent))
        return tuple(each.row for each in sent)

    def sent(self, run: str) -> Sent | None:
        """The request of a run by its name (``r3.2``); None for a run that is none of this reduction's."""
        return sent_as(self.rounds, run)

    def add(self, ended: RunEnded) -> None:
        """Add the end of a run. That of a retry changes nothing: it must not replace a failure."""
        was = self.sent(ended.run)
        if was is None or was.outcome is not None:
            return
        outcome = classify(ended, was.row.scenario)
        done = with_end(self.rounds, ended.run, outcome, self._failed(ended, outcome, whole=all(was.config)))
        self.rounds[done.number - 1] = done
        if not done.over:
            return
        self._shrink.add([(sent.config, sent.failed) for sent in done.sent])
        self._mute = self._mute + 1 if done.mute else 0
        if self._mute >= MUTE_ROUNDS and self.result is None:
            self.given_up = mute_reason(done.sent)

    def _failed(self, ended: RunEnded, outcome: RunOutcome, *, whole: bool) -> bool | None:
        """How a run counts. A reduced request that is refused does not fail as the whole does, unless that is refused,
        too: so what it misses is kept, and the search goes on."""
        if not outcome.counted:
            return None
        if (status := refusal_of(ended, outcome)) is not None:
            if whole:
                self._symptoms.add(status)
            elif status not in self._symptoms:
                return False
        return not outcome.passed

    def rates(self, part: int) -> tuple[Rate, Rate]:
        """How often requests failed with a part, counted from 0, and without it."""
        return self._rate_of(part, kept=True), self._rate_of(part, kept=False)

    def _rate_of(self, part: int, *, kept: bool) -> Rate:
        told = [sent for each in self.rounds for sent in each.sent if sent.failed is not None]
        outcomes: Sequence[bool | None] = [sent.failed for sent in told if sent.config[part] is kept]
        return rate_of(outcomes.count(True), len(outcomes))

    def refusals(self) -> Mapping[str, str]:
        """Reduced requests that were refused, by label, with the last refusal."""
        return {
            sent.label: sent.outcome.sentence
            for each in self.rounds
            for sent in each.sent
            if sent.outcome is not None and sent.outcome.name == "http-error" and sent.failed is False
        }
