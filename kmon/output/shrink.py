"""Prints the reduction of a request: its parts, a line per round, and what is left of it as one sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from kmon.catalog.scenario_toml import file_name, scenario_toml
from kmon.engine.plan import Keys, RacePlan
from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.hosts import host
from kmon.isolate.fed_source import FedHost
from kmon.isolate.parts import Part
from kmon.isolate.shrink_answer import shrink_answer, shrink_answered
from kmon.isolate.shrinking import Shrinking
from kmon.model import Scenario
from kmon.output.headless import Reporter, hosted_race
from kmon.output.isolate import exit_code, round_line
from kmon.output.junit import check_writable, write_whole
from kmon.output.plan_notes import pass_words
from kmon.output.shrink_json import ShrinkJson
from kmon.stream import events as ev
from kmon.stream.view import RaceView


def part_lines(parts: Sequence[Part]) -> Iterator[str]:
    """Every part by its number."""
    width = len(str(len(parts)))
    for number, part in enumerate(parts, start=1):
        yield f"  {number:>{width}}  {part.words}"


def shrink_notes(shrinking: Shrinking) -> list[str]:
    """What passes, and what counts as failing."""
    settings = shrinking.settings
    passes = pass_words(shrinking.reported.scenario.limits, "any answer, because the question itself is changed")
    rates = f"{percent(settings.rate)} % of the runs or more; {percent(settings.rate / 4)} % or fewer is not failing"
    return [f"a run passes: {passes}", f"a request fails: {rates}"]


class ShrinkLines:
    """Prints the parts, a line per round, and in the end what is left."""

    def __init__(self, shrinking: Shrinking) -> None:
        self._shrinking = shrinking
        self._told = 0

    def lines(self, event: ev.Event, view: RaceView) -> Iterable[str]:
        rounds = self._shrinking.rounds
        if isinstance(event, ev.RaceStarted):
            yield from self._opening()
        if isinstance(event, ev.Notice):
            yield f"{event.level}: {event.message}"
        while self._told < len(rounds) and rounds[self._told].over:
            yield round_line(rounds[self._told])
            self._told += 1

    def _opening(self) -> Iterator[str]:
        reported, parts = self._shrinking.reported, plural(len(self._shrinking.parts), "part")
        yield f"What does {reported.target.name} need to fail with {reported.scenario.name}? Its {parts}:"
        yield from part_lines(self._shrinking.parts)
        yield from (f"  {note}" for note in shrink_notes(self._shrinking))
        yield ""

    def closing(self, view: RaceView) -> str:
        return f"\n{shrink_answer(self._shrinking)}"

    def enough(self) -> bool:
        return False


def reduced(shrinking: Shrinking) -> Scenario | None:
    """The smallest request that was seen to fail, as a scenario of a name of its own; None if none was."""
    result = shrinking.result
    if all(shrinking.smallest) and (result is None or result.outcome != "smallest"):
        return None
    name = f"{file_name(shrinking.reported.scenario.name)}-reduced"
    return replace(shrinking.request.row(shrinking.smallest).scenario, name=name, filler_tokens=None)


def check_output(path: Path) -> None:
    """Raise :class:`UsageError` if no new file can be written there."""
    if path.exists():
        raise UsageError(f"{path} exists; name a new file, and copy what it holds to a kmon.toml")
    check_writable(path)


def write_reduced(shrinking: Shrinking, path: Path) -> str:
    """Write what is left as a scenario of a ``kmon.toml``; returns what was done, as a sentence."""
    scenario = reduced(shrinking)
    if scenario is None:
        return f"{path} was not written: no request was found that fails"
    try:
        write_whole(path, scenario_toml(scenario, shrink_answer(shrinking)).encode())
    except (OSError, ValueError) as error:
        return f"cannot write {path}: {error}"
    return f"{path} holds the scenario {scenario.name}, for a kmon.toml: 'kmon test --scenario {scenario.name}'"


def main(plan: RacePlan, keys: Keys, shrinking: Shrinking, *, as_json: bool) -> int:
    """Reduce on a fresh event loop, writing to stdout."""
    reporter: Reporter = ShrinkJson(shrinking, lambda: reduced(shrinking)) if as_json else ShrinkLines(shrinking)

    async def shrink() -> RaceView:
        return await hosted_race(FedHost(host(plan, keys), shrinking), reporter, sys.stdout)

    view = asyncio.run(shrink())
    return exit_code(shrink_answered(shrinking), view)
