"""Words on episodes of failures, and on what one unbroken episode can tell."""

from __future__ import annotations

from kmon.format import duration_words, plural
from kmon.stats.pairs import Comparison

UNBROKEN = (
    "it failed in every round, which is one episode, so an outage explains it as well as a lasting fault; "
    "test again later, or spread the rounds over hours"
)

OUTAGES = "outages that each of them has as often"
NEITHER = f"neither chance nor {OUTAGES} explain it"
"""What a proof by episodes says: the two arms differ by more than equal laws of failure and outage allow."""
SHORT_TEST_S = 600.0
"""A test of less than this, in s, is told to say nothing about other hours; outages commonly last as long."""


def short_test(duration_s: float) -> str:
    """``. A test of 46 s says nothing about other hours``; empty if it was long, or is not known."""
    if not 0 < duration_s < SHORT_TEST_S:
        return ""
    return f". A test of {duration_words(duration_s)} says nothing about other hours"


def episodes_against(pair: Comparison) -> str:
    """``, in 2 episodes against 0``; empty where rounds were counted, or nothing."""
    if not pair.clean_rounds or not pair.episodes_worse:
        return ""
    return f", in {plural(pair.episodes_worse, 'episode')} against {pair.episodes_better}"
