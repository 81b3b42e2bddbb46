"""What comes due, in both models."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from perfkit.load.arrivals import Segment, Think, constant, think_ns, user_starts
from perfkit.load.demand import ClosedDemand, Demand, Due, OpenDemand, demand_of
from perfkit.load.exchange import NEVER_NS
from tests.load.specs import S, spec_for


def taken(demand: Demand) -> list[Due]:
    """All that comes due when no reply is ever seen."""
    found = []
    while demand.next_ns != NEVER_NS:
        found.append(demand.take())
    return found


def test_an_open_plan_is_its_schedule(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, segments=(Segment(S, 50.0, 100.0),), load_ns=S)
    found = taken(demand_of(spec))
    offsets = constant(spec.segments).tolist()
    assert [due.intended_ns - spec.start_ns for due in found] == offsets
    assert [due.key for due in found] == [f"7/{n}" for n in range(75)]
    assert {(due.user, due.iteration) for due in found} == {(-1, -1)}


def test_shards_of_an_open_plan_make_the_whole_plan(tmp_path: Path) -> None:
    more: dict[str, Any] = {"segments": (Segment(S, 50.0, 100.0),), "load_ns": S, "start_ns": 1000}
    whole = taken(OpenDemand(spec_for(tmp_path, **more)))
    parts = [
        due
        for shard in range(3)
        for due in taken(OpenDemand(spec_for(tmp_path, **more, shard=shard, shards=3)))
    ]
    assert sorted(parts) == sorted(whole)


def test_nothing_comes_due_at_or_after_the_end_of_load(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, segments=(Segment(S, 10.0, 10.0),), load_ns=S // 2)
    assert len(taken(OpenDemand(spec))) == 5


def test_a_user_goes_on_when_the_reply_and_the_think_time_are_over(tmp_path: Path) -> None:
    think = Think("uniform", S, 3 * S)
    spec = spec_for(tmp_path, model="closed", users=1, think=think, load_ns=100 * S)
    demand = ClosedDemand(spec)
    first = demand.take()
    assert first == Due(spec.start_ns, "7/u0/0", 0, 0)
    assert demand.next_ns == NEVER_NS, "nothing comes due while the user waits"
    demand.ended(0, 0, spec.start_ns + 5 * S)
    second = demand.take()
    assert second.key == "7/u0/1"
    assert second.intended_ns == spec.start_ns + 5 * S + think_ns(think, 7, 0, 1)


def test_users_begin_at_their_places_in_the_ramp(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, model="closed", users=10, ramp_ns=S, load_ns=2 * S)
    found = taken(ClosedDemand(spec))
    assert [due.intended_ns - spec.start_ns for due in found] == user_starts(10, S).tolist()
    assert [due.user for due in found] == list(range(10))


def test_shards_of_a_closed_plan_share_the_users(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "model": "closed",
        "users": 10,
        "ramp_ns": S,
        "load_ns": 2 * S,
        "start_ns": 5,
    }
    whole = taken(ClosedDemand(spec_for(tmp_path, **more)))
    parts = [
        due
        for shard in range(3)
        for due in taken(ClosedDemand(spec_for(tmp_path, **more, shard=shard, shards=3)))
    ]
    assert sorted(parts) == whole


def test_pacing_fixes_the_instants_whatever_the_replies_do(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "model": "closed",
        "users": 2,
        "ramp_ns": S,
        "load_ns": 3 * S,
        "pacing_ns": S,
    }
    spec = spec_for(tmp_path, **more)
    demand = ClosedDemand(spec)
    due = demand.take()
    demand.ended(due.user, due.iteration, due.intended_ns + 10 * S)
    found = [due, *taken(demand)]
    assert [each.intended_ns - spec.start_ns for each in found] == [n * S // 2 for n in range(6)]
    assert [each.key for each in found[:4]] == ["7/u0/0", "7/u1/0", "7/u0/1", "7/u1/1"]


def test_what_a_user_draws_does_not_depend_on_the_order_of_replies(tmp_path: Path) -> None:
    more: dict[str, Any] = {"model": "closed", "users": 20, "load_ns": 50 * S, "start_ns": 0}
    spec = spec_for(tmp_path, **more, think=Think("uniform", S, 3 * S))

    def pauses(order: random.Random) -> dict[str, int]:
        """Think times of five rounds in which the replies come in another order each time."""
        demand = ClosedDemand(spec)
        found: dict[str, int] = {}
        ended_at: dict[int, int] = {}
        for turn in range(5):
            batch = [demand.take() for _ in range(20)]
            if turn:
                found |= {due.key: due.intended_ns - ended_at[due.user] for due in batch}
            for due in order.sample(batch, len(batch)):
                ended_at[due.user] = turn * 10 * S + order.randrange(S)
                demand.ended(due.user, due.iteration, ended_at[due.user])
        return found

    assert pauses(random.Random(1)) == pauses(random.Random(2))


def test_a_stopped_plan_has_nothing_more(tmp_path: Path) -> None:
    closed = spec_for(tmp_path, model="closed", users=3, load_ns=S)
    opened = spec_for(tmp_path, segments=(Segment(S, 10.0, 10.0),), load_ns=S)
    for spec in (closed, opened):
        demand = demand_of(spec)
        demand.take()
        demand.stop()
        demand.ended(0, 0, spec.start_ns)
        assert demand.next_ns == NEVER_NS
