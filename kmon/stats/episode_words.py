"""Sentences about differences that were there while a test ran, and that outages of equal targets may explain."""

from __future__ import annotations

from kmon.format import p_equals, plural
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


def seen_words(pair: Comparison, corrected: bool) -> str:
    """The statement about a difference that is beyond chance while the test ran but not proven to last."""
    p = p_equals(pair.p_rounds_holm if corrected else pair.p_rounds)
    counts = f"{pair.worse_failed} of {pair.worse_n} against {pair.better_failed} of {pair.better_n}"
    seen = f"{pair.worse} failed more than {pair.better} while the test ran ({counts}, {p} by rounds)"
    if pair.unbroken:
        return f"{seen}: {UNBROKEN}"
    return f"{seen}{episodes_against(pair)} ({p_equals(pair.p)}), so outages of equal targets explain it as well"
