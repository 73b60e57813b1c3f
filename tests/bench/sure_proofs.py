"""How often kmon proves what is false, and how many rounds it needs for what is true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf, sqrt
from random import Random
from statistics import median

from kmon.stats.pairs import compare_pairs
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.trial import Trial, arm_names, by_arm
from tests.bench.sure_table import Figure, Table
from tests.bench.sure_worlds import (
    SCENARIO,
    World,
    bursts,
    correlated,
    exact_bursts,
    independent,
    target,
    trials,
)

LONG = 400
"""Rounds of a watched test."""
ALPHA = 0.05
SPREAD = 0.9
"""The standard error of a median of rounds, times the square root of worlds, as a share of the median."""
CHANCE = 3.1
"""Standard errors that a share may lie beyond its bar: once in a thousand figures by chance."""


def watched(world: World, draw: Random, targets: int, pass_rate: float | None = None) -> int | None:
    """The round after which a watched test has proven something to last; None if it never does."""
    test = SequentialTest([(target(at), SCENARIO) for at in range(targets)], pass_rate=pass_rate)
    for trial in trials(world, draw, LONG):
        test.add(trial)
        if test.decided():
            break
    return trial.round if test.proven else None


def missed_rate(world: World, draw: Random, rate: float) -> bool:
    """Whether a watched test of one target proves that it passes less than ``rate``."""
    test = SequentialTest([(target(0), SCENARIO)], pass_rate=rate)
    for trial in trials(world, draw, LONG):
        test.add(trial)
    return test.proven and "passes less" in test.summary()


def fixed(runs: Iterable[Trial]) -> bool:
    """Whether a test with a fixed number of rounds proves any difference to last."""
    arms = by_arm(runs)
    return any(pair.proven for pair in compare_pairs(arms, arm_names(list(arms)), {}, {}))


def unshared(world: World, draw: Random, rounds: int) -> Iterator[Trial]:
    """Two targets of ``world``, the second in rounds of its own."""
    for trial in trials(world, draw, 2 * rounds):
        if (trial.target == "t0") == (trial.round <= rounds):
            yield trial


def worlds_without_difference(targets: int) -> Iterator[tuple[str, float, World, bool]]:
    """Name, rate of failures, world, and whether the bar holds for it."""
    for rate in (0.02, 0.1, 0.3, 0.6):
        yield f"independent, p {rate:g}", rate, independent(*[rate] * targets), True
    for share in (0.5, 0.9):
        yield f"same in {share:.0%} of rounds, p 0.3", 0.3, correlated(0.3, share, targets), True
    for length in (1, 3, 10, 30):
        for rate in (0.1, 0.3):
            yield f"bursts of {length}, p {rate:g}", rate, bursts(*[rate] * targets, rounds=length), True
    yield "bursts of exactly 10, p 0.3", 0.3, exact_bursts(0.3, 10, targets), True
    for severity in (0.9, 0.7, 0.5):
        world = bursts(*[0.1] * targets, rounds=10, severity=severity)
        yield f"bursts of 10 that fail {severity:.0%}, p 0.1", 0.1, world, False


def false_proofs(worlds: int, seed: int) -> Table:
    """The share of tests of equal targets that prove a difference."""
    rows = []
    for (name, rate, two, bar), (_, _, four, _) in zip(
        worlds_without_difference(2), worlds_without_difference(4), strict=True
    ):
        draw = Random(f"{seed}/{name}")

        def share(proven: Iterable[bool], bar: bool = bar) -> Figure:
            slack = CHANCE * sqrt(ALPHA * (1 - ALPHA) / worlds)
            return Figure(sum(proven) / worlds, ALPHA if bar else None, slack=slack)

        rows.append(
            (
                name,
                (
                    share(watched(two, draw, 2) is not None for _ in range(worlds)),
                    share(watched(four, draw, 4) is not None for _ in range(worlds)),
                    share(missed_rate(two, draw, 1 - rate) for _ in range(worlds)),
                    *(
                        share(fixed(trials(world, draw, n)) for _ in range(worlds))
                        for n in (30, 100)
                        for world in (two, four)
                    ),
                    share(fixed(unshared(two, draw, 100)) for _ in range(worlds)),
                ),
            )
        )
    heading = (
        "equal targets that fail", "watched, 2", "watched, 4", "pass rate", "30 rounds, 2", "30 rounds, 4",
        "100 rounds, 2", "100 rounds, 4", "unshared, 2",
    )  # fmt: skip
    return Table(f"False proofs: share of {worlds} tests (watched: {LONG} rounds)", heading, rows)


TRUE_DIFFERENCES: tuple[tuple[float, float, float, float], ...] = (
    (0.40, 0.00, 25, 40),
    (0.40, 0.02, 27, 44),
    (0.15, 0.02, 82, 125),
    (0.10, 0.00, 66, 105),
)
"""Failure rates of the worse target and of all others; the most rounds to proof with two and with four targets."""


def power(worlds: int, seed: int) -> Table:
    """The median round of the proof of a true difference, and how often a test of fixed size proves it."""
    rows = []
    for worse, better, *bars in TRUE_DIFFERENCES:
        name = f"{worse:g} against {better:g}"
        rows.append((name, _power(independent(worse, better), independent(worse, *[better] * 3), worlds, seed, bars)))
    others: tuple[tuple[str, World, World], ...] = (
        ("0.6 against 0.2", independent(0.6, 0.2), independent(0.6, 0.2, 0.2, 0.2)),
        ("0.9 against 0.3", independent(0.9, 0.3), independent(0.9, 0.3, 0.3, 0.3)),
        ("0.3 against 0.02, bursts of 3", bursts(0.3, 0.02, rounds=3), bursts(0.3, 0.02, 0.02, 0.02, rounds=3)),
    )
    for name, two, four in others:
        rows.append((name, _power(two, four, worlds, seed, (None, None))))
    heading = ("failures", "rounds to proof, 2", "rounds to proof, 4", "proven in 30 rounds, 2", "in 100 rounds, 4")
    return Table("Power: median rounds of a watched test; share of fixed tests", heading, rows)


def _power(two: World, four: World, worlds: int, seed: int, bars: Iterable[float | None]) -> tuple[Figure, ...]:
    draw = Random(seed)
    to_proof = (
        median(watched(world, draw, targets) or inf for _ in range(worlds)) for world, targets in ((two, 2), (four, 4))
    )
    shares = (
        sum(fixed(trials(world, draw, n)) for _ in range(worlds)) / worlds for world, n in ((two, 30), (four, 100))
    )
    return (
        *(
            Figure(rounds, bar, slack=CHANCE * SPREAD * (bar or 0) / sqrt(worlds))
            for rounds, bar in zip(to_proof, bars, strict=True)
        ),
        *(Figure(share) for share in shares),
    )
