"""Words on episodes of failures, and on what one unbroken episode can tell."""

from __future__ import annotations

from kmon.format import plural
from kmon.stats.pairs import Comparison

UNBROKEN = (
    "it failed in every round, which is one episode, so an outage explains it as well as a lasting fault; "
    "test again later, or spread the rounds over hours"
)


def episodes_against(pair: Comparison) -> str:
    """``, in 2 episodes against 0``; empty where rounds were counted, or nothing."""
    if not pair.clean_rounds or not pair.episodes_worse:
        return ""
    return f", in {plural(pair.episodes_worse, 'episode')} against {pair.episodes_better}"
