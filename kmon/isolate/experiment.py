"""One isolation: the rounds that it wants sent, and what they showed.

It has up to two stages. The first varies what is asked, and how; the second asks where the cause that was found, or the
request as it was reported, fails: at this provider only, or with this model only. A cause in the request usually needs
the place as well, and three conditions at once would take too many requests to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from kmon.engine.plan import Row
from kmon.isolate.factors import Factor
from kmon.isolate.requests import Config, Requests
from kmon.model import Target
from kmon.stats.isolation.design import Design
from kmon.stats.isolation.isolation import Isolation
from kmon.stats.isolation.state import Conclusion, IsolationState
from kmon.stats.outcome import RunOutcome, classify
from kmon.stream.events import RunEnded

MUTE_ROUNDS = 3
"""After so many rounds in a row of which no request said anything, such as when all are rate-limited, it gives up."""
MOST_REQUESTS = 100_000
FURTHER = frozenset({"factor", "pair", "either", "none-of-them"})
"""Conclusions after which it is worth asking where the request fails."""
REFUSED = range(400, 429)
"""HTTP statuses that say that a changed request cannot be sent like this, not that it fails sometimes."""


class Sent(Struct, frozen=True):
    """One request of a round and its outcome; None while it is open."""

    label: str
    target: str
    config: Config
    outcome: RunOutcome | None = None
    failed: bool | None = None
    """None: it says nothing."""


class Round(Struct, frozen=True):
    """The requests of a round, in the order in which they are sent."""

    number: int
    stage: int
    sent: tuple[Sent, ...]

    @property
    def over(self) -> bool:
        """Whether every request has ended."""
        return all(each.outcome is not None for each in self.sent)


class Stage:
    """One design and what came of it. It has not begun while ``isolation`` is None."""

    def __init__(self, requests: Requests, seed: int, block: int) -> None:
        self.requests = requests
        self._seed, self._block = seed, block
        self.isolation: Isolation | None = None
        self.least_requests = self.design(MOST_REQUESTS).least_requests
        """Fewer decide nothing."""

    def design(self, max_requests: int) -> Design:
        """The design with so many requests. Raises ValueError, with a sentence, if it cannot be carried out."""
        return Design(
            factors=len(self.requests.factors),
            linked=self.requests.linked(),
            max_requests=max_requests,
            seed=self._seed,
            block=self._block,
            own_outages=tuple(at for at, factor in enumerate(self.factors) if factor.name == "elsewhere"),
        )

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.requests.factors

    @property
    def name(self) -> str:
        """``request`` or ``place``."""
        return self.factors[0].stage

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the factors."""
        return tuple(factor.name for factor in self.factors)

    @property
    def state(self) -> IsolationState | None:
        return None if self.isolation is None else self.isolation.state()

    @property
    def conclusion(self) -> Conclusion | None:
        return None if self.isolation is None else self.isolation.conclusion()

    def begin(self, max_requests: int) -> None:
        """Begin with so many requests at most."""
        self.isolation = Isolation(self.design(max_requests))


class Experiment:
    """Hands out rounds (:meth:`next_round`) and takes the ends of their runs (:meth:`add`) until it is ``over``."""

    def __init__(self, stages: Sequence[Requests], *, max_requests: int, seed: int, block: int) -> None:
        """Raises ValueError, with a sentence, for a design that cannot be carried out."""
        self.max_requests, self.seed = max_requests, seed
        self._stages, self._block = tuple(stages), block
        self.reported = stages[0].reported
        self.begin()

    def begin(self) -> None:
        """Forget everything; an isolation that is started again is a new one."""
        self.stages = [Stage(requests, self.seed + at, self._block) for at, requests in enumerate(self._stages)]
        kept = sum(stage.least_requests for stage in self.stages[1:])
        self.stages[0].begin(max(self.max_requests - kept, min(self.max_requests, self.stages[0].least_requests)))
        self.rounds: list[Round] = []
        self._at = 0
        self._symptoms: set[int] = set()
        self._mute = 0
        self.given_up = self.left_out = ""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target that may be asked."""
        found = {target.name: target for requests in self._stages for target in requests.targets}
        return tuple(found.values())

    @property
    def stage(self) -> Stage:
        """The stage that is under way, or was last."""
        return self.stages[self._at]

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return sum(len(each.sent) for each in self.rounds)

    @property
    def over(self) -> bool:
        """Whether no more rounds are wanted."""
        return bool(self.given_up) or (self.stage.conclusion is not None and not self._waiting)

    @property
    def _waiting(self) -> bool:
        return bool(self.rounds) and not self.rounds[-1].over

    def next_round(self) -> tuple[Row, ...]:
        """The rows to send together now; none while a round is open, and none when it is over."""
        if self.given_up or self._waiting:
            return ()
        isolation = self.stage.isolation
        configs = () if isolation is None else isolation.next_block()
        if not configs:
            return ()
        rows = [self.stage.requests.row(config) for config in configs]
        sent = tuple(
            Sent(self.stage.requests.label(config), row.target.name, config)
            for config, row in zip(configs, rows, strict=True)
            if row is not None
        )
        self.rounds.append(Round(len(self.rounds) + 1, self._at, sent))
        return tuple(row for row in rows if row is not None)

    def sent(self, run: str) -> Sent | None:
        """The request of a run by its name (``r3.2``); None for a run that is none of this experiment's."""
        number, _, place = run.removeprefix("r").partition(".")
        if not (number.isdecimal() and place.isdecimal() and 1 <= int(number) <= len(self.rounds)):
            return None
        sent = self.rounds[int(number) - 1].sent
        return sent[int(place) - 1] if 1 <= int(place) <= len(sent) else None

    def add(self, ended: RunEnded) -> None:
        """Add the end of a run. That of a retry changes nothing: it must not replace a failure."""
        place = int(ended.run.partition(".")[2]) - 1
        if not 1 <= ended.round <= len(self.rounds):
            return
        sent = list(self.rounds[ended.round - 1].sent)
        if sent[place].outcome is not None:
            return
        row = self.stages[self.rounds[ended.round - 1].stage].requests.row(sent[place].config)
        assert row is not None, "it was sent"
        outcome = classify(ended, row.scenario)
        failed = self._failed(ended, outcome, reported=all(sent[place].config))
        was = sent[place]
        sent[place] = Sent(was.label, was.target, was.config, outcome, failed)
        self.rounds[ended.round - 1] = Round(ended.round, self.rounds[ended.round - 1].stage, tuple(sent))
        if self.rounds[-1].over:
            self._take(self.rounds[-1])

    def _failed(self, ended: RunEnded, outcome: RunOutcome, *, reported: bool) -> bool | None:
        """How a run counts. A refusal of a changed request says nothing, unless the request as reported has it too."""
        if not outcome.counted:
            return None
        status = None if ended.error is None else ended.error.status
        if outcome.name == "http-error" and status is not None and status in REFUSED:
            if reported:
                self._symptoms.add(status)
            elif status not in self._symptoms:
                return None
        return not outcome.passed

    def _take(self, done: Round) -> None:
        isolation = self.stage.isolation
        assert isolation is not None
        isolation.add([(sent.config, sent.failed) for sent in done.sent])
        self._mute = self._mute + 1 if all(sent.failed is None for sent in done.sent) else 0
        if self._mute >= MUTE_ROUNDS:
            self.given_up = mute_reason(done)
        elif (found := isolation.conclusion()) is not None and found.kind in FURTHER:
            self._begin_next_stage()

    def _begin_next_stage(self) -> None:
        if self._at + 1 >= len(self.stages):
            return
        following = self.stages[self._at + 1]
        left = self.max_requests - self.requests
        if left < following.least_requests:
            self.left_out = f"{left} requests were left, too few to tell where it fails"
            return
        self._at += 1
        following.begin(left)

    def refusals(self) -> Mapping[str, str]:
        """Changed requests that were refused, by label, with the last refusal."""
        return {
            sent.label: sent.outcome.sentence
            for each in self.rounds
            for sent in each.sent
            if sent.outcome is not None and sent.outcome.name == "http-error" and sent.failed is None
        }


def mute_reason(done: Round) -> str:
    """Why a round said nothing, by its commonest outcome."""
    names = [sent.outcome.name for sent in done.sent if sent.outcome is not None]
    commonest = max(set(names), key=names.count)
    words = {
        "rate-limited": "all requests were rate-limited; wait, or send fewer with --spacing and --per-target 1",
        "not-asked": "no request could be sent from this machine",
        "disturbed": "this machine disturbed all requests",
        "http-error": "all changed requests were refused",
    }
    return words.get(commonest, "no request said anything")
