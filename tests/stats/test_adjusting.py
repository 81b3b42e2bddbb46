"""A covariate taken out of paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from perfkit.stats.adjusting import slopes_of_others
from perfkit.stats.flips import max_t_sign_flip

_NUMBERS = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda pair: (round(pair[0], 6), pair[1])),
    min_size=2,
    max_size=12,
)


@given(_NUMBERS)
def test_a_pair_has_the_slope_of_all_the_others(pairs: list[tuple[float, float]]) -> None:
    d, c = np.array(pairs).T
    found = slopes_of_others(d, c)
    for number, slope in enumerate(found):
        others = np.arange(len(d)) != number
        squares = (c[others] ** 2).sum()
        if squares > 1e-9 * (c**2).sum() and squares > 1e-30:
            exact = (d[others] * c[others]).sum() / squares
            assert slope == pytest.approx(np.clip(exact, 0, 2), abs=1e-5)


@given(_NUMBERS, st.integers(0, 2**12 - 1))
def test_arms_turned_around_leave_every_slope_as_it_was(
    pairs: list[tuple[float, float]], chosen: int
) -> None:
    d, c = np.array(pairs).T
    signs = np.array([-1.0 if chosen >> number & 1 else 1.0 for number in range(len(d))])
    assert slopes_of_others(signs * d, signs * c) == pytest.approx(slopes_of_others(d, c))


def test_a_covariate_that_never_changed_tells_nothing() -> None:
    assert slopes_of_others([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]).tolist() == [0, 0, 0]
    assert slopes_of_others([0.1, 0.2, 0.3], [0.5, 0.0, 0.0])[0] == 0  # all of it was its own


def test_a_slope_is_of_the_same_direction_and_not_without_bounds() -> None:
    c = np.array([0.1, -0.1, 0.2, -0.2])
    assert slopes_of_others(-c, c).tolist() == [0] * 4
    assert slopes_of_others(9 * c, c).tolist() == [2] * 4


@pytest.mark.parametrize(
    ("d", "c"), [([0.1, 0.2], [0.1]), ([[0.1]], [[0.1]]), ([np.nan], [0.1]), ([0.1], [np.inf])]
)
def test_what_is_no_pair_of_numbers_for_each_pair_is_refused(d: object, c: object) -> None:
    with pytest.raises(ValueError, match=r"one for each pair|finite"):
        slopes_of_others(d, c)  # type: ignore[arg-type]


def _simulated(seed: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """8 pairs on cores whose speed varies by 12 %; a job follows it by 0.8, with its own noise."""
    rng = np.random.default_rng(seed)
    speed = rng.normal(0, 0.12, (8, 2)) + rng.normal(0, 0.1, (8, 1))
    cost = 0.8 * speed + rng.normal(0, 0.015, (8, 2))
    cost[:, 1] += effect
    return np.diff(cost)[:, 0], np.diff(speed)[:, 0]


def test_five_percent_are_found_that_the_cores_hide_and_none_where_there_is_none() -> None:
    alarms = found = covered = raw = 0
    times = 400
    for seed in range(times):
        d, c = _simulated(seed, 0.0)
        left = d - slopes_of_others(d, c) * c
        alarms += max_t_sign_flip(left[:, np.newaxis])[0] <= 0.05
        half = t.ppf(0.975, 7) * left.std(ddof=1) / np.sqrt(8)
        covered += abs(left.mean()) <= half
        d, c = _simulated(seed, np.log(1.05))
        left = d - slopes_of_others(d, c) * c
        found += max_t_sign_flip(left[:, np.newaxis])[0] <= 0.05
        raw += max_t_sign_flip(d[:, np.newaxis])[0] <= 0.05
    assert alarms / times <= 0.075  # 5 % and three standard errors
    assert 0.92 <= covered / times <= 0.99
    assert found / times >= 0.85
    assert raw / times <= 0.2
