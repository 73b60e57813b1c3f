"""Promises about episodes: one outage counts once, and arms with the same outages are a fair coin."""

import math
import random
from itertools import islice, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.stats.compare import compare
from kmon.stats.e_values import ln_e_pairs_differ
from kmon.stats.episodes import Clustering, EpisodeCounter, clustering, few_runs
from kmon.stats.pair_evidence import paired_evidence, unpaired_evidence
from tests.support.outages import outages
from tests.support.seed import ALL, KIMI, NOVA, SCATTERED, experiment, run

RESULTS = st.lists(st.booleans(), max_size=60)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


def counted(first: str, second: str = "") -> EpisodeCounter:
    """Rounds as in ``FPF``; the second arm passes where nothing is given."""
    counter = EpisodeCounter()
    for at, letter in enumerate(first):
        counter.add(letter == "F", second[at : at + 1] == "F")
    return counter


@pytest.mark.parametrize(
    ("first", "second", "episodes"),
    [
        ("FFFPFPPPPP", "PPPPPPPPPP", (2, 0)),  # the field report
        ("FFFFFFFFFF", "PPPPPPPPPP", (1, 0)),
        ("FPFPF", "PPPPP", (3, 0)),
        ("FFPPFF", "PFFPPP", (2, 0)),  # the second fails within the first one's episode
        ("FPPPPF", "FFPPFF", (0, 2)),  # both begin; then the second alone
        ("FFPP", "FFPP", (0, 0)),
        ("PFP", "PPF", (1, 0)),  # no clean round between
        ("PFPP", "PPPF", (1, 1)),
    ],
)
def test_an_episode_counts_for_the_arm_that_first_fails_alone(
    first: str, second: str, episodes: tuple[int, int]
) -> None:
    found = counted(first, second).at(1)
    assert (found.first, found.second) == episodes


@given(PAIRS, st.integers(0, 5))
def test_swapping_the_arms_swaps_the_episodes(rounds: list[tuple[bool, bool]], clean_rounds: int) -> None:
    counter, swapped = EpisodeCounter(), EpisodeCounter()
    for first, second in rounds:
        counter.add(first, second)
        swapped.add(second, first)
    ours, theirs = counter.at(clean_rounds), swapped.at(clean_rounds)
    assert ours == theirs._replace(first=theirs.second, second=theirs.first)
    assert ours.first + ours.second <= ours.begun <= ours.chances <= len(rounds)


@given(PAIRS)
def test_spacing_zero_counts_rounds(rounds: list[tuple[bool, bool]]) -> None:
    counter = EpisodeCounter(shared_outages=True)
    for first, second in rounds:
        counter.add(first, second)
    (found,) = counter.spaced()
    assert (found.first, found.second) == (counter.first_alone, counter.second_alone)


@given(PAIRS, st.integers(1, 4))
def test_a_spacing_may_be_asked_for_before_or_after_the_rounds(
    rounds: list[tuple[bool, bool]], clean_rounds: int
) -> None:
    early, late = EpisodeCounter(), EpisodeCounter()
    early.at(clean_rounds)
    for first, second in rounds:
        early.add(first, second)
        late.add(first, second)
    assert early.at(clean_rounds) == late.at(clean_rounds)


@given(RESULTS, st.integers(1, 10), st.integers(0, 60))
def test_a_longer_outage_is_no_more_evidence(failed: list[bool], longer: int, at: int) -> None:
    hits = [n for n, hit in enumerate(failed) if hit]
    if not hits:
        return
    at = hits[at % len(hits)]
    stretched = failed[:at] + [True] * longer + failed[at:]
    ours, theirs = (counted("".join("F" if hit else "P" for hit in one)).at(1) for one in (failed, stretched))
    assert ours == theirs


def test_under_equal_outages_the_expected_evidence_is_one() -> None:
    """All courses of 7 rounds of two arms that fall with 0.3 and recover with 0.4, from a clean start."""
    expected = []
    for course in product(product((False, True), repeat=2), repeat=7):
        weight, counter, up = 1.0, EpisodeCounter(), [True, True]
        for failed in course:
            for arm in (0, 1):
                falls = 0.3 if up[arm] else 0.6
                weight *= falls if failed[arm] else 1 - falls
                up[arm] = not failed[arm]
            counter.add(*failed)
        found = counter.at(1)
        expected.append(weight * math.exp(ln_e_pairs_differ(found.first, found.second)))
    assert math.fsum(expected) == pytest.approx(1.0, abs=1e-9)


def test_scattered_failures_are_one_clean_round_apart_and_clustered_ones_more() -> None:
    draw = random.Random(1)
    steady = EpisodeCounter()
    for _ in range(200):
        steady.add(draw.random() < 0.3)
    assert max(spaced.clean_rounds for spaced in steady.spaced()) <= 2
    partial = counted("P" * 60 + "FPFPFFPFPFFPPFFPFPFF" + "P" * 60 + "FPFPFFPFP" + "P" * 40)
    *_, last = partial.spaced()
    assert last.begun == 2 < partial.at(1).begun


# -- the runs test -----------------------------------------------------------------------------------------------------


@pytest.mark.references
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
def test_the_number_of_runs_is_hypergeometric(failures: int, passes: int, runs: int) -> None:
    from scipy import stats

    theirs = float(stats.hypergeom.cdf(runs, failures + passes, passes + 1, failures))
    assert few_runs(failures, passes, runs) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("failed", ["FFFPFPPPPP", "FFPPPP", "FPFPF", "PFFFFP", "F", "FFF", "FPPP"])
def test_the_runs_test_is_the_share_of_orders_with_as_few_runs(failed: str) -> None:
    results = [letter == "F" for letter in failed[:8]]
    found = clustering(results)
    assert found is not None
    orders = [clustering(order) for order in permutations(results)]
    assert found.p == pytest.approx(
        sum(order is not None and order.runs <= found.runs for order in orders) / len(orders)
    )


def test_an_arm_says_whether_its_failures_came_together() -> None:
    kimi, nova = compare(experiment(targets=(KIMI, NOVA)), ALL).arms
    assert kimi.clustered == Clustering(pytest.approx(70 / 210), 2, 3)
    assert nova.clustered is None
    together = [run(KIMI, n, "hang-mid-stream" if 20 < n <= 30 else "pass") for n in reversed(range(1, 61))]
    (arm,) = compare(together, ALL).arms
    assert arm.clustered is not None and arm.clustered.p < 1e-6
    assert (arm.clustered.runs, arm.clustered.longest) == (1, 10)


# -- tests with a fixed number of rounds -------------------------------------------------------------------------------


def results(draw: random.Random, n: int, down: float, rounds: float) -> list[bool]:
    return list(islice(outages(draw, down=down, rounds=rounds), n))


@pytest.mark.parametrize("rounds", [3, 10, 30])
@pytest.mark.parametrize("sizes", [(100, 100), (100, 20)])
def test_equal_outages_prove_no_difference(rounds: int, sizes: tuple[int, int]) -> None:
    draw = random.Random(rounds)
    paired = unpaired = naive = 0
    for _ in range(400):
        ours, theirs = (results(draw, n, 0.2, rounds) for n in sizes)
        unpaired += unpaired_evidence(ours, theirs).p <= 0.05
        both = paired_evidence(ours[: len(theirs)], theirs, shared_outages=False)
        paired, naive = paired + (both.p <= 0.05), naive + (both.p_rounds <= 0.05)
    assert paired <= 28 and unpaired <= 28
    if sizes[0] == sizes[1] and rounds >= 10:
        assert naive > 100  # what counting rounds would have proved


def test_scattered_failures_prove_as_much_by_episodes_as_by_rounds() -> None:
    pairs = compare(experiment(30, SCATTERED, (KIMI, NOVA)), ALL).comparisons
    assert pairs[0].p == pairs[0].p_rounds < 0.001


def test_a_target_that_never_passes_is_seen_but_not_proven_to_last() -> None:
    verdict = compare(experiment(30, range(1, 11), (KIMI, NOVA)), ALL)
    (pair,) = verdict.comparisons
    assert (pair.seen, pair.proven, pair.unbroken, pair.more_rounds) == (True, False, True, None)
    assert verdict.conclusion.startswith(
        "bedrock/kimi-k2.5 failed 100 percentage points more often while the test ran than bedrock/nova-pro "
        "(95 %: 84 to 100 points; 30 of 30 runs against 0 of 30, in 1 episode against 0, over 30 s). "
        "Chance alone hardly explains that (p < 0.0001). But it failed in every round, which is one episode, "
        "so an outage explains it as well as a lasting fault; test again later, or spread the rounds over hours"
    )


def test_rounds_left_out_do_not_end_an_episode() -> None:
    trials = [run(KIMI, n, "disturbed" if n % 2 else "hang-mid-stream") for n in range(1, 41)]
    (pair,) = compare([*trials, *(run(NOVA, n) for n in range(1, 41))], ALL).comparisons
    assert (pair.only_worse, pair.episodes_worse, pair.proven) == (20, 1, False)
