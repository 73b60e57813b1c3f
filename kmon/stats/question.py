"""The question of a test: which pairs of arms it compares first, and how the error is shared among all pairs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import combinations

from msgspec import Struct

from kmon.errors import UsageError
from kmon.format import listed
from kmon.stats.statistics import holm
from kmon.stats.trial import Arm

Pair = tuple[Arm, Arm]


class Question(Struct, frozen=True):
    """Does the suspect fail more often, or less often, than each of its controls? Targets by name; two-sided.

    A control that fails more often is an answer too, and one that a one-sided test could not give.
    """

    suspect: str
    controls: tuple[str, ...]

    def asks(self, pair: Pair) -> bool:
        """Whether the two arms are the suspect and a control, with the same scenario."""
        first, second = pair
        names = {first.target, second.target}
        return first.scenario == second.scenario and self.suspect in names and bool(names & set(self.controls))


def question_of(raced: Sequence[str], suspect: str | None, controls: Sequence[str]) -> Question | None:
    """The declared question about the targets ``raced``; every other target is a control if none is named.

    Raises :class:`UsageError` for names that are not raced, and for a suspect without a control.
    """
    if suspect is None:
        if controls:
            raise UsageError(f"--control {','.join(controls)} needs --suspect, the target that they are compared with")
        return None
    for flag, name in (("--suspect", suspect), *(("--control", name) for name in controls)):
        if name not in raced:
            near = difflib.get_close_matches(name, raced, n=1)
            hint = f"did you mean {near[0]}?" if near else f"name one of {listed(raced, 'or')}"
            raise UsageError(f"{flag} {name}: no such target is raced here; {hint}")
    if suspect in controls:
        raise UsageError(f"{suspect} cannot be the suspect and a control; leave it out of one of them")
    beside = tuple(dict.fromkeys(controls or [name for name in raced if name != suspect]))
    if not beside:
        raise UsageError(f"--suspect {suspect} needs at least one control beside it; name another target")
    return Question(suspect, beside)


def claims(arms: Sequence[Arm], question: Question | None) -> list[Pair]:
    """The pairs that a test of these arms compares first: those that the question asks for, without one all."""
    return [pair for pair in combinations(arms, 2) if question is None or question.asks(pair)]


def corrected(p_values: Sequence[float], asked: Sequence[bool]) -> tuple[float, ...]:
    """Adjusted p-values, in the order given; each compares with the level of the whole family.

    Closed testing with a serial gate (Dmitrienko and Tamhane 2007): Holm's procedure among the comparisons that are
    ``asked``, and among all others only once every one of these is proven.
    """
    first = holm([p for p, of_question in zip(p_values, asked, strict=True) if of_question])
    rest = holm([p for p, of_question in zip(p_values, asked, strict=True) if not of_question])
    gate = max(first, default=0.0)
    ours, others = iter(first), iter(rest)
    return tuple(next(ours) if of_question else max(gate, next(others)) for of_question in asked)
