"""When users' connections are opened."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.load.arrivals import Segment
from perfkit.load.opening import comings, has_own_connections, lead_ns, openings
from tests.load.specs import MS, S, population, spec_for

GAP_NS = S // 2000


def test_a_connection_opens_a_second_ahead_at_the_pace_of_a_ramp() -> None:
    assert openings([0, 2 * S, 4 * S], 60 * S) == [-S, S, 3 * S]


def test_a_jump_of_the_population_is_spread_over_the_time_before_it() -> None:
    found = openings([0] + [30 * S] * 2000, 60 * S)
    assert found[0] == -S
    assert (found[1], found[-1]) == (28 * S + GAP_NS, 29 * S)
    assert {after - before for before, after in pairwise(found[1:])} == {GAP_NS}


@given(st.lists(st.integers(0, 20 * GAP_NS), min_size=1, max_size=30).map(sorted))
def test_openings_are_as_late_as_they_may_be(arrivals: list[int]) -> None:
    found = openings(arrivals, 60 * S)
    following = [*found[1:], 100 * S]
    for opening, arrival, after in zip(found, arrivals, following, strict=True):
        assert opening == min(arrival - S, after - GAP_NS)


def test_no_connection_opens_so_early_that_it_is_too_old_when_it_is_used() -> None:
    assert openings([9 * S], S) == [8 * S + S // 2]
    found = openings([30 * S] * 10_000, 4 * S)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (28 * S, 29 * S)


def test_users_that_come_back_are_seen_to_again(tmp_path: Path) -> None:
    plan = (Segment(2 * S, 2.0, 2.0), Segment(S, 1.0, 1.0), Segment(S, 3.0, 3.0))
    spec = spec_for(tmp_path, model="closed", segments=plan, load_ns=4 * S)
    assert comings(spec) == [(0, 0), (0, 1), (3 * S, 1), (3 * S, 2)]


@pytest.mark.parametrize(
    ("more", "own"),
    [
        ({}, True),
        ({"connections": 10}, True),
        ({"connections": 9}, False),
        ({"connections": 5, "shard": 1, "shards": 2}, True),
        ({"pacing_ns": S}, False),
        ({"model": "open"}, False),
    ],
)
def test_users_have_their_own_connections_where_there_are_enough(
    tmp_path: Path, more: dict[str, Any], own: bool
) -> None:
    spec = spec_for(tmp_path, **{"model": "closed", "segments": population(10)} | more)
    assert has_own_connections(spec) is own


def test_a_generator_needs_no_longer_to_begin_than_its_first_connections_take(
    tmp_path: Path,
) -> None:
    def lead_ms(users: int, ramp_ns: int, **more: Any) -> float:
        more |= {"segments": population(users, ramp_ns), "load_ns": 60 * S}
        return lead_ns(spec_for(tmp_path, model="closed", **more)) / MS

    assert lead_ms(10_000, 0, connections=10_000) == 300 + 5000
    assert lead_ms(10_000, 10 * S, connections=10_000) == 300 + 500.5  # those of the first second
    assert lead_ms(1000, 60 * S) == pytest.approx(300 + 8.5)
    assert lead_ms(1000, 0, connections=10) == 300
