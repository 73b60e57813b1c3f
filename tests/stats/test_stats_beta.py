"""Promises of the beta distribution: scipy's figures, and quantiles that undo shares."""

from math import exp

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmon.stats.beta import beta_quantile, ln_beta_tail

SHAPE = st.floats(-1, 5).map(lambda power: 10**power)
SHARE = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.references
@given(SHARE, SHAPE, SHAPE, st.floats(-6, 6))
def test_shares_and_quantiles_are_scipys(share: float, a: float, b: float, off: float) -> None:
    from scipy import special  # here, since every process of the tests imports all of them

    mean, sd = a / (a + b), (a * b / (a + b + 1)) ** 0.5 / (a + b)
    for x in (share, min(1 - 1e-9, max(1e-9, mean + off * sd))):
        assert exp(ln_beta_tail(x, a, b)) == pytest.approx(float(special.betainc(a, b, x)), abs=1e-9)
    assert beta_quantile(share, a, b) == pytest.approx(float(special.betaincinv(a, b, share)), abs=1e-9)


@given(SHARE, st.floats(0.5, 10_000), st.floats(0.5, 10_000))
@example(0.025, 1.0, 1.0)
def test_a_quantile_has_its_share_below_it(share: float, a: float, b: float) -> None:
    x = beta_quantile(share, a, b)
    assert 0 <= x <= 1
    assert exp(ln_beta_tail(x, a, b)) == pytest.approx(share, rel=1e-6)
    assert beta_quantile(1 - share, b, a) == pytest.approx(1 - x, abs=1e-9)


def test_closed_forms_hold() -> None:
    assert beta_quantile(0.3, 1, 1) == pytest.approx(0.3, abs=1e-12)
    assert beta_quantile(0.025, 20, 1) == pytest.approx(0.025 ** (1 / 20), abs=1e-12)
    assert (beta_quantile(0.5, 0, 3), beta_quantile(0.5, 3, 0)) == (0.0, 1.0)
