"""What stages contribute to a percentile: parts that add up, of a truth that is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.stats import quantile_of_sorted, stage_contributions

Array = npt.NDArray[np.float64]


def _trials(seed: int, trials: int, jobs: int = 3000) -> tuple[Array, npt.NDArray[np.int64]]:
    """A constant, an exponential, and a rare stall: shape (3, trials x jobs)."""
    random = np.random.default_rng(seed)
    n = trials * jobs
    stall = np.where(random.random(n) < 0.03, 50.0, 0.0)
    return np.vstack([np.full(n, 5.0), random.exponential(2, n), stall]), np.arange(n) // jobs


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_parts_add_up_to_the_quantile(seed: int, p: float) -> None:
    stages, trial = _trials(seed, 3, 2000)
    found = stage_contributions(stages, p, trial=trial)
    quantiles = [
        quantile_of_sorted(np.sort(stages[:, trial == each].sum(axis=0)), p) for each in range(3)
    ]
    assert found.per_trial.sum(axis=0) == pytest.approx(quantiles)
    assert sum(each.point for each in found.stages) == pytest.approx(np.mean(quantiles))
    assert found.total.point == pytest.approx(np.mean(quantiles))


def test_the_tail_is_the_stall_and_the_middle_is_not() -> None:
    stages, trial = _trials(1, 5)
    middle = stage_contributions(stages, 0.5, trial=trial)
    assert middle.stages[2].point == 0
    assert middle.stages[0].point == pytest.approx(5, rel=0.01)
    assert middle.total.point == pytest.approx(5 + 2 * math.log(2), rel=0.03)
    tail = stage_contributions(stages, 0.99, trial=trial)
    assert tail.stages[2].point == pytest.approx(50, rel=0.01)
    way = stage_contributions(stages, 0.99, beyond=0.5, trial=trial)
    for each, high, low in zip(way.stages, tail.stages, middle.stages, strict=True):
        assert each.point == pytest.approx(high.point - low.point)
    assert way.total.point == pytest.approx(tail.total.point - middle.total.point)


def test_the_truth_of_a_sum_of_two_exponentials_is_covered() -> None:
    # Of equal exponentials each contributes half of every quantile, by symmetry.
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        stages = random.exponential(1, (2, 8 * 1000))
        found = stage_contributions(stages, 0.95, trial=np.arange(8000) // 1000)
        covered += found.stages[0].low <= 4.7439 / 2 <= found.stages[0].high
    assert covered >= 52


def test_jobs_have_no_order_and_stages_no_unit() -> None:
    stages, trial = _trials(3, 4, 500)
    shuffled = np.random.default_rng(4).permutation(stages.shape[1])
    one = stage_contributions(stages[:2], 0.9, trial=trial)
    other = stage_contributions(stages[:2, shuffled] * 1e6, 0.9, trial=trial[shuffled])
    for x, y in zip(one.stages, other.stages, strict=True):
        assert y.point == pytest.approx(x.point * 1e6)
        assert y.low == pytest.approx(x.low * 1e6)


def test_one_trial_has_parts_but_no_interval() -> None:
    stages, _ = _trials(5, 1)
    found = stage_contributions(stages, 0.5)
    assert math.isfinite(found.stages[1].point)
    assert not found.stages[1].has_interval
    assert "2 are needed" in found.stages[1].warnings[0]


def test_a_trial_whose_tail_did_not_finish_is_left_out_and_said() -> None:
    stages, trial = _trials(6, 3)
    stages[1, :60] = math.inf
    found = stage_contributions(stages, 0.99, trial=trial)
    assert found.total.n == 2
    assert np.isnan(found.per_trial[:, 0]).all()
    assert "1 of 3 trials left out" in found.warnings[0]
    # Its median is known all the same.
    assert stage_contributions(stages, 0.5, trial=trial).total.n == 3
    nothing = stage_contributions(np.full((2, 100), math.inf), 0.5)
    assert math.isnan(nothing.total.point)


def test_too_few_jobs_near_the_quantile_are_no_evidence() -> None:
    found = stage_contributions(np.ones((2, 500)), 0.99)
    assert math.isnan(found.total.point)
    assert "fewer than 10 jobs" in found.warnings[0]


def test_no_jobs_and_no_time_at_all() -> None:
    assert "no jobs" in stage_contributions(np.empty((3, 0)), 0.5).warnings
    nothing = stage_contributions(np.zeros((2, 400)), 0.5)
    assert [each.point for each in nothing.stages] == [0, 0]


def test_a_quantile_in_a_gap_is_said_to_be_far_from_its_jobs() -> None:
    # The median lies in the middle of two kinds of jobs: its neighbours are far from it.
    stages = np.vstack([np.where(np.arange(400) % 2 == 0, 1.0, 1.0), np.arange(400) // 260 * 99.0])
    found = stage_contributions(stages, 0.64)
    assert "more than 10 %" in found.warnings[0]
    assert found.band_mean != pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("stages", "p", "beyond", "trial"),
    [
        (np.ones(5), 0.5, None, None),
        (np.empty((0, 5)), 0.5, None, None),
        (np.full((2, 5), math.nan), 0.5, None, None),
        (np.full((2, 5), -1.0), 0.5, None, None),
        (np.ones((2, 5)), 1.0, None, None),
        (np.ones((2, 5)), 0.5, 0.6, None),
        (np.ones((2, 5)), 0.5, None, [1, 2]),
    ],
)
def test_what_are_no_stages_is_refused(
    stages: Array, p: float, beyond: float | None, trial: list[int] | None
) -> None:
    with pytest.raises(ValueError):
        stage_contributions(stages, p, beyond=beyond, trial=trial)
