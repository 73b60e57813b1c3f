"""One isolation: the rounds that it wants sent, and what they showed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kmon.engine.plan import Row
from kmon.isolate.rounds import MUTE_ROUNDS, Round, Sent, mute_reason, refusal_of, sent_as, with_end
from kmon.isolate.stages import CAUSES, FURTHER, Stage, Stages
from kmon.model import Target
from kmon.stats.outcome import RunOutcome, classify
from kmon.stream.events import RunEnded


class Experiment:
    """Hands out rounds (:meth:`next_round`) and takes the ends of their runs (:meth:`add`) until it is ``over``."""

    def __init__(self, new_stages: Callable[[], Stages], *, max_requests: int) -> None:
        """Raises ValueError, with a sentence, for a design that cannot be carried out."""
        self.max_requests = max_requests
        self._new_stages = new_stages
        self.begin()

    def begin(self) -> None:
        """Forget everything; an isolation that is started again is a new one."""
        self.plan = self._new_stages()
        self.reported = self.plan.reported
        self.stages: list[Stage] = []
        """Those that have begun."""
        self._coming = list(self.plan.first())
        self.rounds: list[Round] = []
        self._symptoms: set[int] = set()
        self._mute = 0
        self.given_up = self.left_out = ""
        self.stopped = False
        """Whether its race is at its end, so that no more can be sent."""
        kept = sum(stage.least_requests for stage in self._coming[1:])
        least = min(self.max_requests, self._coming[0].least_requests)
        self._begin_stage(self._coming.pop(0), max(self.max_requests - kept, least))

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target that may be asked."""
        return tuple({target.name: target for target in self.plan.targets()}.values())

    @property
    def stage(self) -> Stage:
        """The stage that is under way, or was last."""
        return self.stages[-1]

    @property
    def coming(self) -> tuple[Stage, ...]:
        """The stages that may follow."""
        return tuple(self._coming)

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
        isolation = self.stage.isolation
        if self.given_up or self.stopped or self._waiting or isolation is None:
            return ()
        requests = self.stage.requests
        sent = tuple(
            Sent(requests.label(config), row, config)
            for config in isolation.next_block()
            if (row := requests.row(config)) is not None
        )
        if sent:
            self.rounds.append(Round(len(self.rounds) + 1, len(self.stages) - 1, sent))
        return tuple(each.row for each in sent)

    def sent(self, run: str) -> Sent | None:
        """The request of a run by its name (``r3.2``); None for a run that is none of this experiment's."""
        return sent_as(self.rounds, run)

    def add(self, ended: RunEnded) -> None:
        """Add the end of a run. That of a retry changes nothing: it must not replace a failure."""
        was = self.sent(ended.run)
        if was is None or was.outcome is not None:
            return
        outcome = classify(ended, was.row.scenario)
        failed = self._failed(ended, outcome, was.row, reported=all(was.config))
        done = with_end(self.rounds, ended.run, outcome, failed)
        self.rounds[done.number - 1] = done
        if self.rounds[-1].over:
            self._take(self.rounds[-1])

    def _failed(self, ended: RunEnded, outcome: RunOutcome, row: Row, *, reported: bool) -> bool | None:
        """How a run counts. A refusal of a changed request says nothing, unless the request as reported has it too;
        nor does a request that was to be sent over a used connection when none was open. Whether one was open depends
        on earlier runs only, so leaving it out favours no level."""
        if not outcome.counted or (row.target.reuse_connection and not ended.reused):
            return None
        if (status := refusal_of(ended, outcome)) is not None:
            if reported:
                self._symptoms.add(status)
            elif status not in self._symptoms:
                return None
        return not outcome.passed

    def _take(self, done: Round) -> None:
        isolation = self.stage.isolation
        assert isolation is not None, "a round of it was sent"
        isolation.add([(sent.config, sent.failed) for sent in done.sent])
        self._mute = self._mute + 1 if done.mute else 0
        if self._mute >= MUTE_ROUNDS:
            self.given_up = mute_reason(done.sent)
        elif (found := isolation.conclusion()) is not None:
            if self.stage.name == "request" and found.kind in CAUSES:
                part = self.plan.part(self.stage.found)
                self._coming[:0] = [] if part is None else [part]
            if found.kind in FURTHER or self.stage.name == "part":
                self._begin_next_stage()

    def _begin_next_stage(self) -> None:
        left = self.max_requests - self.requests
        while self._coming:
            following = self._coming.pop(0)
            if left >= following.least_requests:
                self._begin_stage(following, left)
                return
            what = "where it fails" if following.name == "place" else "which part of it"
            self.left_out = f"{left} requests were left, too few to tell {what}"

    def _begin_stage(self, stage: Stage, max_requests: int) -> None:
        stage.begin(max_requests)
        self.stages.append(stage)

    def refusals(self) -> Mapping[str, str]:
        """Changed requests that were refused, by label, with the last refusal."""
        return {
            sent.label: sent.outcome.sentence
            for each in self.rounds
            for sent in each.sent
            if sent.outcome is not None and sent.failed is None and _refused(sent.row, sent.outcome)
        }


def _refused(row: Row, outcome: RunOutcome) -> bool:
    """Whether the provider refused a changed request, or does not speak HTTP/2, for which it was not sent."""
    return outcome.name == "http-error" or (row.target.http2 and outcome.name == "not-asked")
