"""Waves, bursts, exact counts and shards of schedules, against slow, obvious oracles."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.errors import UsageError
from perfkit.load.arrivals import (
    Burst,
    Segment,
    Wave,
    bursts,
    constant,
    exact_poisson,
    poisson,
    schedule,
    user_spells,
)
from perfkit.load.demand import demand_of, offsets_of
from perfkit.load.exchange import NEVER_NS
from perfkit.load.spec import LoadSpec
from tests.load.specs import spec_for

S = 1_000_000_000

levels = st.one_of(st.just(0.0), st.integers(1, 200).map(float), st.floats(0.1, 200))
waves = st.builds(
    lambda low, rise, period_ns: Wave(low, low + rise, period_ns),
    levels,
    levels,
    st.integers(S // 2, 5 * S),
)


def swinging(duration_ns: int, wave: Wave) -> Segment:
    return Segment(duration_ns, wave.low, wave.level(duration_ns), wave)


wavy = st.builds(swinging, st.integers(0, 6 * S), waves)
straight = st.builds(Segment, st.integers(0, 3 * S), levels, levels)
bursting = st.builds(
    lambda duration_ns, level, size, every_ns: Segment(
        duration_ns, level, level, burst=Burst(size, every_ns)
    ),
    st.integers(0, 3 * S),
    levels,
    st.integers(1, 40),
    st.integers(S // 10, 4 * S),
)
plans = st.lists(st.one_of(wavy, straight, bursting), min_size=1, max_size=5)


def rate_at(part: Segment, t_ns: float) -> float:
    """The level from its definition."""
    if part.wave is None:
        return part.level_start + (part.level_end - part.level_start) * t_ns / part.duration_ns
    low, high, period_ns = part.wave.low, part.wave.high, part.wave.period_ns
    return low + (high - low) * (1 - math.cos(2 * math.pi * t_ns / period_ns)) / 2


def area(part: Segment, until_ns: int) -> float:
    """By Simpson's rule, on a grid far finer than any wave here."""
    if until_ns == 0:
        return 0.0
    steps = 400
    grid = [until_ns * step / steps for step in range(steps + 1)]
    rates = [rate_at(part, t_ns) for t_ns in grid]
    inside = 4 * sum(rates[1:-1:2]) + 2 * sum(rates[2:-1:2])
    return (rates[0] + inside + rates[-1]) * until_ns / S / steps / 3


def cumulative(plan: list[Segment], t_ns: int) -> float:
    """Events expected before an instant, bursts left out."""
    total, begin_ns = 0.0, 0
    for part in plan:
        if t_ns > begin_ns and part.duration_ns:
            total += area(part, min(t_ns - begin_ns, part.duration_ns))
        begin_ns += part.duration_ns
    return total


def length(plan: list[Segment]) -> int:
    return sum(part.duration_ns for part in plan)


@settings(deadline=None, max_examples=60)
@given(plans)
def test_the_nth_arrival_is_where_the_area_under_any_shape_reaches_n(plan: list[Segment]) -> None:
    offsets = constant(plan)
    for n in range(0, len(offsets), max(1, len(offsets) // 12)):
        assert cumulative(plan, int(offsets[n])) == pytest.approx(n, abs=1e-4)
    assert abs(len(offsets) - cumulative(plan, length(plan))) < 1 + 1e-4


@settings(deadline=None, max_examples=80)
@given(
    plans,
    st.sampled_from(["constant", "poisson", "exact"]),
    st.integers(0, 2**40),
)
def test_every_schedule_is_sorted_int64_inside_the_load(
    plan: list[Segment], kind: str, seed: int
) -> None:
    offsets = schedule(
        "constant" if kind == "constant" else "poisson", plan, seed, exact=kind == "exact"
    )
    assert offsets.dtype == np.int64
    assert (np.diff(offsets) >= 0).all()
    if len(offsets):
        assert 0 <= offsets[0] <= offsets[-1] < length(plan)


@settings(deadline=None, max_examples=80)
@given(plans)
def test_bursts_come_at_the_begin_and_then_every_so_often(plan: list[Segment]) -> None:
    expected: list[int] = []
    begin_ns = 0
    for part in plan:
        at_ns = 0
        while part.burst is not None and at_ns < part.duration_ns:
            expected += [begin_ns + at_ns] * part.burst.size
            at_ns += part.burst.every_ns
        begin_ns += part.duration_ns
    assert bursts(plan).tolist() == expected
    whole = schedule("constant", plan, 1).tolist()
    assert whole == sorted(constant(plan).tolist() + expected)


@settings(deadline=None, max_examples=80)
@given(plans, st.integers(0, 2**40))
def test_exact_poisson_has_in_every_segment_the_count_of_the_constant_schedule(
    plan: list[Segment], seed: int
) -> None:
    edges = np.cumsum([0, *(part.duration_ns for part in plan)])

    def counts(offsets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
        places = np.searchsorted(offsets, edges)
        return [int(count) for count in np.diff(places)]

    assert counts(exact_poisson(plan, seed)) == counts(constant(plan))


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_exactly_n_arrivals_come_whatever_the_seed(count: int) -> None:
    plan = [Segment(10 * S, count / 10, count / 10)]
    assert {len(exact_poisson(plan, seed)) for seed in range(50)} == {count}
    assert len({len(poisson([Segment(10 * S, 100.0, 100.0)], seed)) for seed in range(50)}) > 10


def test_exact_arrivals_are_the_uniforms_that_the_formula_gives_in_the_mean() -> None:
    """u_k = 1 - (1 - u_(k-1)) * U^(1/(N-k)): the mean of the kth of N is (k+1)/(N+1)."""
    count, runs = 20, 3000
    plan = [Segment(S, float(count), float(count))]
    found = np.array([exact_poisson(plan, seed) for seed in range(runs)]) / S
    k = np.arange(count)
    expected = (k + 1) / (count + 1)
    spread = np.sqrt(expected * (1 - expected) / (count + 2) / runs)
    assert (np.abs(found.mean(axis=0) - expected) < 5 * spread).all()


def test_exact_arrivals_on_a_ramp_follow_the_formula_of_the_ramp() -> None:
    """t = d/(r2-r1) * (sqrt((1-u) r1^2 + u r2^2) - r1), u the sorted uniforms of a level piece."""
    low, high, seconds = 10.0, 90.0, 4
    ramp = exact_poisson([Segment(seconds * S, low, high)], 5) / S
    level = exact_poisson([Segment(seconds * S, 50.0, 50.0)], 5) / S  # as many: 200
    u = level / seconds
    expected = seconds / (high - low) * (np.sqrt((1 - u) * low**2 + u * high**2) - low)
    assert ramp == pytest.approx(expected, abs=1e-6)


def test_a_sine_has_its_mean_rate_over_each_whole_period_and_its_peak_in_the_middle() -> None:
    wave = Wave(50.0, 350.0, 20 * S)
    offsets = constant([swinging(60 * S, wave)])
    assert np.histogram(offsets, np.arange(4) * 20 * S)[0].tolist() == [4000, 4000, 4000]
    bottom, top = (int(((offsets >= a * S) & (offsets < (a + 1) * S)).sum()) for a in (0, 9.5))
    assert [bottom, top] == pytest.approx([53, 349], abs=3)


def test_a_poisson_process_follows_a_sine() -> None:
    plan = [swinging(20 * S, Wave(0.0, 200.0, 20 * S))]
    edges = [0, 5 * S, 10 * S, 15 * S, 20 * S]
    counts = np.array([np.histogram(poisson(plan, seed), edges)[0] for seed in range(80)])
    for observed, begin, end in zip(counts.mean(axis=0), edges, edges[1:], strict=False):
        expected = area(plan[0], end) - area(plan[0], begin)
        assert observed == pytest.approx(expected, abs=4 * math.sqrt(expected / 80))


def test_rates_below_one_a_second_keep_their_instants_exact() -> None:
    assert constant([Segment(40 * S, 0.1, 0.1)]).tolist() == [0, 10 * S, 20 * S, 30 * S]
    assert len(constant([Segment(3600 * S, 1 / 3600, 1 / 3600)])) == 1
    assert len(exact_poisson([Segment(100 * S, 0.05, 0.05)], 9)) == 5


few = st.integers(0, 5).map(float)
short_waves = st.builds(
    lambda low, rise, period_ns: Wave(low, low + rise, period_ns), few, few, st.integers(4, 40)
)
short_plans = st.lists(
    st.one_of(
        st.builds(swinging, st.integers(1, 50), short_waves),
        st.builds(Segment, st.integers(0, 12), few, few),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(short_plans)
def test_users_swing_with_a_sine_nanosecond_by_nanosecond(plan: list[Segment]) -> None:
    spells = user_spells(plan)
    for own in spells:
        assert own
        assert all(on_ns < off_ns for on_ns, off_ns in own)
        assert all(left.off_ns < right.on_ns for left, right in pairwise(own))
    begin_ns = 0
    for part in plan:
        for t_ns in range(part.duration_ns):
            steps = [rate_at(part, t_ns + step / 20) for step in range(21)]
            there = {
                user
                for user, own in enumerate(spells)
                if any(on_ns <= begin_ns + t_ns < off_ns for on_ns, off_ns in own)
            }
            assert there >= {user for user in range(12) if max(steps) > user + 1e-6}
            # The last instant of the grid may be missed by it: a top between two of its places.
            assert there <= {user for user in range(12) if max(steps) > user - 0.05}
        begin_ns += part.duration_ns


def carried_out(spec: LoadSpec) -> list[tuple[int, str]]:
    """Every request of an open plan: instant and key."""
    demand, found = demand_of(spec), []
    while demand.next_ns != NEVER_NS:
        due = demand.take()
        found.append((due.intended_ns, due.key))
    return found


@settings(deadline=None, max_examples=40)
@given(
    plans,
    st.sampled_from(["constant", "poisson", "exact"]),
    st.integers(1, 7),
    st.integers(0, 2**31),
)
def test_any_number_of_shards_send_the_same_schedule(
    plan: list[Segment], kind: str, shards: int, seed: int
) -> None:
    def part(shard: int, of: int) -> LoadSpec:
        return spec_for(
            Path(),
            start_ns=7,
            load_ns=length(plan),
            segments=tuple(plan),
            seed=seed,
            arrivals="constant" if kind == "constant" else "poisson",
            exact=kind == "exact",
            shard=shard,
            shards=of,
        )

    whole = carried_out(part(0, 1))
    parts = [each for shard in range(shards) for each in carried_out(part(shard, shards))]
    assert sorted(parts) == sorted(whole)
    assert [at_ns - 7 for at_ns, _ in whole] == offsets_of(part(0, 1)).tolist()


def test_a_trace_is_sent_as_it_is_written_in_strides_and_up_to_the_end_of_the_load(
    tmp_path: Path,
) -> None:
    times = tmp_path / "trace.times"
    np.array([0, 5, 5, 9, 12], np.int64).tofile(times)
    more: dict[str, Any] = {
        "arrivals": "trace",
        "times": str(times),
        "start_ns": 100,
        "load_ns": 12,
    }
    one = carried_out(spec_for(tmp_path, **more))
    assert one == [(100, "7/0"), (105, "7/1"), (105, "7/2"), (109, "7/3")]
    two = [carried_out(spec_for(tmp_path, **more, shard=shard, shards=2)) for shard in (0, 1)]
    assert two == [one[::2], one[1::2]]
    times.unlink()
    with pytest.raises(UsageError, match="can't read the times"):
        demand_of(spec_for(tmp_path, **more))


def test_a_trace_without_times_and_bursts_of_users_make_no_load(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no times"):
        spec_for(tmp_path, arrivals="trace")
    with pytest.raises(UsageError, match="open model"):
        spec_for(tmp_path, model="closed", segments=(Segment(S, 1, 1, burst=Burst(3, S)),))


def test_a_spec_with_every_shape_is_read_back_from_its_text(tmp_path: Path) -> None:
    plan = (swinging(S, Wave(1.0, 3.0, S)), Segment(S, 2.0, 2.0, burst=Burst(3, S // 3)))
    spec = spec_for(tmp_path, segments=plan, exact=True)
    assert LoadSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "bad",
    [lambda: Wave(3, 1, S), lambda: Wave(0, 1, 0), lambda: Burst(0, S), lambda: Burst(1, 0)],
)
def test_shapes_that_can_not_be_are_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(ValueError, match=r"wave|burst"):
        bad()
