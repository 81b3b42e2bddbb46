"""Two groups that do not pair up: Welch's interval, exact relabelling, and what is not inferred."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from perfkit.stats import Metric
from perfkit.stats.unpaired import compare_groups

P95 = Metric(name="p95")
ERRORS = Metric(name="errors", scale="difference")


def test_the_interval_is_welchs_on_logs() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.lognormal(0, 0.05, 5), rng.lognormal(0.2, 0.1, 6)
    (found,) = compare_groups(a[:, None], b[:, None], metrics=[P95])
    oracle = ttest_ind(np.log(b), np.log(a), equal_var=False).confidence_interval(0.95)
    assert found.estimate.low == pytest.approx(math.expm1(oracle.low))
    assert found.estimate.high == pytest.approx(math.expm1(oracle.high))


def test_four_against_four_can_reach_two_in_seventy_and_three_have_no_p() -> None:
    a, b = np.arange(1.0, 5.0)[:, None], np.arange(101.0, 105.0)[:, None]
    assert compare_groups(a, b, metrics=[P95])[0].p == pytest.approx(2 / 70)
    assert math.isnan(compare_groups(a[:3], b, metrics=[P95])[0].p)


def test_p_is_adjusted_over_the_metrics() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(10, 1, (5, 8)), rng.normal(10, 1, (5, 8))
    metrics = [Metric(name=str(each), scale="difference") for each in range(8)]
    together = [each.p for each in compare_groups(a, b, metrics=metrics)]
    alone = [
        compare_groups(a[:, [each]], b[:, [each]], metrics=[metrics[each]])[0].p
        for each in range(8)
    ]
    assert all(one >= other - 1e-12 for one, other in zip(together, alone, strict=True))
    assert min(together) > min(alone)


def test_family_wise_false_alarms_stay_below_their_promise() -> None:
    rng = np.random.default_rng(11)
    metrics = [Metric(name=str(each), scale="difference") for each in range(4)]
    alarms = sum(
        min(
            each.p
            for each in compare_groups(
                rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), metrics=metrics
            )
        )
        <= 0.05
        for _ in range(300)
    )
    assert alarms <= 29  # of 300 at most 5 %; this is 4 sd above


def test_one_trial_of_each_is_observed_and_nothing_is_inferred() -> None:
    (found,) = compare_groups([[100.0]], [[110.0]], metrics=[P95])
    assert found.estimate.point == pytest.approx(0.1)
    assert not found.estimate.has_interval
    assert math.isnan(found.p)
    assert "observed, not inferred" in found.estimate.warnings[0]


@pytest.mark.parametrize("odd", [math.inf, math.nan, 0.0])
def test_what_is_not_a_number_has_no_interval_and_says_so(odd: float) -> None:
    a, b = np.full((4, 1), 5.0), np.array([[6.0], [odd], [6.0], [7.0]])
    (found,) = compare_groups(a, b, metrics=[P95])
    assert not found.estimate.has_interval
    assert math.isnan(found.p)
    assert found.estimate.warnings


def test_trials_that_do_not_vary_have_no_interval() -> None:
    (found,) = compare_groups(np.zeros((4, 1)), np.zeros((4, 1)), metrics=[ERRORS])
    assert found.estimate.point == 0
    assert found.estimate.warnings == ("no interval: the trials do not vary",)
    assert found.p == 1


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [([[1.0]], [[1.0, 2.0]], 1), ([[1.0]], [[1.0]], 2), (np.empty((0, 1)), [[1.0]], 1)],
)
def test_shapes_that_do_not_fit_are_refused(a: object, b: object, count: int) -> None:
    with pytest.raises(ValueError, match=r"groups of|each metric"):
        compare_groups(a, b, metrics=[P95] * count)  # type: ignore[arg-type]
