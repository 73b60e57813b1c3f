"""The requests of an isolation: which factors can be varied, and the row of each combination.

Some changes bring others along: without tools there are no parallel calls, and Bedrock takes no tool result then. Such
factors are parts of the one that takes them along. They change together with it at first; only if that makes a
difference are they varied by themselves. So every combination of the factors of one stage is a request, and none is
asked about for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

from msgspec.structs import replace

from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.errors import UsageError
from kmon.isolate.factors import FACTORS, NAMES, Factor
from kmon.isolate.places import Places
from kmon.model import Target

Config = tuple[bool, ...]
"""One entry per factor. True: as reported. False: changed."""
Levels = tuple[tuple[int, bool], ...]
"""Factors, counted from 0, each at a level."""
Parts = Mapping[str, tuple[Factor, ...]]
"""Per factor the factors that are changed with it, if it cannot be changed without them."""
AS_REPORTED = "as reported"


class Requests:
    """The request as it was reported, and all combinations of ``factors`` in which it can be changed."""

    def __init__(self, reported: Row, places: Places, factors: Sequence[Factor], parts: Parts) -> None:
        self.reported, self.factors = reported, tuple(factors)
        self._places, self.parts = places, parts
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

    def linked(self) -> tuple[Levels, ...]:
        """The smallest sets of levels that no request has together. With kmon's own dialects there are none."""
        possible = {config for config, row in self._rows.items() if row is not None}
        impossible = self._rows.keys() - possible
        found: list[Levels] = []
        for size in range(1, len(self.factors) + 1):
            if all(any(_has(config, levels) for levels in found) for config in impossible):
                break
            for chosen_factors in combinations(range(len(self.factors)), size):
                for kept in product((True, False), repeat=size):
                    levels = tuple(zip(chosen_factors, kept, strict=True))
                    if not any(_has(config, levels) for config in possible):
                        found.append(levels)
        return tuple(found)

    def _built(self, config: Config) -> Row | None:
        row: Row | None = self.reported
        for factor, kept in zip(self.factors, config, strict=True):
            if not kept and row is not None:
                row = changed(row, factor, self.parts, self.reported, self._places)
        if row is None or not _can_be_sent(row):
            return None
        if any(factor.present(row, self.reported) != kept for factor, kept in zip(self.factors, config, strict=True)):
            return None
        label = self.label(config)
        name = self.reported.scenario.name if label == AS_REPORTED else f"{self.reported.scenario.name} {label}"
        return Row(row.target, replace(row.scenario, name=name))


def _has(config: Config, levels: Levels) -> bool:
    return all(config[factor] == level for factor, level in levels)


def changed(row: Row, factor: Factor, parts: Parts, reported: Row, places: Places) -> Row | None:
    """The row without the factor and its parts."""
    found = factor.change(row, places)
    for part in parts.get(factor.name, ()):
        if found is not None and part.present(found, reported):
            found = part.change(found, places)
    return found


def _can_be_sent(row: Row) -> bool:
    return dialect(row.target.dialect).unsupported(row.target, row.scenario) is None


def obstacles(reported: Row, places: Places) -> dict[str, str]:
    """Per factor, why it cannot be changed in this request; empty if it can."""
    found = {factor.name: factor.obstacle(reported, places) for factor in FACTORS}
    able = [factor for factor in FACTORS if not found[factor.name]]
    parts = parts_of(reported, places, able)
    for factor in able:
        row = changed(reported, factor, parts, reported, places)
        if row is None or not _can_be_sent(row):
            why = None if row is None else dialect(row.target.dialect).unsupported(row.target, row.scenario)
            found[factor.name] = why or "there is no such request"
    return found


def parts_of(reported: Row, places: Places, factors: Sequence[Factor]) -> dict[str, tuple[Factor, ...]]:
    """Per factor the others that are gone with it, or have to go so that the request can be sent."""
    found: dict[str, tuple[Factor, ...]] = {}
    for factor in factors:
        row = factor.change(reported, places)
        others = [other for other in factors if other is not factor and other.stage == factor.stage]
        if row is not None and (parts := _gone(row, reported, others) or _in_the_way(row, reported, places, others)):
            found[factor.name] = tuple(parts)
    return found


def _gone(row: Row, reported: Row, others: Sequence[Factor]) -> list[Factor]:
    return [other for other in others if not other.present(row, reported)] if _can_be_sent(row) else []


def _in_the_way(row: Row, reported: Row, places: Places, others: Sequence[Factor]) -> list[Factor]:
    """Of a row that cannot be sent: the one factor without which it can be sent there, and what is gone with both."""
    if _can_be_sent(row):
        return []
    for other in others:
        without = other.change(row, places) if other.present(row, reported) else None
        if without is not None and without.target == row.target and _can_be_sent(without):
            return [each for each in others if not each.present(without, reported)]
    return []


def chosen(reported: Row, places: Places, only: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[Factor, ...]:
    """The factors to vary: those that can be, or ``only`` these and their parts, and not those of ``without``.

    Raises :class:`UsageError` for a name that is no factor, for one in both, and for one of ``only`` that cannot be
    varied.
    """
    for name in (*only, *without):
        if name not in NAMES:
            raise UsageError(f"there is no factor {name!r}; the factors are {', '.join(NAMES)}")
    if both := [name for name in only if name in without]:
        raise UsageError(f"the factor {both[0]} is to be varied (--factors) and not to be (--without)")
    blocked = obstacles(reported, places)
    for name in only:
        if why := blocked[name]:
            raise UsageError(f"the factor {name} cannot be varied in this request: {why}")
    able = [factor for factor in FACTORS if not blocked[factor.name]]
    parts = parts_of(reported, places, able)
    named = {*only, *(part.name for name in only for part in parts.get(name, ()))} or {factor.name for factor in able}
    wanted = tuple(factor for factor in able if factor.name in named and factor.name not in without)
    if not wanted:
        raise UsageError("nothing can be varied in this request; 'kmon isolate --list' says why")
    return wanted
