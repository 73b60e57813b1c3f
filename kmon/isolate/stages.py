"""The stages of an isolation: what it is, which part of that, and where.

The first stage varies what is asked and how it is sent, the second the parts of what made a difference, the others
where it is sent, one place at a time. A cause in the request usually needs the place as well, and three conditions at
once would take too many requests to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from kmon.engine.plan import Row
from kmon.isolate.factors import Factor
from kmon.isolate.places import Places
from kmon.isolate.requests import Requests, parts_of
from kmon.model import Target
from kmon.stats.isolation.design import Design
from kmon.stats.isolation.isolation import Isolation
from kmon.stats.isolation.state import Conclusion, IsolationState

StageName = Literal["request", "part", "place"]
CAUSES = frozenset({"factor", "pair", "either"})
"""Conclusions that name a cause."""
FURTHER = CAUSES | {"none-of-them"}
"""Conclusions after which it is worth asking where the request fails."""
ENOUGH_REQUESTS = 1_000
"""More than any design needs at least."""


class StageSettings(Struct, frozen=True):
    """``seed`` decides the draws, ``block`` is the size of a round."""

    seed: int
    block: int


class Stage:
    """One design and what came of it. It has not begun while ``isolation`` is None."""

    def __init__(self, name: StageName, requests: Requests, settings: StageSettings) -> None:
        self.name, self.requests = name, requests
        self._settings = settings
        self.isolation: Isolation | None = None
        self.least_requests = self._design(ENOUGH_REQUESTS).least_requests
        """Fewer decide nothing."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.requests.factors

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

    @property
    def found(self) -> tuple[Factor, ...]:
        """The factors of the cause; none without a conclusion that names one."""
        said = self.conclusion
        return () if said is None or said.kind not in CAUSES else tuple(self.factors[at] for at in said.factors)

    def begin(self, max_requests: int) -> None:
        """Begin with so many requests at most. Raises ValueError, with a sentence, if they decide nothing."""
        self.isolation = Isolation(self._design(max_requests))

    def _design(self, max_requests: int) -> Design:
        return Design(
            factors=len(self.factors),
            linked=self.requests.linked(),
            max_requests=max_requests,
            seed=self._settings.seed,
            block=self._settings.block,
            # another provider, and the deployment of another model, have outages of their own
            own_outages=tuple(at for at, factor in enumerate(self.factors) if factor.stage == "place"),
        )


class Stages:
    """Which stage follows which, for the factors that are varied."""

    def __init__(self, reported: Row, places: Places, factors: Sequence[Factor], settings: StageSettings) -> None:
        self.reported = reported
        self._places, self._settings = places, settings
        self._parts = parts_of(reported, places, factors)
        parts = {part.name for parts in self._parts.values() for part in parts}
        self._of_request = [each for each in factors if each.stage == "request" and each.name not in parts]
        self._of_place = [factor for factor in factors if factor.stage == "place"]

    def first(self) -> tuple[Stage, ...]:
        """The stages that are known before anything is sent: what it is, and where."""
        request = [self._stage("request", self._of_request)] if self._of_request else []
        return (*request, *(self._stage("place", [factor]) for factor in self._of_place))

    def part(self, found: Sequence[Factor]) -> Stage | None:
        """The stage for the parts of the factors that made a difference; None if they have none."""
        parts = dict.fromkeys(part for factor in found for part in self._parts.get(factor.name, ()))
        return self._stage("part", list(parts)) if parts else None

    def parts(self, factor: Factor) -> tuple[Factor, ...]:
        """What is changed with a factor."""
        return self._parts.get(factor.name, ())

    def targets(self) -> Iterator[Target]:
        """Every target that may be asked, some of them more than once."""
        for stage in self.first():
            yield from stage.requests.targets

    def _stage(self, name: StageName, factors: Sequence[Factor]) -> Stage:
        return Stage(name, Requests(self.reported, self._places, factors, self._parts), self._settings)
