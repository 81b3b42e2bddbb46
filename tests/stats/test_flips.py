"""The sign-flip test: against a slow one, by its symmetries, and for the errors it makes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import permutation_test

from perfkit.stats import max_t_sign_flip

Array = npt.NDArray[np.float64]

# Whole numbers: sums are exact, so that ties are ties in any order of adding.
tables = st.tuples(st.integers(2, 7), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-9, 9).map(float))
)


def _by_hand(table: Array) -> list[float]:
    """Step-down max-T with Student's t, flip by flip."""
    pairs, metrics = table.shape

    def statistic(column: Array) -> float:
        sd = float(column.std(ddof=1))
        mean = abs(float(column.mean()))
        return (mean / sd * math.sqrt(pairs) if sd > 1e-12 else math.inf) if mean > 0 else 0.0

    def reaches(one: float, other: float) -> bool:
        return one == other or one > other or math.isclose(one, other, rel_tol=1e-7)

    observed = [statistic(table[:, each]) for each in range(metrics)]
    order = sorted(range(metrics), key=lambda each: -observed[each])
    adjusted = [0.0] * metrics
    before = 0.0
    for rank, metric in enumerate(order):
        reached = 0
        for signs in itertools.product((1, -1), repeat=pairs):
            flipped = table * np.array(signs)[:, None]
            largest = max(statistic(flipped[:, each]) for each in order[rank:])
            reached += reaches(largest, observed[metric])
        before = max(before, reached / 2**pairs)
        adjusted[metric] = before
    return adjusted


@settings(deadline=None, max_examples=60)
@given(tables)
def test_it_agrees_with_flipping_by_hand(table: Array) -> None:
    assert max_t_sign_flip(table) == pytest.approx(_by_hand(table), abs=1e-12)


def test_one_metric_is_scipys_exact_test() -> None:
    random = np.random.default_rng(1)
    for _ in range(5):
        differences = random.normal(0.5, 1, 8)
        expected = permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert max_t_sign_flip(differences)[0] == pytest.approx(expected)


@settings(deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_pairs_may_come_in_any_order_and_metrics_in_any_unit(table: Array, random: object) -> None:
    found = max_t_sign_flip(table)
    shuffled = list(range(len(table)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert max_t_sign_flip(table[shuffled]) == pytest.approx(found)
    units = 10.0 ** np.arange(table.shape[1]) * 1e-3
    assert max_t_sign_flip(table * units) == pytest.approx(found)
    assert max_t_sign_flip(-table) == pytest.approx(found)
    assert max_t_sign_flip(table[:, ::-1])[::-1] == pytest.approx(found)


@settings(deadline=None)
@given(tables)
def test_an_adjusted_p_is_never_below_the_one_alone(table: Array) -> None:
    adjusted = max_t_sign_flip(table)
    alone = [max_t_sign_flip(column)[0] for column in table.T]
    assert all(adjusted >= np.array(alone) - 1e-12)
    assert (adjusted >= 2.0 ** (1 - len(table)) - 1e-12).all()
    assert (adjusted <= 1).all()


def test_eight_pairs_of_one_sign_have_the_smallest_p_there_is() -> None:
    assert max_t_sign_flip(np.arange(1.0, 9.0)) == pytest.approx([2 / 256])
    # Twelve metrics that move together cost nothing; Holm would ask for .05 / 12.
    together = np.arange(1.0, 9.0)[:, None] * np.ones(12)
    assert max_t_sign_flip(together) == pytest.approx([2 / 256] * 12)


def test_no_difference_at_all_has_p_one() -> None:
    assert max_t_sign_flip(np.zeros((8, 2))) == pytest.approx([1, 1])


def test_sizes_at_the_ends_of_the_number_line_do_no_harm() -> None:
    small = np.arange(1.0, 9.0) * 1e-300
    assert max_t_sign_flip(np.column_stack([small, small * 1e300 * 1e300])) == pytest.approx(
        [2 / 256] * 2
    )


@pytest.mark.parametrize("pairs", [20, 300])
def test_many_pairs_are_flipped_at_random_and_the_same_each_time(pairs: int) -> None:
    random = np.random.default_rng(2)
    noise = random.normal(0, 1, (pairs, 3))
    found = max_t_sign_flip(noise + np.array([0, 0, 2.0]))
    assert found[2] < 1e-3
    assert found.min() > 0
    assert (found == max_t_sign_flip(noise + np.array([0, 0, 2.0]))).all()


def test_many_pairs_keep_the_rate_of_false_alarms() -> None:
    random = np.random.default_rng(3)
    found = [max_t_sign_flip(random.normal(0, 1, (300, 2))).min() <= 0.2 for _ in range(60)]
    assert 0.05 <= np.mean(found) <= 0.37  # three standard errors about .2


def test_among_twelve_metrics_the_family_wise_rate_holds_where_distributions_are_odd() -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(400):
        common = random.standard_t(2, (8, 1))
        alarms += max_t_sign_flip(common + random.standard_t(2, (8, 12))).min() <= 0.05
    assert alarms <= 32  # 20 are expected, 32 are three standard errors more


def test_it_finds_among_twelve_what_holm_never_could() -> None:
    random = np.random.default_rng(5)
    found = 0
    for _ in range(50):
        table = random.normal(0, 1, (8, 12))
        table[:, 0] += 4
        found += max_t_sign_flip(table)[0] <= 0.05
    assert found >= 45


@pytest.mark.parametrize(
    "table", [np.empty((0, 2)), np.empty((3, 0)), np.ones((2, 2, 2)), [math.nan], [math.inf, 1.0]]
)
def test_what_is_no_table_of_differences_is_refused(table: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="differences must be"):
        max_t_sign_flip(table)
