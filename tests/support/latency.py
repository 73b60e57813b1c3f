"""Arms with given times, for the tests of latency."""

from collections.abc import Mapping, Sequence

from kmon.stats.latency import Latency, latency
from kmon.stats.outcome import OutcomeName
from kmon.stats.trial import Arm, Trial

GAPS_OF_THE_REPORT = (18.51, 33.57, 15.00, 25.96, 22.44)
"""The longest gap of each stream of the field report, in seconds."""
SMOOTH = (0.11, 0.09, 0.12, 0.1, 0.08)


def timed(
    target: str,
    gaps_s: Sequence[float],
    *,
    ttft_s: Sequence[float] = (),
    scenario: str = "code",
    outcome: OutcomeName = "pass",
) -> list[Trial]:
    """A run per round with these longest gaps; the first token comes after about 0.4 s where not given."""
    return [
        Trial(
            target=target,
            scenario=scenario,
            round=at,
            outcome=outcome,
            ttft_s=ttft_s[at - 1] if ttft_s else 0.4 + 0.01 * ((at * 7 + len(target)) % 5),
            max_gap_s=gap_s,
            duration_s=10 + gap_s,
            tokens_per_s=500 / (10 + gap_s),
        )
        for at, gap_s in enumerate(gaps_s, 1)
    ]


def latency_of(*arms: Sequence[Trial]) -> Latency:
    """The latency of arms with one run per round."""
    rounds: Mapping[Arm, Mapping[int, Trial]] = {runs[0].arm: {run.round: run for run in runs} for runs in arms}
    return latency(rounds, {arm: arm.target for arm in rounds})
