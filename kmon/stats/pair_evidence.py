"""Exact tests of two arms, from the results of their rounds in order: by episodes of failures, and by rounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile, islice
from typing import NamedTuple

from kmon.stats.episodes import EpisodeCounter
from kmon.stats.statistics import fisher_exact, mcnemar_exact


class PairEvidence(NamedTuple):
    """P-values by episodes and by rounds, with the counts behind them: of the worse arm, then of the better."""

    p: float
    episodes: tuple[int, int]
    clean_rounds: int
    p_rounds: float
    alone: tuple[int, int]


def paired_evidence(ours: Sequence[bool], theirs: Sequence[bool], *, shared_outages: bool) -> PairEvidence:
    """McNemar's test, on the episodes at the spacing at which they prove least."""
    counter = EpisodeCounter(shared_outages=shared_outages)
    for first, second in zip(ours, theirs, strict=True):
        counter.add(first, second)
    p, found = max((mcnemar_exact(spaced.first, spaced.second), spaced) for spaced in counter.spaced())
    alone = (counter.first_alone, counter.second_alone)
    return PairEvidence(p, (found.first, found.second), found.clean_rounds, mcnemar_exact(*alone), alone)


def unpaired_evidence(ours: Sequence[bool], theirs: Sequence[bool]) -> PairEvidence:
    """Fisher's test of how often a round that could begin an episode did, at the spacing at which it proves least.

    Each arm counts from its first pass on: an outage that began before the test is no failure of the round it began in,
    and would weigh more in the shorter of two arms.
    """
    counters = EpisodeCounter(), EpisodeCounter()
    for counter, rounds in zip(counters, (ours, theirs), strict=True):
        for failed in islice(dropwhile(lambda failed: failed, rounds), 1, None):
            counter.add(failed)
    widest = max(spaced.clean_rounds for counter in counters for spaced in counter.spaced())
    found = []
    for clean_rounds in range(1, widest + 1):
        a, b = (counter.at(clean_rounds) for counter in counters)
        p = fisher_exact(a.begun, a.chances - a.begun, b.begun, b.chances - b.begun)
        found.append((p, (a.begun, b.begun), clean_rounds))
    failures = sum(ours), sum(theirs)
    p_rounds = fisher_exact(failures[0], len(ours) - failures[0], failures[1], len(theirs) - failures[1])
    return PairEvidence(*max(found), p_rounds, failures)
