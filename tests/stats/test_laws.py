"""Little's law and the utilisation law: they hold exactly, or something is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.stats import littles_law, service_demand, simulate_queue

jobs = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 100)), min_size=1, max_size=40)


@given(jobs, st.floats(0, 60), st.floats(1, 200), st.floats(-1e6, 1e6))
def test_it_holds_of_any_jobs_over_any_window(
    work: list[tuple[float, float]], start: float, length: float, zero: float
) -> None:
    came = np.array([each[0] for each in work])
    left = came + [each[1] for each in work]
    found = littles_law(came + zero, left + zero, start=start + zero, end=start + zero + length)
    assert found.holds
    inside = [
        max(0.0, min(b, start + length) - max(a, start)) for a, b in zip(came, left, strict=True)
    ]
    assert found.number_mean == pytest.approx(sum(inside) / length, abs=1e-6)
    assert found.n == len(work)


def test_three_jobs_by_hand() -> None:
    # One job from 0 to 4, one from 1 to 3, one from 2 that stays: 4 + 2 + 2 over 4.
    found = littles_law([0.0, 1.0, 2.0], [4.0, 3.0, math.nan])
    assert found.number_mean == pytest.approx(8 / 4)
    assert found.rate == pytest.approx(3 / 4)
    assert found.time_mean == pytest.approx(8 / 3)
    assert found.unfinished == 1
    assert "have not left" in found.warnings[0]
    assert found.holds


def test_n_is_x_times_r_of_a_queue_in_nanoseconds_of_a_clock() -> None:
    random = np.random.default_rng(1)
    came = 1_790_000_000_000_000_000 + np.cumsum(random.exponential(1e6, 50_000)).astype(np.int64)
    left = simulate_queue(came, random.exponential(1.6e6, 50_000).astype(np.int64), 2).finishes
    found = littles_law(came, left)
    assert found.holds
    assert found.number_mean == pytest.approx(found.rate * found.time_mean)


def test_a_job_that_leaves_before_it_comes_is_found() -> None:
    came = np.arange(100.0)
    left = came + 5
    left[40] = came[40] - 3
    found = littles_law(came, left)
    assert not found.holds
    assert found.difference < 0
    assert "1 jobs left before they came" in found.warnings[0]


def test_departures_joined_to_the_wrong_jobs_are_found() -> None:
    came = np.arange(100.0)
    wrong = np.roll(came + 0.5, 1)
    assert not littles_law(came, wrong).holds


def test_nothing_proves_nothing() -> None:
    assert littles_law([], []).warnings == ("no jobs",)
    assert not littles_law([], []).holds
    instant = littles_law([1.0], [1.0])
    assert not instant.holds
    assert math.isnan(instant.number_mean)
    # A window in which nobody was there.
    empty = littles_law([0.0], [1.0], start=5.0, end=6.0)
    assert (empty.number_mean, empty.holds) == (0.0, True)


@pytest.mark.parametrize(
    ("came", "left", "words"),
    [
        ([0.0], [1.0, 2.0], "departures"),
        ([math.nan], [1.0], "never came"),
        ([0.0], [-math.inf], "-infinity"),
    ],
)
def test_what_are_no_instants_is_refused(came: list[float], left: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        littles_law(came, left)


def test_demand_is_busy_time_over_jobs_and_the_tightest_bound_comes_first() -> None:
    busy = [[10.0, 12.0, 11.0], [40.0, 42.0, 41.0]]
    slots, cpu = service_demand(
        busy, [1000, 1000, 1000], 20.0, resources=["cpu", "slots"], units=[2, 4]
    )
    assert (slots.resource, cpu.resource) == ("slots", "cpu")
    assert slots.demand.point == pytest.approx(0.041)
    assert slots.demand.low < 0.041 < slots.demand.high
    assert slots.utilisation.point == pytest.approx(41 / 80)
    assert slots.bound == pytest.approx(4 / 0.041)
    assert slots.headroom == pytest.approx(4 / 0.041 / 50 - 1)
    # U = X D / m.
    assert cpu.utilisation.point == pytest.approx(50 * cpu.demand.point / 2)


def test_a_queues_demand_is_its_mean_service() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for services in random.exponential(0.03, (100, 5, 2000)):
        (found,) = service_demand(
            services.sum(axis=1)[None, :], [2000] * 5, 100.0, resources=["slots"], units=4
        )
        assert found.demand.point == pytest.approx(float(services.mean()))
        covered += found.demand.low <= 0.03 <= found.demand.high
    assert 88 <= covered <= 100


def test_a_trial_without_a_job_has_no_demand() -> None:
    (found,) = service_demand([[1.0, 2.0, 0.5]], [10, 10, 0], 1.0, resources=["cpu"])
    assert found.demand.n == 2
    assert found.demand.warnings[0] == "1 trials without a completed job"
    (none,) = service_demand([[1.0]], [0], 1.0, resources=["cpu"])
    assert math.isnan(none.demand.point)
    assert math.isnan(none.bound)
    (unread,) = service_demand([[1.0, math.nan]], [10, 10], 1.0, resources=["cpu"])
    assert math.isnan(unread.demand.point)
    assert "not sampled" in unread.demand.warnings[0]


def test_a_resource_that_is_not_used_bounds_nothing_and_comes_last() -> None:
    found = service_demand([[0.0, 0.0], [1.0, 1.1]], [5, 5], 2.0, resources=["idle", "used"])
    assert [each.resource for each in found] == ["used", "idle"]
    assert found[1].bound == math.inf


@pytest.mark.parametrize(
    "change",
    [
        {"busy": [[-1.0]]},
        {"busy": [[math.inf]]},
        {"busy": [[1.0, 2.0]]},
        {"completions": [-1]},
        {"completions": [math.nan]},
        {"elapsed": 0.0},
        {"units": 0.0},
    ],
)
def test_what_are_no_readings_is_refused(change: dict[str, object]) -> None:
    told: dict[str, object] = {
        "busy": [[1.0]],
        "completions": [5],
        "elapsed": 1.0,
        "resources": ["cpu"],
    } | change
    with pytest.raises(ValueError):
        service_demand(**told)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1, max_size=40))
def test_of_nanoseconds_it_holds_to_the_last_of_them(work: list[tuple[int, int]]) -> None:
    came = 10**18 + np.array([each[0] for each in work])
    left = came + [each[1] for each in work]
    end = int(left.max()) + 1
    found = littles_law(came, left, start=int(came.min()), end=end)
    assert found.holds
    assert found.difference == 0
    early = left.copy()
    early[0] = came[0] - 1
    assert not littles_law(came, early, start=int(came.min()) - 1, end=end).holds
