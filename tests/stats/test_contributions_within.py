"""Intervals of one trial's contributions, from blocks of its jobs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t

from perfkit.stats import contributions_within, delays_of, simulate_queue, stage_contributions

Array = npt.NDArray[np.float64]


def _queue(random: np.random.Generator, jobs: int) -> Array:
    """Wait and service of four servers at 70 % load, in order of arrival."""
    came = np.cumsum(random.exponential(1 / 2.8, jobs + 500))
    took = random.exponential(1, jobs + 500)
    wait: Array = simulate_queue(came, took, 4).starts - came
    return np.vstack([wait, took])[:, 500:]


def test_the_truth_of_a_queue_is_covered_although_its_jobs_depend_on_each_other() -> None:
    random = np.random.default_rng(1)
    truth = [each.point for each in stage_contributions(_queue(random, 400_000), 0.5).stages]
    covered = [0, 0]
    for _ in range(60):
        found = contributions_within(_queue(random, 3000), 0.5)
        for stage, true in enumerate(truth):
            covered[stage] += found.stages[stage].low <= true <= found.stages[stage].high
    assert min(covered) >= 51


def test_points_are_those_without_intervals_and_add_up() -> None:
    stages = _queue(np.random.default_rng(2), 4000)
    found, plain = contributions_within(stages, 0.5), stage_contributions(stages, 0.5)
    assert [each.point for each in found.stages] == [each.point for each in plain.stages]
    assert sum(each.point for each in found.stages) == pytest.approx(found.total.point)
    assert found.total.has_interval
    way = contributions_within(_queue(np.random.default_rng(3), 60_000), 0.99, beyond=0.5)
    assert way.stages[0].has_interval


@pytest.mark.parametrize(("p", "beyond"), [(0.5, None), (0.9, None), (0.9, 0.5)])
def test_intervals_are_those_of_trials_with_each_block_really_taken_away(
    p: float, beyond: float | None
) -> None:
    stages = np.round(_queue(np.random.default_rng(6), 5010), 1)  # many are alike
    found = contributions_within(stages, p, beyond=beyond, level=0.9)
    block = np.arange(5010) * 20 // 5010
    parts = np.array(
        [
            [
                each.point
                for each in stage_contributions(stages[:, block != out], p, beyond=beyond).stages
            ]
            for out in range(20)
        ]
    )
    spread = 19 / 20 * ((parts - parts.mean(axis=0)) ** 2).sum(axis=0)
    half = t.ppf(0.95, 19) * np.sqrt(spread)
    for stage in range(2):
        assert found.stages[stage].high - found.stages[stage].point == pytest.approx(half[stage])


@pytest.mark.parametrize(("jobs", "p"), [(1999, 0.5), (40_000, 0.99)])
def test_too_few_jobs_have_a_point_and_say_how_many_are_needed(jobs: int, p: float) -> None:
    found = contributions_within(_queue(np.random.default_rng(4), jobs), p)
    assert np.isfinite(found.stages[0].point)
    assert not found.stages[0].has_interval
    assert "are needed" in found.stages[0].warnings[0]


def test_the_delays_between_stamps_are_measured_without_adding_up() -> None:
    random = np.random.default_rng(5)
    came = np.cumsum(random.exponential(10.0, 500))
    took = random.exponential(18.0, 500)
    starts = simulate_queue(came + 0.4, took + 0.1, 2).starts
    after_arrival, after_server = delays_of(came, starts, starts + took, 2)
    assert after_arrival == pytest.approx(0.4)
    assert after_server == pytest.approx(0.1)
    assert delays_of([], [], [], 1) == (0.0, 0.0)
