"""Words for the runs of a test that are neither passes nor failures: rate limits, runs cut short, disturbed runs."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.format import listed, percent, plural
from kmon.stats.summary import ArmFigures


def left_out(arms: Sequence[ArmFigures]) -> str:
    """What no rate of a verdict includes, per target; begins with ``; `` and is empty where there is nothing."""
    parts = []
    if limited := [arm for arm in arms if arm.rate_limited]:
        parts.append(f"rate-limited and left out: {_of_each(limited)}")
    for arm in arms:
        if arm.cut_short and arm.worst is not None and arm.best is not None:
            bounds = f"with them {arm.name} passes {percent(arm.worst)} to {percent(arm.best)} %"
            parts.append(f"{plural(arm.cut_short, 'run')} cut short by you left out, {bounds} of its runs")
    if disturbed := sum(arm.disturbed for arm in arms):
        alone = ", and what ran beside them compares with nothing" if len(arms) > 1 else ""
        parts.append(f"{plural(disturbed, 'run')} disturbed by this machine left out{alone}")
    return "".join(f"; {part}" for part in parts)


def nothing_counts(arms: Sequence[ArmFigures]) -> str:
    """The conclusion of a test in which no run counts."""
    limited = [arm for arm in arms if arm.rate_limited]
    others = any(arm.cut_short or arm.disturbed or arm.not_asked or arm.cancelled for arm in arms)
    if limited and not others:
        wait = "ask more slowly (--spacing or --over), or later"
        return f"nothing was measured: every request was refused for its rate ({_of_each(limited)}); {wait}"
    return f"nothing was measured: no run counts{left_out(arms)}"


def _of_each(arms: Sequence[ArmFigures]) -> str:
    return listed([f"{arm.rate_limited} of {arm.n + arm.cut_short + arm.rate_limited} at {arm.name}" for arm in arms])
