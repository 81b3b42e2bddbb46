"""Schedules against slow, obvious oracles."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.load.arrivals import (
    Segment,
    Think,
    constant,
    poisson,
    schedule,
    think_ns,
    user_spells,
)
from tests.load.specs import present

S = 1_000_000_000

rates = st.one_of(st.just(0.0), st.integers(1, 400).map(float), st.floats(0.1, 400))
segments = st.builds(Segment, st.integers(0, 5 * S), rates, rates)
jumps = st.lists(segments, min_size=1, max_size=8)
turns = st.lists(st.tuples(st.integers(0, 5 * S), rates), min_size=2, max_size=8).map(
    lambda places: [Segment(end[0], begin[1], end[1]) for begin, end in pairwise(places)]
)
plans = st.one_of(jumps, turns)
"""Many stretches one after the other, up, down, from 0 and to 0, with jumps between and without."""


def cumulative(plan: list[Segment], t_ns: int) -> Fraction:
    """Events expected before ``t_ns``: the area under the rate, trapezoid by trapezoid."""
    area = Fraction(0)
    begin = 0
    for part in plan:
        if t_ns <= begin or part.duration_ns == 0:
            continue
        inside = min(t_ns - begin, part.duration_ns)
        first, last = Fraction(str(part.level_start)), Fraction(str(part.level_end))
        rate_there = first + (last - first) * inside / part.duration_ns
        area += (first + rate_there) / 2 * inside / S
        begin += part.duration_ns
    return area


@settings(deadline=None, max_examples=60)
@given(plans)
def test_the_nth_arrival_is_where_the_area_under_the_rate_reaches_n(plan: list[Segment]) -> None:
    offsets = constant(plan)
    for n in range(0, len(offsets), max(1, len(offsets) // 15)):
        # Compared as areas: where the rate is near 0, the area barely knows the time.
        assert abs(cumulative(plan, int(offsets[n])) - n) < 1e-6


@settings(deadline=None, max_examples=60)
@given(plans)
def test_a_schedule_has_exactly_the_expected_count(plan: list[Segment]) -> None:
    exact = cumulative(plan, sum(part.duration_ns for part in plan))
    assert len(constant(plan)) == math.ceil(exact)


@settings(deadline=None, max_examples=60)
@given(plans, st.sampled_from(["constant", "poisson"]), st.integers(0, 2**40))
def test_offsets_are_sorted_int64_inside_the_load(
    plan: list[Segment], kind: str, seed: int
) -> None:
    offsets = schedule("constant" if kind == "constant" else "poisson", plan, seed)
    assert offsets.dtype == np.int64
    assert (np.diff(offsets) >= 0).all()
    if len(offsets):
        assert offsets[0] >= 0
        assert offsets[-1] < sum(part.duration_ns for part in plan)


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        ([(2, 0, 100), (3, 100, 100), (2, 100, 0)], [100, 300, 100]),
        ([(1, 50, 50), (1, 2000, 2000), (1, 50, 50)], [50, 2000, 50]),  # a spike in two jumps
        ([(1, 100, 100), (1, 0, 0), (1, 100, 100)], [100, 0, 100]),
        ([(2, 10, 0), (2, 0, 10)], [10, 10]),
        ([(1, n, n) for n in range(100, 1001, 100)], list(range(100, 1001, 100))),
    ],
)
def test_each_segment_gets_what_its_rate_asks_for(
    plan: list[tuple[int, float, float]], counts: list[int]
) -> None:
    offsets = constant([Segment(seconds * S, low, high) for seconds, low, high in plan])
    edges = np.cumsum([0, *(part[0] for part in plan)]) * S
    assert np.histogram(offsets, edges)[0].tolist() == counts


@pytest.mark.parametrize(
    ("rate", "duration_ns", "count"),
    [
        (200.0, 60 * S, 12_000),
        (0.1, 10 * S, 1),  # a float product would be a hair above 1 and add a second one
        (0.5, 10 * S, 5),
        (1 / 3, 9 * S, 3),
        (333.3, 3 * S, 1000),  # 999.9: the event that has begun is sent
        (0.0, 60 * S, 0),
    ],
)
def test_a_constant_rate_sends_rate_times_duration(
    rate: float, duration_ns: int, count: int
) -> None:
    offsets = constant([Segment(duration_ns, rate, rate)])
    assert len(offsets) == count
    if count:
        exact = [round(Fraction(n) * S / Fraction(rate)) for n in range(count)]
        assert np.abs(offsets - np.array(exact)).max() <= 1


def test_the_ramp_follows_the_formula_of_k6() -> None:
    a, b, d = 10.0, 110.0, 4.0
    offsets = constant([Segment(4 * S, a, b)])
    n = np.arange(240)
    expected = (a * d - np.sqrt(d * (a * a * d + 2 * n * (b - a)))) / (a - b)
    assert len(offsets) == 240
    assert offsets / S == pytest.approx(expected, abs=1e-8)


def test_a_ramp_down_to_zero_clamps_its_radicand() -> None:
    offsets = constant([Segment(2 * S, 100.0, 0.0)])
    assert len(offsets) == 100
    assert offsets[-1] < 2 * S


def test_what_is_left_of_an_event_is_carried_into_the_next_segment() -> None:
    half = Segment(1_500_000_000, 1.0, 1.0)  # 1.5 events
    assert constant([half, half]).tolist() == [0, S, 2 * S]


def test_a_seam_between_segments_leaves_no_trace() -> None:
    whole = constant([Segment(10 * S, 7.0, 7.0)])
    pieces = constant([Segment(S, 7.0, 7.0)] * 10)
    assert np.abs(whole - pieces).max() <= 1


def test_poisson_counts_and_gaps_have_the_right_mean_and_variance() -> None:
    plan = [Segment(10 * S, 100.0, 100.0)]
    counts = np.array([len(poisson(plan, seed)) for seed in range(400)])
    assert counts.mean() == pytest.approx(1000, abs=4 * math.sqrt(1000 / 400))
    assert counts.var(ddof=1) == pytest.approx(1000, rel=4 * math.sqrt(2 / 399))
    gaps = np.diff(poisson([Segment(200 * S, 100.0, 100.0)], 1)) / S
    assert gaps.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps.std() == pytest.approx(0.01, rel=0.05)


def test_a_poisson_ramp_puts_its_arrivals_where_the_rate_is() -> None:
    plan = [Segment(10 * S, 0.0, 200.0), Segment(10 * S, 200.0, 200.0)]
    counts = np.array(
        [
            np.histogram(poisson(plan, seed), bins=[0, 5 * S, 10 * S, 20 * S])[0]
            for seed in range(60)
        ]
    )
    for observed, expected in zip(counts.mean(axis=0), (250, 750, 2000), strict=True):
        assert observed == pytest.approx(expected, abs=4 * math.sqrt(expected / 60))


def test_the_same_seed_gives_the_same_arrivals_and_another_one_others() -> None:
    plan = [Segment(5 * S, 50.0, 50.0)]
    assert np.array_equal(poisson(plan, 1), poisson(plan, 1))
    assert not np.array_equal(poisson(plan, 1)[:50], poisson(plan, 2)[:50])


def test_no_segments_make_no_arrivals() -> None:
    assert len(constant([])) == len(poisson([], 1)) == 0


@given(st.integers(1, 3000), st.integers(1, 100 * S))
def test_users_come_evenly_over_a_ramp_and_stay(users: int, ramp_ns: int) -> None:
    found = user_spells([Segment(ramp_ns, 0.0, users), Segment(S, users, users)])
    assert found == [[(user * ramp_ns // users, ramp_ns + S)] for user in range(users)]


def test_users_without_a_ramp_come_at_once() -> None:
    assert user_spells([Segment(S, 3.0, 3.0)]) == [[(0, S)]] * 3
    assert user_spells([Segment(0, 0.0, 3.0), Segment(S, 3.0, 3.0)]) == [[(0, S)]] * 3
    assert user_spells([Segment(S, 0.0, 0.0)]) == user_spells([]) == []


def test_the_last_to_come_is_the_first_to_go() -> None:
    valley = [Segment(4 * S, 4.0, 0.0), Segment(4 * S, 0.0, 4.0)]
    assert user_spells(valley) == [
        [(0, 8 * S)],  # at the bottom the level is above 0 until, and from, the same instant
        [(0, 3 * S), (5 * S, 8 * S)],
        [(0, 2 * S), (6 * S, 8 * S)],
        [(0, 1 * S), (7 * S, 8 * S)],
    ]


few = st.one_of(st.integers(0, 6).map(float), st.sampled_from([0.5, 2.25, 3.75]))
short_plans = st.lists(st.builds(Segment, st.integers(0, 12), few, few), max_size=6)


@settings(deadline=None, max_examples=300)
@given(short_plans)
def test_a_user_is_there_while_the_population_is_above_its_number(plan: list[Segment]) -> None:
    """Nanosecond by nanosecond."""
    spells = user_spells(plan)
    for t_ns in range(sum(part.duration_ns for part in plan)):
        there = [
            user
            for user, own in enumerate(spells)
            if any(on_ns <= t_ns < off_ns for on_ns, off_ns in own)
        ]
        assert there == list(range(present(plan, t_ns)))
    for own in spells:
        assert own, "there are as many users as the peak"
        assert all(on_ns < off_ns for on_ns, off_ns in own)
        assert all(left.off_ns < right.on_ns for left, right in pairwise(own))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_think_time_lies_between_its_limits_and_hangs_on_user_and_iteration(
    user: int, iteration: int
) -> None:
    think = Think("uniform", S, 3 * S)
    pause = think_ns(think, 1, user, iteration)
    assert S <= pause <= 3 * S
    assert pause == think_ns(think, 1, user, iteration)
    assert pause != think_ns(think, 1, user, iteration + 1)


def test_a_constant_think_time_is_constant() -> None:
    assert think_ns(Think("constant", 5), 1, 2, 3) == 5


@pytest.mark.parametrize(
    ("think", "mean_ns", "median_ns"),
    [
        (Think("exponential", mean_ns=2 * S), 2 * S, 2 * S * math.log(2)),
        (Think("lognormal", median_ns=S, sigma=0.5), S * math.exp(0.125), S),
        (Think("lognormal", median_ns=S, sigma=0.0), S, S),
    ],
)
def test_think_times_with_a_long_tail_have_the_mean_and_median_they_are_named_by(
    think: Think, mean_ns: float, median_ns: float
) -> None:
    drawn = np.array([think_ns(think, 1, user, turn) for user in range(100) for turn in range(100)])
    assert drawn.min() >= 0
    assert drawn.mean() == pytest.approx(mean_ns, rel=0.04)
    assert np.median(drawn) == pytest.approx(median_ns, rel=0.04)
    assert think_ns(think, 1, 7, 3) == drawn[7 * 100 + 3], "whatever was drawn before"


@pytest.mark.parametrize("bad", [(-1, 1.0, 1.0), (1, -1.0, 1.0), (1, 1.0, math.nan)])
def test_a_negative_level_or_duration_is_refused(bad: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match=r"level|last"):
        Segment(*bad)


def test_a_think_time_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be drawn"):
        Think("uniform", 3, 1)
