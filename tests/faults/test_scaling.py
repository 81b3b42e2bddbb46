"""When workers are added and taken away: tables of what was seen and what is asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.clock import ManualClock
from perfkit.faults import Autoscaler, Change, Planned
from perfkit.scenario import Autoscale, Scale

MS = 1_000_000
S = 1_000_000_000


def rule(**changes: object) -> Autoscale:
    """Half a second, 1 to 8 workers, looked at each second, cooled down for ten."""
    return Autoscale(**{"target": "500ms", **changes})  # type: ignore[arg-type]


def seen(age_ns: float, workers: float, *, changing: bool = False) -> dict[str, float]:
    return {"queue.age": age_ns, "workers": workers, "changing": float(changing)}


def asked(changes: list[Change]) -> list[int]:
    return [change.workers for change in changes]


# The plan


def test_each_entry_of_a_plan_is_asked_for_once_when_its_time_has_come() -> None:
    plan = Planned(
        [
            Scale(at="20s", workers=1, pool="payments"),  # type: ignore[arg-type]
            Scale(at="-1s", workers=3, pool="payments"),  # type: ignore[arg-type]
            Scale(at="20s", workers=2, pool="payments"),  # type: ignore[arg-type]
        ]
    )
    first = Change(pool="payments", workers=3, reason="planned")
    assert plan.due(-1 * S - 1, {}) == []
    assert plan.due(-1 * S, {}) == [first]
    assert plan.due(20 * S - 1, {}) == []
    # Both, though asked late; of two at one instant the later in the file has the last word.
    assert asked(plan.due(23 * S, {})) == [1, 2]
    assert plan.due(99 * S, {}) == []


# The rule, one look


@pytest.mark.parametrize(
    ("workers", "age_ms", "wanted"),
    [
        (2, 0, None),  # nothing waits
        (2, 500, None),  # the target itself is good enough
        (2, 501, 3),  # 2.004 workers
        (2, 750, 3),
        (2, 751, 4),
        (2, 60_000, 8),  # never more than the maximum
        (8, 60_000, None),
        (0, 501, 2),  # an empty pool counts as one worker
        (0, 0, 1),  # never fewer than the minimum
        (12, 0, 8),  # somebody else has made them too many
        (12, 60_000, 8),
    ],
)
def test_more_are_asked_for_in_proportion_to_the_age(
    workers: int, age_ms: int, wanted: int | None
) -> None:
    changes = Autoscaler(rule()).due(0, seen(age_ms * MS, workers))
    assert asked(changes) == ([] if wanted is None else [wanted])


def test_a_change_says_why_and_for_which_pool() -> None:
    (up,) = Autoscaler(rule(pool="payments"), ["payments"]).due(
        0, {"queue.age:payments": 1.2 * S, "workers": 2.0}
    )
    assert up.pool == "payments"
    assert up.reason == "autoscale: the oldest job has waited 1.20 s, wanted is at most 500 ms"
    scaler = Autoscaler(rule(cooldown="2s"))
    (down,) = [change for at_s in range(3) for change in scaler.due(at_s * S, seen(0, 2))]
    assert down.reason == "autoscale: no job has waited for 250 ms in 2.00 s"
    (bounds,) = Autoscaler(rule()).due(0, seen(0, 12))
    assert bounds.reason == "autoscale: 1 to 8 workers are allowed"


def test_of_the_queues_of_a_pool_the_oldest_job_counts() -> None:
    figures = {"queue.age": 9.0 * S, "queue.age:a": 0.1 * S, "queue.age:b": 0.9 * S, "workers": 1.0}
    assert asked(Autoscaler(rule(), ["a", "b"]).due(0, figures)) == [2]
    assert asked(Autoscaler(rule(), ["a", "silent"]).due(0, figures)) == []


@pytest.mark.parametrize(
    "figures",
    [{}, {"workers": 1.0}, {"queue.age": 9.0 * S}, {"queue.age": math.nan, "workers": 1.0}],
)
def test_of_what_is_not_known_nothing_is_made(figures: dict[str, float]) -> None:
    assert Autoscaler(rule()).due(0, figures) == []


# The rule, over time


def test_it_looks_once_in_a_period_however_often_it_is_asked() -> None:
    scaler = Autoscaler(rule(every="1s"))
    assert scaler.due(0, seen(0, 2)) == []
    assert scaler.due(S - 1, seen(9 * S, 2)) == []
    assert asked(scaler.due(S + 300 * MS, seen(9 * S, 2))) == [8]  # late by 0.3 s
    assert scaler.due(2 * S - 1, seen(9 * S, 2)) == []  # and that adds up to nothing
    assert asked(scaler.due(2 * S, seen(9 * S, 2))) == [8]


def test_nothing_is_asked_while_a_change_is_going_on() -> None:
    scaler = Autoscaler(rule())
    assert asked(scaler.due(0, seen(S, 2))) == [4]
    for second in range(1, 4):
        assert scaler.due(second * S, seen(9 * S, 4, changing=True)) == []
    assert asked(scaler.due(4 * S, seen(9 * S, 4))) == [8]


def looks(scaler: Autoscaler, clock: ManualClock, *told: tuple[int, dict[str, float]]) -> list[int]:
    """Levels asked for when a figure is seen for so many seconds, one look in each."""
    found = []
    for seconds, figures in told:
        for _ in range(seconds):
            found += asked(scaler.due(clock.now_ns(), figures))
            clock.advance(S)
    return found


def test_one_fewer_after_a_cooldown_of_quiet() -> None:
    scaler, clock = Autoscaler(rule(cooldown="10s")), ManualClock()
    assert looks(scaler, clock, (10, seen(249 * MS, 4))) == []
    assert looks(scaler, clock, (1, seen(249 * MS, 4))) == [3]
    assert looks(scaler, clock, (10, seen(0, 3))) == []  # counted from that change
    assert looks(scaler, clock, (1, seen(0, 3))) == [2]


@pytest.mark.parametrize(
    "break_in",
    [
        seen(250 * MS, 4),  # half the target is not quiet
        seen(math.nan, 4),  # nor is what can't be seen
        seen(0, 4, changing=True),  # nor is the middle of a change
    ],
)
def test_what_is_not_quiet_begins_the_cooldown_again(break_in: dict[str, float]) -> None:
    scaler, clock = Autoscaler(rule(cooldown="10s")), ManualClock()
    quiet = seen(0, 4)
    assert looks(scaler, clock, (8, quiet), (1, break_in), (10, quiet)) == []
    assert looks(scaler, clock, (1, quiet)) == [3]


def test_never_below_the_minimum() -> None:
    scaler, clock = Autoscaler(rule(minimum=2, cooldown="2s")), ManualClock()
    assert looks(scaler, clock, (20, seen(0, 2))) == []
    empty = Autoscaler(rule(minimum=0, cooldown="2s"))
    assert looks(empty, clock, (3, seen(0, 1))) == [0]


def test_a_level_that_did_not_hold_is_tried_again_after_longer_and_longer() -> None:
    scaler, clock = Autoscaler(rule(cooldown="10s")), ManualClock()
    quiet, late = seen(0, 3), seen(600 * MS, 2)
    gaps = []
    for _ in range(4):
        since_ns = clock.now_ns()
        while not (down := asked(scaler.due(clock.now_ns(), quiet))):
            clock.advance(S)
        assert down == [2]
        gaps.append((clock.now_ns() - since_ns) // S)
        clock.advance(S)
        assert looks(scaler, clock, (1, late)) == [3]
    assert gaps == [10, 19, 39, 79]  # the cooldown, then 2, 4, 8 of them less the last look


def test_a_level_that_held_is_no_longer_held_against_it() -> None:
    scaler, clock = Autoscaler(rule(cooldown="2s")), ManualClock()
    assert looks(scaler, clock, (3, seen(0, 3)), (1, seen(600 * MS, 2))) == [2, 3]  # 2 fails
    assert looks(scaler, clock, (5, seen(0, 3))) == [2]  # tried again, four seconds later
    assert looks(scaler, clock, (3, seen(0, 2))) == [1]  # 2 has held: one fewer still
    assert looks(scaler, clock, (1, seen(S, 1)), (3, seen(0, 3))) == [2, 2]


# The rule and a queue


class Queue:
    """Constant arrivals, served in order by workers that take a while to come and to go.

    A fluid: as arrivals are constant, the oldest of ``backlog`` jobs has waited backlog / rate.
    """

    STEP_NS = 100 * MS
    DELAY_NS = 1500 * MS

    def __init__(self, scaler: Autoscaler, load: float, workers: int) -> None:
        """``load``: how many workers it keeps busy."""
        self.scaler, self.load, self.workers = scaler, load, workers
        self.backlog = 0.0
        self.level, self.ready_ns = workers, 0
        self.tries = 0  # of a level that is too low
        self.late_ns = 0
        self.worker_ns = 0

    def run(self, clock: ManualClock, until_ns: int) -> None:
        while (now_ns := clock.now_ns()) < until_ns:
            if self.level != self.workers and now_ns >= self.ready_ns:
                self.workers = self.level
            self.backlog = max(0.0, self.backlog + (self.load - self.workers) * self.STEP_NS / S)
            age_ns = self.backlog / self.load * S
            figures = seen(age_ns, self.level, changing=self.level != self.workers)
            for change in self.scaler.due(now_ns, figures):
                self.tries += change.workers < self.load <= self.level
                self.level, self.ready_ns = change.workers, now_ns + self.DELAY_NS
            self.late_ns += self.STEP_NS * (age_ns > self.scaler.rule.target_ns)
            self.worker_ns += self.STEP_NS * self.workers
            clock.advance(self.STEP_NS)


@settings(deadline=None)
@given(
    carried_by=st.integers(1, 7),
    use=st.floats(0.3, 0.95),
    start=st.integers(1, 8),
)
def test_under_a_constant_load_the_changes_die_out(carried_by: int, use: float, start: int) -> None:
    load = carried_by - 1 + use
    queue, clock = Queue(Autoscaler(rule(cooldown="10s")), load, start), ManualClock()
    queue.run(clock, 1800 * S)
    tries, late_ns, worker_ns = queue.tries, queue.late_ns, queue.worker_ns
    queue.run(clock, 3600 * S)
    # In the second half hour the next lower level is tried once more at the most …
    assert queue.tries - tries <= 1
    # … the oldest job is young, and there is hardly a worker more than it takes.
    assert queue.late_ns - late_ns <= 0.02 * 1800 * S
    assert load <= (queue.worker_ns - worker_ns) / (1800 * S) <= carried_by + 0.5


def test_a_burst_is_over_sooner_with_the_rule_than_without() -> None:
    def recovery_s(scaler: Autoscaler) -> float:
        queue, clock = Queue(scaler, load=1.5, workers=2), ManualClock()
        queue.run(clock, 10 * S)
        queue.load = 6.0
        queue.run(clock, 30 * S)
        queue.load = 1.5
        while queue.backlog > 0:
            queue.run(clock, clock.now_ns() + S)
        return clock.now_ns() / S - 30

    without = recovery_s(Autoscaler(rule(minimum=2, maximum=2)))
    assert without == pytest.approx(160, rel=0.05)  # 80 jobs waited, 0.5/s are left for them
    assert recovery_s(Autoscaler(rule(minimum=2, maximum=8))) < 0.1 * without
