"""The events that ``kmon isolate --shrink --json`` adds to those of ``kmon run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct

from kmon.isolate.rounds import Round
from kmon.isolate.shrink_answer import shrink_answer, shrink_answered
from kmon.isolate.shrinking import Shrinking
from kmon.model import Scenario
from kmon.output.headless import JsonReporter
from kmon.output.isolate_json import PrintedRequest, printed_requests
from kmon.stats.isolation.shrink import Shrunk
from kmon.stream import events as ev
from kmon.stream.view import RaceView


class PrintedPart(Struct, frozen=True):
    """A part that can be taken out. ``kind`` is text, reasoning, call, tool, description, property or option."""

    kind: str
    words: str


class ShrinkStarted(Struct, frozen=True, tag="shrink_started", tag_field="type"):
    """What is reduced; other events number the parts from 0. ``rate`` is what counts as failing."""

    target: str
    scenario: str
    parts: tuple[PrintedPart, ...]
    rate: float
    max_requests: int


class ShrinkState(Struct, frozen=True, tag="shrink_state", tag_field="type"):
    """What is known after a round: the parts of the smallest request so far that was seen to fail."""

    round: int
    sent: tuple[PrintedRequest, ...]
    left: tuple[int, ...]
    sentence: str


class ShrinkResult(Struct, frozen=True, tag="shrink_result", tag_field="type"):
    """What is left: ``left`` as in the state, ``result`` with its rates, null where it ended before there was one.

    ``scenario`` is the reduced request, as ``--output`` writes it; null if none was found that fails.
    """

    answered: bool
    sentence: str
    requests: int
    left: tuple[int, ...]
    result: Shrunk | None
    scenario: Scenario | None


class ShrinkJson(JsonReporter):
    """Prints the events of ``kmon run``, the parts first, the state after each round, and the result."""

    def __init__(self, shrinking: Shrinking, reduced: Callable[[], Scenario | None]) -> None:
        self._shrinking, self._reduced = shrinking, reduced
        self._told = 0

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        if isinstance(event, ev.RaceEnded):
            yield _json(self._result())
        yield from super().lines(event, view)
        if isinstance(event, ev.RaceStarted):
            yield _json(self._started())
        if isinstance(event, ev.RunEnded):
            yield from self._states()

    def _started(self) -> ShrinkStarted:
        of, settings = self._shrinking.reported, self._shrinking.settings
        parts = tuple(PrintedPart(part.key.kind, part.words) for part in self._shrinking.parts)
        return ShrinkStarted(of.target.name, of.scenario.name, parts, settings.rate, settings.max_requests)

    def _states(self) -> Iterator[str]:
        rounds = self._shrinking.rounds
        while self._told < len(rounds) and rounds[self._told].over:
            yield _json(self._state(rounds[self._told]))
            self._told += 1

    def _state(self, done: Round) -> ShrinkState:
        return ShrinkState(done.number, printed_requests(done), self._left(), shrink_answer(self._shrinking))

    def _left(self) -> tuple[int, ...]:
        return self._shrinking.request.remaining(self._shrinking.smallest)

    def _result(self) -> ShrinkResult:
        of = self._shrinking
        return ShrinkResult(
            shrink_answered(of), shrink_answer(of), of.requests, self._left(), of.result, self._reduced()
        )


def _json(event: Struct) -> str:
    return msgspec.json.encode(event).decode()
