"""Reduces a failing request to the smallest that still fails, although it fails only sometimes.

The parts are split in halves, and each half is tried without the other. If one still fails, the search goes on in it;
if neither does, parts of both are needed (QuickXplain, Junker 2004). Whether a candidate still fails is decided by a
sequential test against the whole request, which is sent beside it all the time: a time in which nothing fails is no
evidence that the cause was removed, and a block in which everything fails may be an outage.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import cycle, islice
from math import ceil, log, log1p
from random import Random
from typing import Literal

from msgspec import Struct

from kmon.stats.isolation.contest import Contest
from kmon.stats.isolation.state import Rate, rate_of

Kept = tuple[bool, ...]
"""One entry per part: whether the request still has it."""
Parts = tuple[int, ...]
Outcome = Literal["smallest", "fails-without-parts", "does-not-fail", "vanished", "not-enough"]
Search = Generator[tuple[Parts, ...], int | None, Parts]
"""Yields candidates to be tried against each other; is sent the place of one that fails, or None."""

MOST_REQUESTS = 100_000
"""More than anybody pays for."""


class Shrunk(Struct, frozen=True):
    """What a request was reduced to. ``kept`` are the parts that remain, ``rate`` is how often just these failed.

    "smallest": none of them can be spared; "fails-without-parts": it fails without any part; "does-not-fail": not even
    the whole does; "vanished": the whole has stopped failing; "not-enough": the smallest so far, more requests needed.
    """

    outcome: Outcome
    kept: Parts
    rate: Rate
    whole: Rate
    requests: int


class Shrink:
    """One reduction: send :meth:`next_block`, hand the outcomes to :meth:`add`, until there is a :meth:`result`."""

    def __init__(self, parts: int, rate: float, max_requests: int, seed: int, block: int = 4) -> None:
        """``rate``: what counts as failing; a quarter of it does not. Raises ValueError for what cannot be done."""
        if parts < 1:
            raise ValueError("a request without parts cannot be reduced")
        if not 0 < rate < 1:
            raise ValueError(f"the failure rate must be between 0 and 1, not {rate:g}")
        if not 3 <= block <= 8:
            raise ValueError(f"a block has from 3 to 8 requests, not {block}")
        if max_requests < block:
            raise ValueError(f"{max_requests} requests are less than one block of {block}")
        self._rate, self._max_requests, self._block = rate, max_requests, block
        self._random = Random(seed)
        self._all: Parts = tuple(range(parts))
        self._outcomes: list[tuple[Kept, bool]] = []
        self._requests = 0
        self._pending: tuple[Kept, ...] = ()
        self._smallest = self._all
        self._search: Search | None = None
        self._candidates: tuple[Parts, ...] = (self._all,)
        self._contest = Contest(1, rate, rate)
        self._result: Shrunk | None = None

    @property
    def smallest(self) -> Parts:
        """The fewest parts so far that were seen to fail; at first all of them."""
        return self._smallest

    def next_block(self) -> tuple[Kept, ...]:
        """The requests to send now, together and in this order, as what each keeps; none when it is over.

        The same block until its outcomes were added.
        """
        if not self._pending and self._result is None:
            candidates = [self._candidates[at] for at in self._contest.undecided]
            turns = cycle(candidates if self._search is None else [*candidates, self._all])
            sent = [self._kept(parts) for parts in islice(turns, self._block)]
            self._random.shuffle(sent)
            self._pending = tuple(sent)
        return self._pending

    def add(self, block: Sequence[tuple[Kept, bool | None]]) -> None:
        """Add the outcomes of the block: True failed, False passed, None says nothing, as does a missing request.

        Raises ValueError for a request that was not in the open block.
        """
        if not self._pending or not {kept for kept, _ in block} <= set(self._pending):
            raise ValueError("a result of a request that is not in the open block")
        self._requests += len(self._pending)
        self._pending = ()
        told = [(kept, failed) for kept, failed in block if failed is not None]
        self._outcomes += told
        tried = [[failed for kept, failed in told if kept == self._kept(parts)] for parts in self._candidates]
        whole = [failed for kept, failed in told if all(kept)] if self._search is not None else []
        self._contest.add(tried, whole)
        self._go_on()

    def result(self) -> Shrunk | None:
        """What remains of the request, once that is known, or once no more may be sent."""
        return self._result

    def _go_on(self) -> None:
        if self._contest.decided:
            self._decide(self._contest.failing)
        elif self._search is not None and self._quiet() >= ceil(log(20) / -log1p(-self._rate)):
            self._end("vanished")
        if self._result is None and self._max_requests - self._requests < self._block:
            self._end("not-enough")

    def _decide(self, failing: int | None) -> None:
        if failing is not None:
            self._smallest = min(self._smallest, self._candidates[failing], key=len)
        try:
            if self._search is not None:
                self._candidates = self._search.send(failing)
            elif failing is None:
                self._end("does-not-fail")
                return
            else:
                self._search = _smallest(self._all)
                self._candidates = next(self._search)
        except StopIteration as done:
            self._smallest = done.value
            self._end("smallest" if done.value else "fails-without-parts")
            return
        whole = self._rate_of(self._all)
        self._contest = Contest(len(self._candidates), self._rate, (whole.failures + 0.5) / (whole.runs + 1))

    def _end(self, outcome: Outcome) -> None:
        kept, whole = self._rate_of(self._smallest), self._rate_of(self._all)
        self._result = Shrunk(outcome, self._smallest, kept, whole, self._requests)

    def _quiet(self) -> int:
        """Passes of the whole request since it last failed."""
        whole = [failed for kept, failed in self._outcomes if all(kept)]
        return len(whole) if True not in whole else whole[::-1].index(True)

    def _kept(self, parts: Parts) -> Kept:
        return tuple(part in parts for part in self._all)

    def _rate_of(self, parts: Parts) -> Rate:
        outcomes = [failed for kept, failed in self._outcomes if kept == self._kept(parts)]
        return rate_of(outcomes.count(True), len(outcomes))


def least_requests(parts: int, rate: float) -> int:
    """Fewer requests answer nothing: as many as it takes if none fails, or if all do that have the first part."""
    never = _requests_of(Shrink(parts, rate, MOST_REQUESTS, 0), lambda _: False)
    return min(never, _requests_of(Shrink(parts, rate, MOST_REQUESTS, 0), lambda kept: kept[0]))


def _requests_of(shrink: Shrink, fails: Callable[[Kept], bool]) -> int:
    while block := shrink.next_block():
        shrink.add([(kept, fails(kept)) for kept in block])
    result = shrink.result()
    assert result is not None, "no block was left"
    return result.requests


def _smallest(parts: Parts) -> Search:
    found = yield from _needed((), parts)
    # A half that fails is given up too early now and then; so each part is tried for being spared, at the end.
    while (spared := (yield tuple(tuple(part for part in found if part != each) for each in found))) is not None:
        found = found[:spared] + found[spared + 1 :]
        if not found:
            break
    return found


def _needed(base: Parts, suspects: Parts) -> Search:
    """The suspects without which ``base`` does not fail; with all of them it does."""
    if len(suspects) == 1:
        return suspects
    half = len(suspects) // 2
    first, second = suspects[:half], suspects[half:]
    failing = yield (base + first, base + second)
    if failing is not None:
        return (yield from _needed(base, (first, second)[failing]))
    found = yield from _needed(base + second, first)
    return tuple(sorted(found + (yield from _needed(base + found, second))))
