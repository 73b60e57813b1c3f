"""Prints the reduction of a request: its parts, a line per round, and what is left of it as one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from kmon.catalog.scenario_toml import file_name, scenario_toml
from kmon.engine.plan import Keys, RacePlan
from kmon.errors import UsageError
from kmon.format import percent, plural
from kmon.isolate.parts import Part
from kmon.isolate.shrink_answer import shrink_answer, shrink_answered
from kmon.isolate.shrinking import Shrinking
from kmon.model import Scenario
from kmon.output.fed_lines import RoundLines, exit_code, fed_race
from kmon.output.junit import check_writable, write_whole
from kmon.output.plan_notes import pass_words
from kmon.output.shrink_json import ShrinkJson


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


def opening_lines(shrinking: Shrinking) -> Iterator[str]:
    """What is asked, and the parts of the request."""
    reported, parts = shrinking.reported, plural(len(shrinking.parts), "part")
    yield f"What does {reported.target.name} need to fail with {reported.scenario.name}? Its {parts}:"
    yield from part_lines(shrinking.parts)
    yield from (f"  {note}" for note in shrink_notes(shrinking))


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
    lines = RoundLines(lambda: shrinking.rounds, opening_lines(shrinking), lambda: shrink_answer(shrinking))
    reporter = ShrinkJson(shrinking, lambda: reduced(shrinking)) if as_json else lines
    view = fed_race(plan, keys, shrinking, reporter)
    return exit_code(shrink_answered(shrinking), view)
