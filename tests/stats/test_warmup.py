"""MSER-5 on series whose transient is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.stats import mser5


def _by_hand(values: npt.NDArray[np.float64]) -> int:
    means = [float(np.mean(values[5 * j : 5 * j + 5])) for j in range(len(values) // 5)]
    m = len(means)
    errors = {}
    for d in range(m):
        if d < m / 2:
            rest = np.array(means[d:])
            errors[d] = float(((rest - rest.mean()) ** 2).sum()) / (m - d) ** 2
    return 5 * min(errors, key=lambda d: (errors[d], d))


@given(st.integers(50, 300), st.integers(0, 2**32 - 1), st.floats(0, 20), st.floats(1, 100))
def test_it_agrees_with_its_definition(n: int, seed: int, height: float, fade: float) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, n) + height * np.exp(-np.arange(n) / fade)
    found = mser5(values)
    assert found.cut == _by_hand(values)
    other = mser5(1e6 - 1e3 * values)
    assert (other.cut, other.steady) == (found.cut, found.steady)


def test_a_step_is_cut_where_it_is() -> None:
    values = np.random.default_rng(1).normal(0, 0.1, 1000) + np.where(np.arange(1000) < 100, 5, 0)
    found = mser5(values)
    assert (found.cut, found.steady, found.n, found.warnings) == (100, True, 1000, ())


def test_an_exponential_transient_is_cut_after_about_two_of_its_times() -> None:
    # statistics.md, 1.4: tau 100 of 2,000 values: median 185, half of them from 160 to 225.
    random = np.random.default_rng(2)
    fading = -5 * np.exp(-np.arange(2000) / 100)
    cuts = [mser5(fading + random.normal(0, 1, 2000)).cut for _ in range(100)]
    assert 140 <= np.median(cuts) <= 260
    left = [float((fading + random.normal(0, 1, 2000))[cut:].mean()) for cut in cuts]
    assert abs(np.mean(left)) < 0.05  # of -0.25 before


def test_a_series_that_climbs_to_its_end_has_no_steady_state() -> None:
    found = mser5(np.arange(500.0))
    assert not found.steady
    assert "run longer" in found.warnings[0]


def test_a_constant_series_is_steady_and_says_what_it_is() -> None:
    found = mser5(np.full(100, 0.1))
    assert (found.cut, found.steady) == (0, True)
    assert found.warnings == ("all values are equal",)


@pytest.mark.parametrize("n", [0, 1, 49])
def test_too_few_values_are_never_called_steady(n: int) -> None:
    found = mser5(np.ones(n))
    assert not found.steady
    assert "50 are needed" in found.warnings[0]


@pytest.mark.parametrize("values", [[math.nan] * 60, [math.inf] * 60, np.ones((60, 2))])
def test_what_is_no_series_is_refused(values: npt.ArrayLike) -> None:
    with pytest.raises(ValueError):
        mser5(values)
