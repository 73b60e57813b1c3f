"""How a factor stands, in a few words."""

from __future__ import annotations

from kmon.format import percent
from kmon.isolate.stages import Stage
from kmon.stats.isolation.state import FactorState


def standing(stage: Stage, each: FactorState) -> str:
    """Whether a factor is the cause, still open, or dropped, and why."""
    found = stage.conclusion
    if found is not None and each.factor in found.factors:
        if stage.requests.parts.get(stage.factors[each.factor].name):  # a later stage tells which
            return "the cause, or a part of it"
        return "the cause" if len(found.factors) == 1 else "part of the cause"
    if each.dropped:
        return each.why or "dropped"
    return "open" if found is None else ""


def probability_words(share: float) -> str:
    """``93 %``, ``< 1 %``, ``> 99 %``."""
    if share < 0.01:
        return "< 1 %"
    return "> 99 %" if share > 0.99 else f"{percent(share)} %"
