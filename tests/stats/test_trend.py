"""Whether a backlog grows, on synthetic truth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from perfkit.stats import backlog_trend
from perfkit.stats.trend import _slopes

Array = npt.NDArray[np.float64]
AT = np.arange(0, 20, 0.1)


def _noise(random: np.random.Generator, memory: float) -> Array:
    found = np.zeros(len(AT))
    for place in range(1, len(AT)):
        found[place] = memory * found[place - 1] + random.normal()
    return found


def test_a_straight_line_has_its_slope() -> None:
    found = backlog_trend(AT, 7 + 3 * AT)
    assert found.point == pytest.approx(3)
    assert (found.low, found.high) == (pytest.approx(3), pytest.approx(3))


def test_a_level_backlog_has_none() -> None:
    found = backlog_trend(AT, np.full(len(AT), 12.0))
    assert (found.point, found.low, found.high) == (0, 0, 0)


def test_a_burst_is_no_trend() -> None:
    backlog = np.where((AT > 5) & (AT < 7), 100.0, 1.0)
    found = backlog_trend(AT, backlog)
    assert found.low <= 0 <= found.high
    assert abs(found.point) < 0.5


def test_growth_is_found_in_correlated_noise() -> None:
    random = np.random.default_rng(2)
    found = [backlog_trend(AT, _noise(random, 0.9) + 4 * AT) for _ in range(30)]
    assert all(each.low > 1 for each in found)
    covered = sum(each.low <= 4 <= each.high for each in found)
    assert covered >= 22


def test_noise_alone_does_not_grow_by_much() -> None:
    random = np.random.default_rng(3)
    found = [backlog_trend(AT, _noise(random, 0.9), level=0.99) for _ in range(50)]
    assert sum(each.low > 0.2 for each in found) <= 1


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(4)
    series = _noise(random, 0.5)
    assert backlog_trend(AT, series) == backlog_trend(AT, series)
    assert backlog_trend(AT, series) != backlog_trend(AT, series, seed=2)


def test_too_few_readings_have_no_interval() -> None:
    few = backlog_trend([0, 1, 2], [0, 5, 10])
    assert few.point == pytest.approx(5)
    assert math.isnan(few.low)
    assert "8 are needed" in few.warnings[0]
    assert math.isnan(backlog_trend([], []).point)
    assert math.isnan(backlog_trend([1.0], [1.0]).point)


@pytest.mark.parametrize("bins", [2, 8, 24, 61, 300])
def test_the_slopes_of_all_resamples_at_once_are_those_of_each_alone(bins: int) -> None:
    random = np.random.default_rng(6)
    at, series = np.sort(random.normal(size=bins)), random.normal(size=(9, bins))
    series[:4] = np.round(series[:4])  # ties
    first, second = np.triu_indices(bins, 1)
    alone = [np.median((y[second] - y[first]) / (at[second] - at[first])) for y in series]
    assert _slopes(at, series).tolist() == alone


def test_readings_must_pair_up() -> None:
    with pytest.raises(ValueError, match="instants for"):
        backlog_trend([0, 1], [1])


def test_a_day_of_readings_is_no_more_work_than_twenty_minutes() -> None:
    at = np.arange(86_400.0)
    random = np.random.default_rng(5)
    found = [backlog_trend(at, 0.25 * at + random.normal(0, 50, len(at))) for _ in range(10)]
    assert all(each.point == pytest.approx(0.25, rel=0.001) for each in found)
    assert sum(each.low <= 0.25 <= each.high for each in found) >= 8
