"""The queue job by job, against a slow one, and as the oracle of recorded starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.stats import check_pathwise, mmc, simulate_queue

jobs = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=40).map(sorted)


def _by_hand(came: list[int], took: list[int], servers: int) -> list[int]:
    """Instant by instant: whoever is first in line takes a free server."""
    until = [0] * servers
    starts: list[int] = []
    now = 0
    while len(starts) < len(came):
        free = [each for each in range(servers) if until[each] <= now]
        if free and came[len(starts)] <= now:
            until[free[0]] = now + took[len(starts)]
            starts.append(now)
        else:
            now += 1
    return starts


@settings(deadline=None)
@given(jobs, st.integers(1, 5))
def test_it_agrees_with_a_clock_that_ticks(work: list[tuple[int, int]], servers: int) -> None:
    came, took = [each[0] for each in work], [each[1] for each in work]
    found = simulate_queue(np.array(came, dtype=np.int64), np.array(took, dtype=np.int64), servers)
    assert found.starts.tolist() == _by_hand(came, took, servers)
    assert found.finishes.tolist() == [a + b for a, b in zip(found.starts, took, strict=True)]


@given(jobs, st.integers(1, 5), st.integers(-1000, 1000), st.integers(1, 1000))
def test_time_has_no_zero_and_no_unit(
    work: list[tuple[int, int]], servers: int, later: int, unit: int
) -> None:
    came, took = np.array([*work, (100, 0)], dtype=np.int64).T
    plain = simulate_queue(came, took, servers).starts
    other = simulate_queue(came * unit + later, took * unit, servers).starts
    assert (other == plain * unit + later).all()


@given(jobs, st.integers(1, 5))
def test_one_more_server_never_makes_a_job_start_later(
    work: list[tuple[int, int]], servers: int
) -> None:
    came, took = np.array([*work, (100, 0)], dtype=np.int64).T
    assert (
        simulate_queue(came, took, servers + 1).starts <= simulate_queue(came, took, servers).starts
    ).all()


def test_nanoseconds_of_a_clock_stay_exact() -> None:
    wall = 1_790_000_000_123_456_789
    found = simulate_queue(np.array([wall, wall + 1]), np.array([10, 10]), 1)
    assert found.starts.tolist() == [wall, wall + 10]
    assert found.starts.dtype == np.int64


def test_a_job_that_never_ends_keeps_its_server() -> None:
    found = simulate_queue([0.0, 1.0, 2.0], [math.inf, 1.0, 1.0], 1)
    assert found.starts.tolist() == [0.0, math.inf, math.inf]
    assert simulate_queue([0.0, 1.0, 2.0], [math.inf, 1.0, 1.0], 2).starts.tolist() == [0, 1, 2]


def test_no_jobs_are_no_trouble() -> None:
    assert len(simulate_queue([], [], 3).starts) == 0


@pytest.mark.parametrize(
    ("came", "took", "servers", "words"),
    [
        ([1.0, 0.0], [1.0, 1.0], 1, "in order"),
        ([math.nan], [1.0], 1, "finite"),
        ([0.0], [-1.0], 1, "negative"),
        ([0.0], [math.nan], 1, "NaN"),
        ([0.0], [1.0, 2.0], 1, "1,"),
        ([0.0], [1.0], 0, "at least one"),
    ],
)
def test_what_is_no_queue_is_refused(
    came: list[float], took: list[float], servers: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        simulate_queue(came, took, servers)


@pytest.mark.parametrize("servers", [1, 2, 8])
def test_markov_queues_have_their_mean(servers: int) -> None:
    random = np.random.default_rng(1)
    arrivals = np.cumsum(random.exponential(1 / (0.7 * servers), 300_000))
    found = simulate_queue(arrivals, random.exponential(1, 300_000), servers)
    expected = mmc(0.7 * servers, 1.0, servers).wait_mean
    assert float((found.starts - arrivals).mean()) == pytest.approx(expected, rel=0.08)


def _recorded(servers: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    came = np.cumsum(random.exponential(1e6 / servers, 5000)).astype(np.int64)
    took = random.exponential(0.8e6, 5000).astype(np.int64)
    found = simulate_queue(came, took, servers)
    return came, found.starts, found.finishes


def test_the_oracle_gives_recorded_starts_back_in_any_order() -> None:
    came, starts, finishes = _recorded()
    shuffled = np.random.default_rng(3).permutation(len(came))
    found = check_pathwise(came[shuffled], starts[shuffled], finishes[shuffled], 4, tolerance=0)
    assert found.holds
    assert (found.deviations == 0).all()
    assert (found.within, found.worst, found.n, found.warnings) == (1.0, 0.0, 5000, ())


def test_the_oracle_finds_another_number_of_servers_and_the_job_that_was_late() -> None:
    came, starts, finishes = _recorded()
    for wrong in (3, 5):
        assert not check_pathwise(came, starts, finishes, wrong, tolerance=5e5).holds
    # The last job: none after it is held up.
    starts[-1] += 700
    finishes[-1] += 700
    late = check_pathwise(came, starts, finishes, 4, tolerance=500)
    assert not late.holds
    assert (late.worst, late.worst_job) == (700.0, len(came) - 1)
    assert late.within == pytest.approx(1 - 1 / len(came))
    assert check_pathwise(came, starts, finishes, 4, tolerance=700).holds


def test_the_oracle_knows_when_it_has_seen_nothing_or_clocks_differ() -> None:
    nothing = check_pathwise([], [], [], 2, tolerance=1.0)
    assert not nothing.holds
    assert nothing.warnings == ("no jobs",)
    early = check_pathwise([5.0], [4.0], [6.0], 1, tolerance=2.0)
    assert "clocks differ" in early.warnings[0]
    with pytest.raises(ValueError, match="did not finish"):
        check_pathwise([0.0], [1.0], [math.inf], 1, tolerance=1.0)
    with pytest.raises(ValueError, match="negative"):
        check_pathwise([0.0], [1.0], [0.5], 1, tolerance=1.0)
    with pytest.raises(ValueError, match="tolerance"):
        check_pathwise([0.0], [1.0], [2.0], 1, tolerance=math.nan)
    with pytest.raises(ValueError, match="finishes"):
        check_pathwise([0.0], [1.0], [2.0, 3.0], 1, tolerance=1.0)
