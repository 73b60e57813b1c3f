"""Evidence, valid however often one looks, that one of two arms keeps its users waiting longer while a test runs.

Only rounds in which both passed count, because failures are another question. In each the longest silence is compared,
before the first token or after it. A round counts for one arm if its silence is longer by a margin that everybody
notices; if both arms have the same law, it is as likely to count for either.

The statement is about the time of the test: a slow spell of one arm that begins with the race cannot be told from a
lasting difference. With spells of 10 rounds in a tenth of the time, 13 % of races between equal arms end with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from statistics import median

from kmon.format import listed, plural
from kmon.stats.cause import cause
from kmon.stats.e_values import closed, ln_e_pairs_differ
from kmon.stats.pairs import Factor
from kmon.stats.slow_spells import SPELL_LEVEL, slow_spells_p
from kmon.stats.trial import Arm, Trial

LONGER_S = 1.0
LONGER_TIMES = 3.0
"""A silence is longer if it is so many seconds, and so many times as long."""
_LEAST_S = 0.001
_LOOKS = 10
"""The test against slow spells is looked at after every round, so it must be stricter than at the end of a test."""


class PairWaits:
    """The silences of two arms, in seconds. They differ in ``factors``."""

    def __init__(self, pair: tuple[Arm, Arm], names: Mapping[Arm, str], factors: tuple[Factor, ...]) -> None:
        self.factors = factors
        self._pair, self._names = pair, names
        self._silences: tuple[list[float], list[float]] = ([], [])
        self._longer = [0, 0]

    def add(self, runs: Mapping[Arm, Trial]) -> None:
        """Add a round."""
        trials = [runs[arm] for arm in self._pair]
        silences = [max(trial.ttft_s or 0.0, trial.max_gap_s or 0.0) for trial in trials]
        if any(trial.outcome != "pass" for trial in trials):
            return
        for kept, silence, other, at in zip(self._silences, silences, silences[::-1], (0, 1), strict=True):
            kept.append(silence)
            self._longer[at] += silence >= max(other + LONGER_S, other * LONGER_TIMES)

    @property
    def ln_e(self) -> float:
        """The log e-value that one of the two waits longer."""
        return ln_e_pairs_differ(*self._longer)

    @property
    def slower(self) -> str:
        return self._names[self._pair[self._longer[1] > self._longer[0]]]

    @property
    def faster(self) -> str:
        return self._names[self._pair[self._longer[1] <= self._longer[0]]]

    def effect(self) -> str:
        """``22 s in the median run, y 0.1 s: longer in 9 of 9 rounds``."""
        medians = sorted((median(kept) for kept in self._silences), reverse=True)
        seen = f"longer in {max(self._longer)} of {plural(len(self._silences[0]), 'round')}"
        return f"{medians[0]:.2g} s in the median run, {self.faster} {medians[1]:.2g} s: {seen}"

    def steady(self, pairs: int) -> bool:
        """Whether slow spells of several rounds do not explain it, corrected for the number of ``pairs``."""
        ratios = [
            log(max(first, _LEAST_S) / max(second, _LEAST_S)) for first, second in zip(*self._silences, strict=True)
        ]
        return slow_spells_p(ratios) * pairs <= SPELL_LEVEL / _LOOKS


def proven_waits(pairs: Sequence[PairWaits], ln_needed: float) -> tuple[list[PairWaits], float]:
    """The pairs whose evidence, corrected for their number, reaches ``ln_needed``, and the largest such evidence."""
    ln_e_values = closed([pair.ln_e for pair in pairs]) if pairs else []
    found = [
        (pair, ln_e)
        for pair, ln_e in zip(pairs, ln_e_values, strict=True)
        if ln_e >= ln_needed and pair.steady(len(pairs))
    ]
    return [pair for pair, _ in found], max((ln_e for _, ln_e in found), default=0.0)


def waits_told(pairs: Sequence[PairWaits], evidence: str) -> str:
    """The sentences about proven waits of passing runs, and what they say about the cause."""
    words: dict[str, list[PairWaits]] = {}
    for pair in pairs:
        words.setdefault(pair.slower, []).append(pair)
    effects = [f"{slower} stood still for {listed([of.effect() for of in found])}" for slower, found in words.items()]
    causes = [cause([(pair.faster, pair.factors) for pair in found]) for found in words.values()]
    sure = f"Chance alone hardly explains that ({evidence}); a test at another hour tells whether it lasts"
    return ". ".join([f"among runs that passed, while the test ran, {'; '.join(effects)}", sure, *causes])
