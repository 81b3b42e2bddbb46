"""Intervals between trials: closed forms, coverage, and what has no interval."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t

from perfkit.stats import between_trials
from perfkit.stats.spread import median_interval

Array = npt.NDArray[np.float64]


def test_it_is_students_interval_of_the_logs() -> None:
    values = np.array([10.0, 12.0, 9.0, 11.0, 15.0])
    found = between_trials(values)
    low, high = t.interval(
        0.95, 4, np.log(values).mean(), np.log(values).std(ddof=1) / math.sqrt(5)
    )
    assert (found.low, found.high) == (pytest.approx(math.exp(low)), pytest.approx(math.exp(high)))
    assert found.point == pytest.approx(float(np.prod(values)) ** 0.2)
    plain = between_trials(values, scale="difference")
    assert plain.point == pytest.approx(values.mean())


@given(
    st.lists(st.floats(0.1, 100), min_size=2, max_size=9),
    st.floats(0.01, 100),
    st.randoms(use_true_random=False),
)
def test_it_keeps_its_shape_in_any_unit_and_order(
    values: list[float], unit: float, random: object
) -> None:
    found = between_trials(values)
    scaled = [each * unit for each in values]
    random.shuffle(scaled)  # type: ignore[attr-defined]
    other = between_trials(scaled)
    assert other.point == pytest.approx(found.point * unit)
    if math.isfinite(found.low) and found.method == other.method:
        assert other.low == pytest.approx(found.low * unit, rel=1e-6)
        assert other.high == pytest.approx(found.high * unit, rel=1e-6)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_ends_by_rank_hold_the_median_as_often_as_the_binomial_says(level: float) -> None:
    for n in range(1, 40):
        values = np.arange(1.0, n + 1)
        point, (low, high) = median_interval(values, values, level)
        assert point == np.median(values)
        if math.isnan(low):
            assert 2 * 0.5**n > 1 - level
            continue
        rank = int(low)
        assert high == n + 1 - rank
        assert 2 * binom.cdf(rank - 1, n, 0.5) <= 1 - level + 1e-12
        assert 2 * binom.cdf(rank, n, 0.5) > 1 - level  # and no narrower one does


def test_a_value_of_which_only_bounds_are_known_widens_the_interval() -> None:
    known = np.arange(8.0)
    lows, highs = known.copy(), known.copy()
    lows[3], highs[3] = -math.inf, math.inf
    point, ends = median_interval(lows, highs, 0.95)
    assert math.isnan(point)
    assert ends == (-math.inf, math.inf)


def test_one_trial_and_none_have_no_interval() -> None:
    one = between_trials([3.0])
    assert one.point == pytest.approx(3.0)
    assert not one.has_interval
    assert "2 are needed" in one.warnings[0]
    none = between_trials([])
    assert math.isnan(none.point)
    assert none.warnings == ("no values",)


def test_trials_that_are_all_the_same_do_not_look_exact() -> None:
    few = between_trials([2.0] * 3)
    assert few.point == pytest.approx(2.0)
    assert not few.has_interval
    enough = between_trials([2.0] * 6)
    assert (enough.low, enough.high) == (pytest.approx(2.0), pytest.approx(2.0))
    assert "all the same" in enough.warnings[0]


def test_an_infinite_trial_is_ranked() -> None:
    found = between_trials([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, math.inf])
    assert found.point == pytest.approx(math.exp((math.log(4) + math.log(5)) / 2))
    assert (found.low, found.high) == (pytest.approx(1.0), math.inf)
    assert "by rank" in found.warnings[0]
    failed = between_trials([math.inf] * 8)
    assert (failed.point, failed.low, failed.high) == (math.inf, math.inf, math.inf)
    assert failed.warnings


def test_a_throughput_of_zero_is_ranked_too() -> None:
    found = between_trials([0.0, 1, 2, 3, 4, 5, 6, 7])
    assert found.low == 0.0
    assert found.high == pytest.approx(7.0)
    assert found.warnings


@pytest.mark.parametrize("values", [[math.nan, 1.0], [-math.inf, 1.0], [-1.0, 1.0], [[1.0]]])
def test_what_is_no_figure_of_a_trial_is_refused(values: npt.ArrayLike) -> None:
    with pytest.raises(ValueError):
        between_trials(values)
    with pytest.raises(ValueError, match="level"):
        between_trials([1.0, 2.0], level=1.0)


@pytest.mark.parametrize("scale", ["ratio", "difference"])
def test_coverage_is_near_the_level(scale: Literal["ratio", "difference"]) -> None:
    random = np.random.default_rng(7)
    drawn = random.normal(0, 0.2, (600, 5))
    truth = 1.0 if scale == "ratio" else 0.0
    values = np.exp(drawn) if scale == "ratio" else drawn
    found = [between_trials(each, scale=scale) for each in values]
    assert 0.92 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98
