"""Ways for targets to fail, round by round: the worlds in which proofs are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from kmon.model import PromptMessage, Scenario, Target
from kmon.stats.trial import Trial
from tests.support.outages import outages

Round = tuple[bool, ...]
"""Whether each target failed."""
World = Callable[[Random], Iterator[Round]]
SCENARIO = Scenario(name="", messages=(PromptMessage(role="user", content="go"),))


def independent(*rates: float) -> World:
    """Each request fails on its own; a rate per target."""

    def rounds(draw: Random) -> Iterator[Round]:
        while True:
            yield tuple(draw.random() < rate for rate in rates)

    return rounds


def correlated(rate: float, share: float, targets: int) -> World:
    """With probability ``share`` all targets of a round have the same result."""

    def rounds(draw: Random) -> Iterator[Round]:
        while True:
            common = draw.random() < rate if draw.random() < share else None
            yield tuple(draw.random() < rate if common is None else common for _ in range(targets))

    return rounds


def bursts(*down: float, rounds: float, severity: float = 1.0) -> World:
    """Outages of each target for itself, geometric with mean ``rounds``; ``down`` is the share that fails."""

    def of_all(draw: Random) -> Iterator[Round]:
        return zip(*(outages(draw, down=d / severity, rounds=rounds, severity=severity) for d in down), strict=True)

    return of_all


def exact_bursts(down: float, rounds: int, targets: int) -> World:
    """Outages of exactly ``rounds`` each, at any phase."""

    def of_one(draw: Random) -> Iterator[bool]:
        begins = down / (rounds * (1 - down))
        left = draw.randint(1, rounds) if draw.random() < down else 0
        while True:
            yield left > 0
            left = left - 1 if left else rounds * (draw.random() < begins)

    return lambda draw: zip(*(of_one(draw) for _ in range(targets)), strict=True)


def target(number: int) -> Target:
    name = f"t{number}"
    return Target(name=name, provider=name, model="m", dialect="chat", base_url="https://x.example/v1")


def trials(world: World, draw: Random, rounds: int) -> Iterator[Trial]:
    """The runs of ``rounds`` rounds."""
    for number, failed in enumerate(islice(world(draw), rounds), 1):
        for at, hit in enumerate(failed):
            yield Trial(target=f"t{at}", round=number, outcome="hang-mid-stream" if hit else "pass")
