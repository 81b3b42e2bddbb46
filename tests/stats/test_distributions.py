"""Quantiles and chances, against `scipy.stats`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from perfkit.stats.distributions import binomial_cdf, binomial_ppf, student_ppf
from tests.fresh import in_fresh_interpreter

inside = st.floats(1e-4, 1 - 1e-4)


@given(q=inside, n=st.integers(1, 50_000), p=inside)
def test_the_binomial_is_that_of_scipy(q: float, n: int, p: float) -> None:
    k = binomial_ppf(q, n, p)
    # Where a chance is met exactly, rounding decides.
    assert float(binom.cdf(k, n, p)) >= q - 1e-12
    assert not k or float(binom.cdf(k - 1, n, p)) <= q + 1e-12
    assert binomial_cdf(k, n, p) == pytest.approx(float(binom.cdf(k, n, p)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("q", [0.25, 0.75])
def test_a_chance_that_is_met_exactly_is_enough(q: float) -> None:
    assert binomial_ppf(q, 2, 0.5) == int(binom.ppf(q, 2, 0.5)) == (0 if q < 0.5 else 1)


@given(p=inside, freedom=st.floats(1, 1e6))
def test_students_t_is_that_of_scipy(p: float, freedom: float) -> None:
    assert student_ppf(p, freedom) == pytest.approx(float(student.ppf(p, freedom)), rel=1e-12)


def test_to_judge_a_run_the_slow_half_of_scipy_is_not_imported() -> None:
    in_fresh_interpreter(
        "import sys, perfkit.verdict\n"
        "perfkit.verdict.headline, perfkit.verdict.contributions\n"
        "assert 'scipy.special' in sys.modules\n"
        "assert 'scipy.stats' not in sys.modules\n"
    )
