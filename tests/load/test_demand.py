"""What comes due, in both models."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perfkit.load.arrivals import Segment, Think, constant, think_ns
from perfkit.load.demand import ClosedDemand, Demand, Due, OpenDemand, demand_of
from perfkit.load.exchange import NEVER_NS
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import unit
from tests.load.specs import S, population, present, spec_for


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
    spec = spec_for(tmp_path, model="closed", segments=population(1), think=think, load_ns=100 * S)
    demand = ClosedDemand(spec)
    first = demand.take()
    assert first == Due(spec.start_ns, "7/u0/0", 0, 0)
    assert demand.next_ns == NEVER_NS, "nothing comes due while the user waits"
    demand.ended(0, 0, spec.start_ns + 5 * S)
    second = demand.take()
    assert second.key == "7/u0/1"
    assert second.intended_ns == spec.start_ns + 5 * S + think_ns(think, 7, 0, 1)


def test_users_begin_at_their_places_in_the_ramp(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, model="closed", segments=population(10, S), load_ns=2 * S)
    found = taken(ClosedDemand(spec))
    assert [due.intended_ns - spec.start_ns for due in found] == [n * S // 10 for n in range(10)]
    assert [due.user for due in found] == list(range(10))


def test_shards_of_a_closed_plan_share_the_users(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "model": "closed",
        "segments": population(10, S),
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
        "segments": population(2, S),
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


def test_a_user_leaves_with_the_population_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    plan = (Segment(10 * S, 1.0, 1.0), Segment(5 * S, 0.0, 0.0), Segment(10 * S, 1.0, 1.0))
    think = Think("constant", 3 * S)
    spec = spec_for(tmp_path, model="closed", segments=plan, think=think, load_ns=25 * S)
    demand = ClosedDemand(spec)

    def replied(due: Due, at_ns: int) -> int:
        """When the user sends again, from the start of load."""
        demand.ended(due.user, due.iteration, spec.start_ns + at_ns)
        return demand.next_ns - spec.start_ns

    assert replied(demand.take(), 2 * S) == 5 * S
    assert replied(demand.take(), 7 * S) == 15 * S, "10 s is the end of its spell: it is gone"
    back = demand.take()
    assert back.key == "7/u0/2", "iterations go on, and with them the draws"
    assert replied(back, 21 * S) == 24 * S
    assert replied(demand.take(), 24 * S) == NEVER_NS - spec.start_ns


def test_a_reply_that_outlasts_the_rest_starts_a_think_time(tmp_path: Path) -> None:
    plan = (Segment(10 * S, 1.0, 1.0), Segment(5 * S, 0.0, 0.0), Segment(10 * S, 1.0, 1.0))
    think = Think("constant", 3 * S)
    spec = spec_for(tmp_path, model="closed", segments=plan, think=think, load_ns=25 * S)
    for reply_ns, again_ns in [(12 * S, 15 * S), (15 * S, 18 * S), (16 * S, 19 * S)]:
        demand = ClosedDemand(spec)
        demand.take()
        demand.ended(0, 0, spec.start_ns + reply_ns)
        assert demand.next_ns == spec.start_ns + again_ns


def test_pacing_begins_anew_with_each_spell(tmp_path: Path) -> None:
    plan = (Segment(10 * S, 1.0, 1.0), Segment(5 * S, 0.0, 0.0), Segment(10 * S, 1.0, 1.0))
    more: dict[str, Any] = {"segments": plan, "pacing_ns": 4 * S, "load_ns": 25 * S}
    spec = spec_for(tmp_path, model="closed", **more)
    found = [(due.intended_ns - spec.start_ns) // S for due in taken(ClosedDemand(spec))]
    assert found == [0, 4, 8, 15, 19, 23]


levels = st.integers(0, 4).map(float)
populations = st.lists(st.builds(Segment, st.integers(1, 15), levels, levels), max_size=6)
thinks = st.builds(lambda low, more: Think("uniform", low, low + more), *[st.integers(0, 6)] * 2)


def answered(spec: LoadSpec, reply_ns: Callable[[int, int], int]) -> list[Due]:
    """All that comes due, sorted, when the reply to (user, iteration) takes so long."""
    demand = ClosedDemand(spec)
    replies: list[tuple[int, int, int]] = []
    found = []
    while replies or demand.next_ns != NEVER_NS:
        if replies and replies[0][0] <= demand.next_ns:
            at_ns, user, iteration = heapq.heappop(replies)
            demand.ended(user, iteration, at_ns)
            continue
        due = demand.take()
        found.append(due)
        took_ns = reply_ns(due.user, due.iteration)
        heapq.heappush(replies, (due.intended_ns + took_ns, due.user, due.iteration))
    assert [due.intended_ns for due in found] == sorted(due.intended_ns for due in found)
    return sorted(found)


def lived(spec: LoadSpec, reply_ns: Callable[[int, int], int]) -> list[Due]:
    """The same by living each user's life, nanosecond by nanosecond."""
    found = []
    for user in range(spec.users):
        iteration = 0
        wakes_ns: int | None = None  # not there, or waiting for a reply
        reply_at_ns: int | None = None
        for t_ns in range(spec.load_ns):
            if reply_at_ns == t_ns:
                reply_at_ns = None
                wakes_ns = t_ns + think_ns(spec.think, spec.seed, user, iteration)
            if reply_at_ns is not None:
                continue
            if present(spec.segments, t_ns) <= user:
                wakes_ns = None
            elif wakes_ns is None or wakes_ns == t_ns:
                key = f"{spec.seed}/u{user}/{iteration}"
                found.append(Due(spec.start_ns + t_ns, key, user, iteration))
                reply_at_ns = t_ns + reply_ns(user, iteration)
                wakes_ns, iteration = None, iteration + 1
    return sorted(found)


@settings(deadline=None, max_examples=200)
@given(populations, thinks, st.integers(0, 99), st.integers(1, 40), st.integers(1, 100))
def test_users_come_think_and_go_as_in_a_life_lived_step_by_step(
    plan: list[Segment], think: Think, seed: int, slowest_ns: int, load_ns: int
) -> None:
    more: dict[str, Any] = {"segments": tuple(plan), "think": think, "seed": seed}
    assume(any(part.level_start or part.level_end for part in plan))
    spec = spec_for(Path(), model="closed", **more, load_ns=load_ns)

    def reply_ns(user: int, iteration: int) -> int:
        return 1 + int(unit(seed, user, iteration) * slowest_ns)

    assert answered(spec, reply_ns) == lived(spec, reply_ns)


@settings(deadline=None, max_examples=60)
@given(populations, thinks, st.integers(2, 5))
def test_shards_of_a_changing_population_make_the_whole(
    plan: list[Segment], think: Think, shards: int
) -> None:
    assume(any(part.level_start or part.level_end for part in plan))
    more: dict[str, Any] = {"segments": tuple(plan), "think": think, "load_ns": 90, "start_ns": 1}

    def reply_ns(user: int, iteration: int) -> int:
        return 1 + (user + iteration) % 5

    whole = answered(spec_for(Path(), model="closed", **more), reply_ns)
    parts = [
        spec_for(Path(), model="closed", **more, shard=shard, shards=shards)
        for shard in range(shards)
    ]
    assert sorted(due for part in parts for due in answered(part, reply_ns)) == whole


rates = st.integers(0, 300).map(float)
steps = st.lists(st.builds(Segment, st.integers(0, S), rates, rates), max_size=8)


@settings(deadline=None, max_examples=60)
@given(steps, st.sampled_from(["constant", "poisson"]), st.integers(2, 5))
def test_shards_of_rates_that_jump_and_ramp_make_the_whole(
    plan: list[Segment], kind: str, shards: int
) -> None:
    more: dict[str, Any] = {"segments": tuple(plan), "arrivals": kind, "load_ns": 9 * S}
    whole = taken(OpenDemand(spec_for(Path(), **more, start_ns=5)))
    parts = [
        due
        for shard in range(shards)
        for due in taken(
            OpenDemand(spec_for(Path(), **more, start_ns=5, shard=shard, shards=shards))
        )
    ]
    assert sorted(parts) == sorted(whole)
    if kind == "constant":
        assert len(whole) == math.ceil(sum(part.expected for part in plan))


def test_what_a_user_draws_does_not_depend_on_the_order_of_replies(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "model": "closed",
        "segments": population(20),
        "load_ns": 50 * S,
        "start_ns": 0,
    }
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
    closed = spec_for(tmp_path, model="closed", segments=population(3), load_ns=S)
    opened = spec_for(tmp_path, segments=(Segment(S, 10.0, 10.0),), load_ns=S)
    for spec in (closed, opened):
        demand = demand_of(spec)
        demand.take()
        demand.stop()
        demand.ended(0, 0, spec.start_ns)
        assert demand.next_ns == NEVER_NS
