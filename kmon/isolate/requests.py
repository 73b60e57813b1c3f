"""The requests of an isolation: which factors can be varied, the row of each combination, what cannot be combined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from msgspec.structs import replace

from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.errors import UsageError
from kmon.isolate.factors import FACTORS, NAMES, Factor, Stage
from kmon.isolate.places import Places
from kmon.model import Target

Config = tuple[bool, ...]
"""One entry per factor. True: as reported. False: changed."""
Levels = tuple[tuple[int, bool], ...]
"""Factors, counted from 0, each at a level."""
MOST_LINKED = 3
"""Levels that are looked at together to find what cannot be combined."""
AS_REPORTED = "as reported"


class Requests:
    """The request as it was reported, and all combinations of ``factors`` in which it can be changed."""

    def __init__(self, reported: Row, places: Places, factors: Sequence[Factor]) -> None:
        self.reported, self.factors = reported, tuple(factors)
        self._places = places
        self._rows = {config: self._built(config) for config in product((True, False), repeat=len(self.factors))}

    def row(self, config: Config) -> Row | None:
        """The request of a combination; None if there is no such request."""
        return self._rows[config]

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target that may be asked, each once, in order."""
        found = {row.target.name: row.target for row in self._rows.values() if row is not None}
        return tuple(found.values())

    def label(self, config: Config) -> str:
        """What is changed in a combination: ``-tools -stream``."""
        marks = [factor.mark for factor, kept in zip(self.factors, config, strict=True) if not kept]
        return " ".join(marks) or AS_REPORTED

    def alone(self, at: int) -> bool:
        """Whether the factor ``at`` can be changed while all others stay as they are, in at least one request."""
        return any(
            config[at] and row is not None and self._rows[(*config[:at], False, *config[at + 1 :])] is not None
            for config, row in self._rows.items()
        )

    def linked(self) -> tuple[Levels, ...]:
        """The smallest sets of levels that no request has together."""
        possible = {config for config, row in self._rows.items() if row is not None}
        found: list[Levels] = []
        for size in range(1, MOST_LINKED + 1):
            found += [
                levels
                for levels in _levels(len(self.factors), size)
                if not any(set(smaller) <= set(levels) for smaller in found)
                and not any(_has(config, levels) for config in possible)
            ]
        return tuple(found)

    def _built(self, config: Config) -> Row | None:
        row: Row | None = self.reported
        for factor, kept in zip(self.factors, config, strict=True):
            if not kept and row is not None:
                row = factor.change(row, self._places)
        if row is None or dialect(row.target.dialect).unsupported(row.target, row.scenario):
            return None
        if any(factor.present(row, self.reported) != kept for factor, kept in zip(self.factors, config, strict=True)):
            return None
        label = self.label(config)
        name = self.reported.scenario.name if label == AS_REPORTED else f"{self.reported.scenario.name} {label}"
        return Row(row.target, replace(row.scenario, name=name))


def _levels(factors: int, size: int) -> Iterator[Levels]:
    for chosen in combinations(range(factors), size):
        for levels in product((True, False), repeat=size):
            yield tuple(zip(chosen, levels, strict=True))


def _has(config: Config, levels: Levels) -> bool:
    return all(config[factor] == level for factor, level in levels)


def obstacles(reported: Row, places: Places) -> dict[str, str]:
    """Per factor, why it cannot be changed in this request; empty if it can."""
    found = {factor.name: factor.obstacle(reported, places) for factor in FACTORS}
    for stage in ("request", "place"):
        for factor, why in _inseparable(reported, places, _able(stage, found)):
            found[factor.name] = why
    return found


def _able(stage: Stage, found: dict[str, str]) -> list[Factor]:
    return [factor for factor in FACTORS if factor.stage == stage and not found[factor.name]]


def _inseparable(reported: Row, places: Places, factors: Sequence[Factor]) -> Iterator[tuple[Factor, str]]:
    """Factors that can never be changed alone among these, with the reason."""
    requests = Requests(reported, places, factors)
    for at, factor in enumerate(factors):
        if requests.alone(at):
            continue
        row = factor.change(reported, places)
        why = None if row is None else dialect(row.target.dialect).unsupported(row.target, row.scenario)
        yield factor, why or "it cannot be changed without changing another factor"


def chosen(reported: Row, places: Places, only: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[Factor, ...]:
    """The factors to vary: those that can be, or ``only`` these, and not those of ``without``.

    Raises :class:`UsageError` for a name that is no factor, and for one of ``only`` that cannot be varied.
    """
    for name in (*only, *without):
        if name not in NAMES:
            raise UsageError(f"there is no factor {name!r}; the factors are {', '.join(NAMES)}")
    blocked = obstacles(reported, places)
    for name in only:
        if why := blocked[name]:
            raise UsageError(f"the factor {name} cannot be varied in this request: {why}")
    wanted = [
        factor
        for factor in FACTORS
        if not blocked[factor.name] and factor.name not in without and (not only or factor.name in only)
    ]
    for stage in ("request", "place"):
        for factor, why in _inseparable(reported, places, [factor for factor in wanted if factor.stage == stage]):
            if factor.name in only:
                raise UsageError(f"the factor {factor.name} cannot be varied by itself: {why}")
            wanted.remove(factor)
    if not wanted:
        raise UsageError("nothing can be varied in this request; 'kmon isolate --list' says why")
    return tuple(wanted)
