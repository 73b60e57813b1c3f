"""How well an isolation finds causes that are hidden from it: 8 factors, many worlds per kind, in simulation.

    python -m tests.bench.sure_isolation [--worlds N] [--seed N] [KIND...]

right: the cause with all its factors, or rightly none; wrong: an innocent factor is accused; silent: "not explained".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import sqrt
from random import Random
from typing import Literal, NamedTuple

from kmon.stats.isolation.design import Config, Design
from kmon.stats.isolation.isolation import Isolation
from kmon.stats.isolation.state import Conclusion
from tests.bench.sure_table import Figure, Table

FACTORS = 8
Truth = Literal["factor", "pair", "either", "none-of-them", "does-not-fail", "outages"]


class Kind(NamedTuple):
    """A kind of hidden worlds. Rates are of failures with the cause and without it.

    ``outages``: mean length in requests and share of the time; in them every request fails. ``own``: the outages are
    those of whoever serves factor 0, each of its levels for itself. ``rising``: requests until the full rate.
    ``right``: the least share that must be right, ``requests``: the most that the median may be.
    """

    truth: Truth
    rates: tuple[float, float] = (0.4, 0.02)
    outages: tuple[float, float] | None = None
    own: bool = False
    rising: int = 0
    max_requests: int = 120
    right: float | None = None
    requests: int | None = None


KINDS = {
    "one factor, 40 / 2 %": Kind("factor", max_requests=160, right=0.98, requests=60),
    "one factor, 100 / 0 %": Kind("factor", (1.0, 0.0), right=0.98, requests=60),
    "one factor, 60 / 5 %": Kind("factor", (0.6, 0.05), right=0.95, requests=60),
    "one factor, 33 / 7 %": Kind("factor", (0.33, 0.07), max_requests=240),
    "one factor, 25 / 2 %": Kind("factor", (0.25, 0.02), max_requests=240, right=0.9),
    "one factor, 15 / 2 %": Kind("factor", (0.15, 0.02), max_requests=400),
    "two factors together": Kind("pair", max_requests=240, right=0.85),
    "either of two factors": Kind("either", max_requests=240),
    "fails whatever is changed": Kind("none-of-them", max_requests=160, right=0.9),
    "fails always": Kind("none-of-them", (1.0, 1.0), right=0.98),
    "does not fail": Kind("does-not-fail", (0.0, 0.0), right=0.98),
    "does not fail, 2 % at random": Kind("does-not-fail", (0.02, 0.02), right=0.8),
    "outages of 1 request, 30 %": Kind("outages", (0.0, 0.0), (1, 0.3)),
    "outages of 5 requests, 30 %": Kind("outages", (0.0, 0.0), (5, 0.3)),
    "outages of 30 requests, 30 %": Kind("outages", (0.0, 0.0), (30, 0.3)),
    "one factor, and outages of 3": Kind("factor", outages=(3, 0.1), max_requests=160, right=0.8),
    "one factor, and outages of 10": Kind("factor", outages=(10, 0.1), max_requests=160, right=0.8),
    "one factor, and outages of 30": Kind("factor", outages=(30, 0.1), max_requests=160, right=0.8),
    "one factor, rising to 60 %": Kind("factor", (0.6, 0.02), rising=80, max_requests=160, right=0.9),
    "another host, outages of 5 at each": Kind("outages", (0.02, 0.02), (5, 0.2), own=True, max_requests=160),
    "another host, outages of 30 at each": Kind("outages", (0.02, 0.02), (30, 0.2), own=True, max_requests=160),
}
WRONG = 0.01
"""The most that may accuse an innocent factor, in every kind."""


def world(kind: Kind, cause: Sequence[int], draw: Random) -> Callable[[Config], bool]:
    """Whether a request fails; each call is the next request in time."""
    hosts = [_outages(kind, draw), _outages(kind, draw)]
    clock = count(1)

    def fails(config: Config) -> bool:
        down = [next(host) for host in hosts]
        levels = [config[factor] for factor in cause]
        caused = any(levels) if kind.truth == "either" else all(levels)
        rate = kind.rates[0 if caused else 1]
        if kind.rising:
            rate *= min(1.0, next(clock) / kind.rising)
        return down[kind.own and not config[0]] or draw.random() < rate

    return fails


def _outages(kind: Kind, draw: Random) -> Iterator[bool]:
    """Whether an outage is on: lengths are geometric with the mean that was asked for."""
    if kind.outages is None:
        while True:
            yield False
    length, share = kind.outages
    down = draw.random() < share
    while True:
        yield down
        down = draw.random() >= 1 / length if down else draw.random() < share / (1 - share) / length


class Found(NamedTuple):
    """What came of one world."""

    right: bool
    wrong: bool
    silent: bool
    requests: int


def found(kind: Kind, number: int, seed: int) -> Found:
    """Isolate the hidden cause of one world."""
    draw = Random(f"{seed}/{kind}/{number}")
    second = (number + 1 + draw.randrange(FACTORS - 1)) % FACTORS
    size = {"factor": 1, "pair": 2, "either": 2}.get(kind.truth, 0)
    cause = tuple(sorted((number % FACTORS, second)[:size]))
    fails = world(kind, cause, draw)
    design = Design(FACTORS, max_requests=kind.max_requests, seed=draw.getrandbits(32), own_outages=(0,) * kind.own)
    conclusion = isolated(design, fails)
    accused = set(conclusion.factors)
    right = not accused if kind.truth == "outages" else (conclusion.kind, conclusion.factors) == (kind.truth, cause)
    return Found(right, not accused <= set(cause), conclusion.kind == "not-explained", conclusion.requests)


def isolated(design: Design, fails: Callable[[Config], bool]) -> Conclusion:
    """The conclusion of an isolation whose requests fail like this."""
    isolation = Isolation(design)
    while block := isolation.next_block():
        isolation.add([(config, fails(config)) for config in block])
    conclusion = isolation.conclusion()
    assert conclusion is not None
    return conclusion


def isolation(worlds: int, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> Table:
    """The table of isolation."""
    rows = [(name, _figures(KINDS[name], [found(KINDS[name], at, seed) for at in range(worlds)])) for name in kinds]
    title = f"Isolation: {FACTORS} factors, {worlds} worlds per kind"
    return Table(title, ("hidden world", "right", "wrong", "silent", "requests", "nine of ten"), rows)


def _figures(kind: Kind, results: Sequence[Found]) -> list[Figure]:
    n = len(results)

    def share(values: Iterator[bool], bar: float | None, least: bool = False) -> Figure:
        return Figure(sum(values) / n, bar, least, 0.0 if bar is None else 2.6 * sqrt(bar * (1 - bar) / n))

    requests = sorted(result.requests for result in results)
    return [
        share((result.right for result in results), kind.right, least=True),
        share((result.wrong for result in results), WRONG),
        share((result.silent for result in results), None),
        Figure(requests[n // 2], kind.requests, slack=0.0 if n >= 100 else 12.0),
        Figure(requests[n * 9 // 10]),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sure_isolation", description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {'; '.join(KINDS)} (default: all)")
    parser.add_argument("--worlds", type=int, default=200, metavar="N", help="per kind (default 200)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    if unknown := set(options.kinds) - KINDS.keys():
        parser.error(f"there is no kind {', '.join(sorted(unknown))}")
    if options.worlds < 1:
        parser.error("--worlds must be 1 or more")
    missed = 0
    for kind in options.kinds or KINDS:
        table = isolation(options.worlds, options.seed, (kind,))
        print(table.text, flush=True)
        missed += table.missed
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
