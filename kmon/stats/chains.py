"""The chance that several tool uses in a row go well: measured on chains, and computed where none was run that long.

Where chains were run, the chance of ``n`` uses is the product limit over their steps: of the chains that took a step,
the share that survived it. A chain that the user or a rate limit ended is censored there. The unit is the chain, so
that its interval holds whatever the uses of one chain have in common.

Beyond the longest chain nothing is measured. The chance is then the power of the longest measured one, as if uses were
independent. If chains differ from each other it is more (Jensen's inequality), and it is never more than that of the
longest one: the interval reaches from the power of the lower end to the upper end. It takes for granted that a use late
in a chain fails no more often than an early one. Where only single uses were run, all are powers of their rate.

Coverage of the 95 % interval at 1 to 10 uses, in 2,000 simulated tests of 20 chains of 5 uses, with and without one
chain of five cut by the user: 0.956 to 0.987 where uses are independent, 0.957 to 0.998 where 70 % of the chains have a
rate of 0.99 per use and the others 0.6, 0.973 to 0.985 where a chain passes as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from kmon.stats.product_limit import Step, share_surviving, survival_interval
from kmon.stats.statistics import Interval, compound
from kmon.stats.trial import Trial

USES = (1, 2, 3, 4, 5, 10)
Basis = Literal["chains", "extrapolated", "independent"]
"""``chains``: measured. ``extrapolated``: beyond the longest chain. ``independent``: a power of the rate of one use."""


class Compound(Struct, frozen=True, omit_defaults=True):
    """The probability that ``uses`` tool uses in a row pass, with its 95 % interval, and what it is based on.

    ``chains_through`` of the ``chains`` whose fate is known passed that many uses; both are None where no chain was
    run that long.
    """

    uses: int
    rate: float
    interval: Interval
    chains_through: int | None = None
    chains: int | None = None
    basis: Basis = "independent"


def compounds(trials: Sequence[Trial]) -> tuple[Compound, ...]:
    """The chances of ``USES`` in a row, from all runs of an arm; empty where nothing was measured."""
    chains = [trial for trial in trials if trial.tool_uses is not None]
    return _of_chains(chains) if chains else _of_single_uses([trial for trial in trials if trial.counted])


def _of_single_uses(trials: Sequence[Trial]) -> tuple[Compound, ...]:
    if not trials:
        return ()
    step = Step(len(trials), sum(trial.failed for trial in trials))
    rate, interval = share_surviving([step]), survival_interval([step])
    return tuple(Compound(uses, *compound(rate, interval, uses)) for uses in USES)


def _of_chains(chains: Sequence[Trial]) -> tuple[Compound, ...]:
    steps = _steps(chains)
    longest = len(steps)
    if not steps:
        return ()
    rows = []
    for uses in USES:
        taken = steps[:uses]
        rate, interval = share_surviving(taken), survival_interval(taken)
        if uses <= longest:
            through = sum(_done(chain) >= uses for chain in chains)
            lost = sum(chain.failed and _done(chain) < uses for chain in chains)
            rows.append(Compound(uses, rate, interval, through, through + lost, "chains"))
        else:
            power = uses / longest
            rows.append(Compound(uses, rate**power, Interval(interval.low**power, interval.high), basis="extrapolated"))
    return tuple(rows)


def _steps(chains: Sequence[Trial]) -> list[Step]:
    """The steps of the chains, one per use, as far as a chain took one."""
    steps = []
    planned = max(chain.chain_steps or _done(chain) for chain in chains)
    for use in range(1, planned + 1):
        lost = sum(chain.failed and _done(chain) == use - 1 for chain in chains)
        at_risk = lost + sum(_done(chain) >= use for chain in chains)
        if not at_risk:
            break
        steps.append(Step(at_risk, lost))
    return steps


def _done(chain: Trial) -> int:
    return chain.tool_uses or 0
