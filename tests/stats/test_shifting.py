"""The shift of every quantile: closed forms, other people's code, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from perfkit.stats import hochberg, shift_function, trimmed_mean

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)


def test_without_trimming_it_is_the_ordinary_t_test() -> None:
    values = [0.3, -0.1, 0.8, 0.4, 0.05, 0.6]
    found, p = trimmed_mean(values, trim=0.0)
    oracle = scipy_stats.ttest_1samp(values, 0.0)
    ends = oracle.confidence_interval()
    assert found.point == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert p == pytest.approx(oracle.pvalue)


def test_eight_pairs_lose_their_lowest_and_highest() -> None:
    # g = 1, h = 6: kept 2..7, mean 4.5; winsorized 2 2 3 4 5 6 7 7, s_w^2 = 30 / 7;
    # error = sqrt(30 / 7 * 7 / 30) = 1.
    found, p = trimmed_mean([1, 2, 3, 4, 5, 6, 7, 800])
    assert found.point == 4.5
    quantile = float(scipy_stats.t.ppf(0.975, 5))
    assert (found.low, found.high) == pytest.approx((4.5 - quantile, 4.5 + quantile))
    assert p == pytest.approx(2 * scipy_stats.t.sf(4.5, 5))


def test_two_samples_far_apart_agree_with_yuen_as_scipy_has_it() -> None:
    # Against a second sample that does not vary but for rounding, Yuen's two-sample statistic is
    # this one.
    values = np.array([0.4, 1.1, 0.9, 1.6, 0.2, 0.7, 1.3, 0.8, 5.0, -3.0])
    still = 1e-9 * np.arange(10)
    _, p = trimmed_mean(values)
    found = scipy_stats.ttest_ind(values, still, equal_var=False, trim=0.2)
    assert p == pytest.approx(found.pvalue, rel=1e-5)


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        # Of 4: 4 x .010, 3 x .013 = .039, 2 x .014 = .028, 1 x .19; each no more than the next.
        ((0.010, 0.013, 0.014, 0.190), (0.028, 0.028, 0.028, 0.190)),
        # All below 5 %: all rejected at 5 %, where Holm would reject none.
        ((0.04, 0.03, 0.049), (0.049, 0.049, 0.049)),
        ((0.2,), (0.2,)),
        ((), ()),
    ],
)
def test_hochberg_steps_up(p: tuple[float, ...], adjusted: tuple[float, ...]) -> None:
    assert hochberg(p) == pytest.approx(adjusted)


def test_a_test_that_could_not_be_made_does_not_count() -> None:
    found = hochberg([0.01, math.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(found[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_hochberg_keeps_the_order_and_lies_between_p_and_bonferroni(p: list[float]) -> None:
    adjusted = hochberg(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(1.0, np.array(p) * len(p)) + 1e-12).all()
    order = np.argsort(p)
    assert (np.diff(adjusted[order]) >= -1e-12).all()


def pairs_of_trials(
    seed: int, shift: float, *, pairs: int = 8, jobs: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of two arms: dependent inside a trial, with noise of the trial and drift."""
    rng = np.random.default_rng(seed)
    arms = []
    for change in (0.0, shift):
        noise = rng.normal(0, 0.02, (pairs, 1)) + 0.06 * np.arange(pairs)[:, None] / pairs
        jobs_log = rng.normal(0, 0.6, (pairs, jobs)) + noise + change
        arms.append(np.exp(np.quantile(jobs_log, QUANTILES, axis=1).T))
    return arms[0], arms[1]


def test_identical_arms_raise_a_false_alarm_in_five_of_a_hundred_at_most() -> None:
    alarms = [any(shift_function(*pairs_of_trials(seed, 0.0), QUANTILES).moved)
              for seed in range(400)]  # fmt: skip
    # One-sided at 1 in 1000 of 400 with a true rate of 5 %: 34.
    assert sum(alarms) <= 34


def test_intervals_hold_the_shift_as_often_as_they_say() -> None:
    held = [
        [each.low <= math.expm1(0.1) <= each.high for each in found.estimates]
        for found in (shift_function(*pairs_of_trials(seed, 0.1), QUANTILES) for seed in range(400))
    ]
    assert (np.mean(held, axis=0) > 0.91).all()
    assert (np.mean(held, axis=0) < 0.985).all()


def test_a_shift_of_the_tail_alone_is_found_there_and_not_in_the_middle() -> None:
    a, b = pairs_of_trials(3, 0.0)
    b[:, -2:] = 1.3 * a[:, -2:] * np.exp(0.01 * np.sin(np.arange(8)))[:, None]
    found = shift_function(a, b, QUANTILES)
    assert found.moved == (False,) * 5 + (True, True)
    assert [each.point for each in found.estimates[-2:]] == pytest.approx([0.3, 0.3], abs=0.02)


def test_a_difference_is_in_the_unit_of_the_values() -> None:
    a = np.array([[10.0], [11.0], [12.0], [13.0], [14.0], [15.0]])
    b = a + np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    [found] = shift_function(a, b, [0.5], scale="difference").estimates
    assert found.point == 3.5
    assert found.low < 3.5 < found.high


def test_one_pair_whose_quantile_did_not_finish_is_trimmed_and_two_take_the_interval() -> None:
    a, b = pairs_of_trials(1, 0.1)
    b[0, -1] = math.inf
    one = shift_function(a, b, QUANTILES).estimates[-1]
    assert one.has_interval
    assert 0 < one.point < 0.5
    b[1, -1] = math.inf
    found = shift_function(a, b, QUANTILES)
    assert found.estimates[-1].point == math.inf
    assert not found.estimates[-1].has_interval
    assert "infinite in more pairs" in found.estimates[-1].warnings[0]
    assert math.isnan(found.p_adjusted[-1])
    assert found.estimates[0].has_interval


def test_infinite_in_both_arms_is_not_known_and_is_left_out() -> None:
    a, b = pairs_of_trials(1, 0.1)
    a[0, -1] = b[0, -1] = math.inf
    found = shift_function(a, b, QUANTILES).estimates[-1]
    assert found.n == 7
    assert found.has_interval


@pytest.mark.parametrize("values", [[], [0.3], [0.1, math.inf]])
def test_too_few_pairs_have_no_interval_and_say_so(values: list[float]) -> None:
    found, p = trimmed_mean(values)
    assert not found.has_interval
    assert found.warnings
    assert math.isnan(p)


def test_arms_that_are_the_same_have_no_shift() -> None:
    a, _ = pairs_of_trials(1, 0.0)
    found = shift_function(a, a, QUANTILES)
    assert set(found.p_adjusted) == {1.0}
    assert {(each.low, each.point, each.high) for each in found.estimates} == {(0.0, 0.0, 0.0)}


def test_the_same_shift_in_every_pair_does_not_say_how_sure_it_is() -> None:
    a, _ = pairs_of_trials(1, 0.0)
    found = shift_function(a, 1.1 * a, QUANTILES)
    assert found.estimates[0].point == pytest.approx(0.1)
    assert found.estimates[0].warnings == ("no interval: the same in every pair",)
    assert not any(found.moved)


@pytest.mark.parametrize(
    ("a", "b", "quantiles"),
    [
        ([[1.0]], [[1.0, 2.0]], [0.5]),
        ([[1.0]], [[2.0]], [0.5, 0.9]),
        ([[1.0]], [[2.0]], [1.0]),
        ([[0.0]], [[2.0]], [0.5]),
        ([[1.0]], [[-math.inf]], [0.5]),
    ],
)
def test_what_does_not_fit_is_refused(a: object, b: object, quantiles: object) -> None:
    with pytest.raises(ValueError, match=r"do not fit|between 0 and 1|positive"):
        shift_function(a, b, quantiles)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call", [lambda: trimmed_mean([math.nan]), lambda: trimmed_mean([1.0], trim=0.5),
             lambda: hochberg([1.2])]
)  # fmt: skip
def test_a_number_out_of_range_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        call()  # type: ignore[operator]
