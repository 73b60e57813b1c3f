"""The events that ``kmon isolate --json`` adds to those of ``kmon run``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from kmon.isolate.answer import answer, answered
from kmon.isolate.experiment import Experiment
from kmon.isolate.rounds import Round
from kmon.isolate.subject import Subject
from kmon.output.headless import JsonReporter
from kmon.stats.isolation.state import Conclusion, IsolationState
from kmon.stream import events as ev
from kmon.stream.view import RaceView


class PrintedFactor(Struct, frozen=True):
    """A factor that is varied. ``stage`` is ``request`` or ``place``, ``mark`` its name in a changed request."""

    name: str
    stage: str
    mark: str
    as_reported: str
    changed: str


class IsolateStarted(Struct, frozen=True, tag="isolate_started", tag_field="type"):
    """What is isolated, with the factors that are varied and, per factor that is not, the reason."""

    target: str
    scenario: str
    factors: tuple[PrintedFactor, ...]
    not_varied: dict[str, str]
    max_requests: int


class PrintedRequest(Struct, frozen=True):
    """A request of a round. ``failed`` is null where it says nothing."""

    label: str
    target: str
    outcome: str
    failed: bool | None


class IsolateState(Struct, frozen=True, tag="isolate_state", tag_field="type"):
    """What is known after a round; ``factors`` names those that ``state`` numbers from 0."""

    round: int
    stage: str
    sent: tuple[PrintedRequest, ...]
    factors: tuple[str, ...]
    state: IsolationState
    sentence: str


class ConcludedStage(Struct, frozen=True):
    """The conclusion of a stage; ``factors`` names those that it numbers from 0."""

    stage: str
    factors: tuple[str, ...]
    conclusion: Conclusion | None


class IsolateConclusion(Struct, frozen=True, tag="isolate_conclusion", tag_field="type"):
    """The answer: ``stages`` are those that began, without a conclusion where it ended before there was one."""

    answered: bool
    sentence: str
    requests: int
    stages: tuple[ConcludedStage, ...]


class IsolationJson(JsonReporter):
    """Prints the events of ``kmon run``, the factors first, the state after each round, and the conclusion."""

    def __init__(self, experiment: Experiment, subject: Subject) -> None:
        self._experiment, self._subject = experiment, subject
        self._told = 0

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceEnded):
            yield _json(_concluded(self._experiment))
        yield from super().lines(event, view)
        if isinstance(event, ev.RaceStarted):
            yield _json(_started(self._experiment, self._subject))
        if isinstance(event, ev.RunEnded):
            yield from self._states()

    def _states(self) -> Iterator[str]:
        rounds = self._experiment.rounds
        while self._told < len(rounds) and rounds[self._told].over:
            yield _json(_state(self._experiment, rounds[self._told]))
            self._told += 1


def _json(event: Struct) -> str:
    return msgspec.json.encode(event).decode()


def _started(experiment: Experiment, subject: Subject) -> IsolateStarted:
    factors = [PrintedFactor(f.name, f.stage, f.mark, f.words, subject.changed(f)) for f in subject.factors]
    reported = subject.reported
    return IsolateStarted(
        reported.target.name,
        reported.scenario.name,
        tuple(factors),
        subject.not_varied,
        experiment.max_requests,
    )


def _state(experiment: Experiment, done: Round) -> IsolateState:
    stage = experiment.stages[done.stage]
    assert stage.state is not None, "the stage has begun"
    return IsolateState(done.number, stage.name, printed_requests(done), stage.names, stage.state, answer(experiment))


def printed_requests(done: Round) -> tuple[PrintedRequest, ...]:
    """The requests of a round that is over."""
    return tuple(
        PrintedRequest(each.label, each.row.target.name, "" if each.outcome is None else each.outcome.name, each.failed)
        for each in done.sent
    )


def _concluded(experiment: Experiment) -> IsolateConclusion:
    return IsolateConclusion(
        answered(experiment),
        answer(experiment),
        experiment.requests,
        tuple(ConcludedStage(stage.name, stage.names, stage.conclusion) for stage in experiment.stages),
    )
