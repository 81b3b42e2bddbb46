"""Quantiles and what dependent values are worth, against closed formulas and synthetic truth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.stats import effective_size, pooled_effective_size, quantile, quantile_of_sorted

Array = npt.NDArray[np.float64]


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50),
    p=st.floats(0, 1),
)
def test_the_point_is_numpys_linear_quantile(values: list[float], p: float) -> None:
    # A position within 1e-9 of a whole number counts as whole; numpy's may be a rounding away.
    largest = max(1.0, *map(abs, values))
    expected = float(np.quantile(values, p))
    assert quantile(values, p).point == pytest.approx(expected, rel=0, abs=4e-9 * largest)


@given(
    finite=st.lists(st.floats(0, 1e9), max_size=20),
    infinite=st.integers(0, 20),
    p=st.integers(0, 10_000).map(lambda part: part / 10_000),
)
def test_infinity_never_makes_a_point_nan(finite: list[float], infinite: int, p: float) -> None:
    values = [*finite, *[math.inf] * infinite]
    point = quantile(values, p).point
    if not values:
        assert math.isnan(point)
        return
    # As if unfinished jobs took longer than anything else: the point is theirs, or it is not.
    stand_in = float(np.quantile([*finite, *[1e30] * infinite], p))
    if stand_in < 1e15:
        assert point == pytest.approx(stand_in, abs=1e-3)
    elif stand_in > 1e22:
        assert point == math.inf


def test_the_last_finite_value_is_not_blown_up_by_rounding() -> None:
    # 20 x 0.95 is 19 exactly: the 20th of 21 values, although the 21st is infinite.
    values = [*range(20), math.inf]
    assert quantile(values, 0.95).point == 19.0
    assert quantile(values, 0.96).point == math.inf
    assert quantile_of_sorted(np.array([1.0, math.inf, math.inf]), 0.75) == math.inf


def test_a_quantile_among_unfinished_jobs_says_so() -> None:
    found = quantile([1.0, math.inf, math.inf], 0.9)
    assert found.point == math.inf
    assert "did not finish" in found.warnings[-1]


def test_too_little_evidence_keeps_the_point_and_refuses_the_interval() -> None:
    found = quantile(np.arange(100.0), 0.99)
    assert found.point == pytest.approx(98.01)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.has_interval
    assert "10 are needed" in found.warnings[0]
    assert found.n == 100


def test_no_values_and_one_value_have_no_interval() -> None:
    assert math.isnan(quantile([], 0.5).point)
    assert quantile([], 0.5).warnings == ("no values",)
    assert quantile([7.0], 0.5).point == 7.0
    assert not quantile([7.0], 0.5).has_interval


def test_order_brings_values_into_scheduled_order() -> None:
    random = np.random.default_rng(1)
    series = _waits(random, 4000, 0.8)
    shuffled = random.permutation(len(series))
    assert quantile(series[shuffled], 0.5, order=shuffled) == quantile(series, 0.5)
    # In a random order the dependence is hidden, and the interval would be far too narrow.
    blind = quantile(series[shuffled], 0.5)
    assert blind.n_effective > 5 * quantile(series, 0.5).n_effective


@pytest.mark.parametrize(
    ("values", "p", "level"),
    [([math.nan], 0.5, 0.95), ([-math.inf], 0.5, 0.95), ([1.0], 1.5, 0.95), ([1.0], 0.5, 1.0)],
)
def test_what_is_no_value_is_refused(values: list[float], p: float, level: float) -> None:
    with pytest.raises(ValueError):
        quantile(values, p, level=level)


def test_sort_keys_must_fit() -> None:
    with pytest.raises(ValueError, match="2 sort keys for 1 values"):
        quantile([1.0], 0.5, order=[1, 2])


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_independent_values_are_covered_at_the_level(p: float) -> None:
    random = np.random.default_rng(11)
    truth = -math.log(1 - p)
    found = [quantile(random.exponential(1, 5000), p) for _ in range(300)]
    covered = sum(each.low <= truth <= each.high for each in found) / len(found)
    assert 0.92 <= covered <= 0.995


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_coverage_follows_the_level(level: float) -> None:
    random = np.random.default_rng(12)
    found = [quantile(random.exponential(1, 2000), 0.9, level=level) for _ in range(300)]
    covered = sum(each.low <= math.log(10) <= each.high for each in found) / len(found)
    assert covered == pytest.approx(level, abs=0.06)


def _waits(random: np.random.Generator, n: int, rho: float) -> Array:
    """Sojourn times of M/M/1 with service mean 1, from the steady state (Lindley's recursion)."""
    gaps, services = random.exponential(1 / rho, n), random.exponential(1, n)
    wait = random.exponential(1 / (1 - rho)) if random.random() < rho else 0.0
    found = np.empty(n)
    for place in range(n):
        found[place] = wait + services[place]
        wait = max(0.0, wait + services[place] - gaps[place])
    return found


@pytest.mark.parametrize(("p", "worth"), [(0.5, 410), (0.95, 194), (0.99, 276)])
def test_ten_thousand_jobs_of_a_busy_queue_are_worth_a_few_hundred(p: float, worth: int) -> None:
    # statistics.md, result 2, from another simulation.
    random = np.random.default_rng(13)
    found = [effective_size(_waits(random, 10_000, 0.8), p) for _ in range(25)]
    assert np.mean(found) == pytest.approx(worth, rel=0.25)


def test_the_median_of_a_busy_queue_is_covered() -> None:
    random = np.random.default_rng(14)
    truth = math.log(2) / (1 - 0.8)
    found = [quantile(_waits(random, 10_000, 0.8), 0.5) for _ in range(40)]
    assert all(each.has_interval for each in found)
    covered = sum(each.low <= truth <= each.high for each in found)
    assert covered >= 34  # 93.5 % of 40 are 37; with raw n it would be 12


@pytest.mark.parametrize("stay", [0.0, 0.5, 0.9])
def test_the_effective_size_of_a_two_state_chain_is_known(stay: float) -> None:
    """z_t keeps its value with probability ``stay``: n_eff = n (1 - stay) / (1 + stay)."""
    random = np.random.default_rng(15)
    n, p = 20_000, 0.9
    sizes = []
    for _ in range(12):
        redraw = random.random(n) >= stay
        redraw[0] = True
        fresh = random.random(n) < 1 - p
        last = np.maximum.accumulate(np.where(redraw, np.arange(n), 0))
        chain = fresh[last].astype(float)
        # A little noise, so that the quantile falls between the two states.
        sizes.append(effective_size(chain + random.random(n) * 0.01, p))
    expected = n * (1 - stay) / (1 + stay)
    # The largest of many noisy variances is a little too large: never optimistic.
    assert 0.7 * expected < np.mean(sizes) < 1.05 * expected


def test_equal_values_are_worth_their_number() -> None:
    assert effective_size(np.ones(50), 0.5) == 50
    assert effective_size([], 0.5) == 0
    assert effective_size([3.0], 0.5) == 1


def test_the_effective_size_knows_infinities() -> None:
    values = np.concatenate([np.arange(100.0), np.full(100, math.inf)])
    # One block of finite, one of unfinished jobs: about the worst order there is.
    assert 1 <= effective_size(values, 0.25) < 50


def test_independent_trials_are_together_worth_nearly_their_number() -> None:
    random = np.random.default_rng(16)
    worth = pooled_effective_size(list(random.exponential(1, (20, 2000))), 0.9)
    # The largest of many noisy variances is a little too large: never optimistic.
    assert 800 < worth <= 2000


def test_trials_that_differ_as_a_whole_are_worth_little_more_than_one_value_each() -> None:
    """What one trial alone can't know: all its values share a level."""
    random = np.random.default_rng(17)
    trials = random.normal(0, 1, (20, 1)) + random.normal(0, 0.01, (20, 2000))
    assert pooled_effective_size(list(trials), 0.5) < 2
    assert np.mean([effective_size(each, 0.5) for each in trials]) > 500


def test_no_trials_are_worth_nothing_and_equal_values_their_number() -> None:
    assert pooled_effective_size([], 0.5) == 0
    assert pooled_effective_size([[]], 0.5) == 0
    assert pooled_effective_size([np.ones(30), np.ones(50)], 0.5) == 40
    with pytest.raises(ValueError):
        pooled_effective_size([[math.nan]], 0.5)


def test_what_values_are_worth_may_be_told_and_is_never_more_than_their_number() -> None:
    values = np.random.default_rng(18).exponential(1, 1000)
    told = quantile(values, 0.9, effective=200)
    assert told.n_effective == 200
    assert told.high - told.low > quantile(values, 0.9, effective=900).high - told.low
    assert quantile(values, 0.9, effective=1e9).n_effective == 1000
    assert not quantile(values, 0.9, effective=50).has_interval
    with pytest.raises(ValueError, match="effective"):
        quantile(values, 0.9, effective=math.nan)
