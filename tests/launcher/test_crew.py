"""More and fewer workers, with stand-ins: what is started, told to stop, and said of it."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perfkit.errors import ChildDied, UsageError
from perfkit.launcher.change import ScaleEvent
from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.crew import Crew
from perfkit.launcher.fleet import Fleet
from perfkit.launcher.guard import Guard
from perfkit.launcher.watch import Watch
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeSpec, stack_settings
from tests.waiting import wait_until

# Blocked before it says so, and waited for: a handler would miss one that comes before a pause.
DUTIFUL = (
    "import signal, sys\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    "print('up', flush=True)\n"
    "signal.sigwait({signal.SIGTERM})\n"
    "sys.exit(0)"
)
DEAF = DUTIFUL.replace("signal.sigwait({signal.SIGTERM})", "while True: signal.pause()")
CLUMSY = DUTIFUL.replace("sys.exit(0)", "sys.exit(1)")


class StandIns:
    """In the place of `Workers`: the same names, and processes that do nothing."""

    def __init__(self, python: MakeSpec) -> None:
        self.python = python
        self.numbers: dict[str, int] = {}
        self.code = DUTIFUL
        self.changes: dict[str, Any] = {}
        self.held = threading.Event()  # while set, nobody becomes ready

    def another(self, pool: str) -> ChildSpec:
        self.numbers[pool] = number = self.numbers.get(pool, 0) + 1
        return self.python(self.code, f"{pool}-{number}", pool=pool, **self.changes)

    def replacement(self, died: ChildSpec) -> ChildSpec:
        return self.another(died.pool or "")

    def ready(self, child: Child) -> bool:
        return not self.held.is_set() and "up" in child.last_lines()


class Yard:
    """A crew with all that it needs."""

    def __init__(self, guard: Guard, python: MakeSpec) -> None:
        self.watch = Watch()
        self.told: list[str] = []
        self.fleet = Fleet(guard, self.watch, lambda: self.told.append("replaced"))
        self.stand_ins = StandIns(python)
        self.crew: Crew

    def open(
        self, workers: int = 1, *, restart: bool = False, grace_s: float = 5, timeout_s: float = 30
    ) -> Crew:
        """Pools ``a``, of so many workers, and ``b``, of one; all of them ready."""
        pools = tuple(
            PoolSettings(name=name, queues=(name,), workers=count, threads=1, prefetch=1)
            for name, count in (("a", workers), ("b", 1))
        )
        self.crew = Crew(
            self.fleet,
            self.stand_ins,  # type: ignore[arg-type]
            stack_settings(pools=pools, restart=restart),
            lambda: self.told.append("changed"),
            start_timeout_s=timeout_s,
            grace_s=grace_s,
        )
        for pool in pools:
            for _ in range(pool.workers):
                child = self.fleet.begin(self.stand_ins.another(pool.name))
                child.wait_ready(lambda child=child: self.stand_ins.ready(child), 10)
        if restart:
            self.fleet.replace_with(self.crew.replacement)
        return self.crew

    def settled(self, event: ScaleEvent) -> ScaleEvent:
        """The event, when nothing more will come of it."""
        wait_until(lambda: not self.crew.is_open(event), 20, "the change is over")
        return next(each for each in self.crew.events() if each.at_ns == event.at_ns)

    def alive(self, pool: str = "a") -> list[str]:
        return [
            child.spec.name
            for child in self.fleet.children("worker")
            if child.spec.pool == pool and not child.over
        ]

    def kill(self, name: str) -> None:
        os.kill(self.fleet.processes()[name].pid, signal.SIGKILL)

    def die(self, name: str) -> None:
        self.kill(name)
        wait_until(
            lambda: name in [death.name for death in self.fleet.deaths()], 5, "the death is seen"
        )


@pytest.fixture
def yard(guard: Guard, python: MakeSpec) -> Iterator[Yard]:
    yard = Yard(guard, python)
    yield yard
    yard.crew.close()
    yard.fleet.stop("worker", grace_s=0.2)
    yard.watch.close()


def test_more_workers_are_started_and_the_level_is_reached_when_they_are_ready(yard: Yard) -> None:
    crew = yard.open(1)
    yard.stand_ins.held.set()
    event = crew.scale("a", 3, "planned")
    assert (event.pool, event.from_workers, event.to_workers) == ("a", 1, 3)
    assert (event.reason, event.done_ns, event.error) == ("planned", None, None)
    assert crew.levels() == {"a": 3, "b": 1}
    wait_until(lambda: len(yard.alive()) == 3, 5, "all are started")
    assert crew.is_open(event)
    assert crew.ready() == {"a": 1, "b": 1}
    yard.stand_ins.held.clear()
    done = yard.settled(event)
    lives = {life.name: life for life in crew.lives()}
    assert list(lives) == ["a-1", "b-1", "a-2", "a-3"]
    ready_ns = [lives[name].ready_ns or 0 for name in ("a-2", "a-3")]
    assert done.done_ns == max(ready_ns)
    assert done.error is None
    assert event.at_ns < lives["a-2"].started_ns < lives["a-3"].started_ns < min(ready_ns)
    wait_until(lambda: "changed" in yard.told, 5, "whoever keeps the lease is told")


def test_of_fewer_workers_the_newest_go_and_their_ends_are_no_deaths(yard: Yard) -> None:
    crew = yard.open(3)
    done = yard.settled(crew.scale("a", 1, "planned"))
    assert yard.alive() == ["a-1"]
    assert yard.fleet.deaths() == []
    gone = [life for life in crew.lives() if life.ended_ns is not None]
    assert [life.name for life in gone] == ["a-2", "a-3"]
    assert [life.status for life in gone] == [0, 0]
    assert done.done_ns == max(life.ended_ns or 0 for life in gone)
    assert all(done.at_ns <= (life.stop_ns or 0) <= (life.ended_ns or 0) for life in gone)
    assert done.error is None
    assert crew.stopping() == {"a": 0, "b": 0}
    crew.check()


def test_a_name_is_never_used_again(yard: Yard) -> None:
    crew = yard.open(2)
    for workers in (1, 2):
        yard.settled(crew.scale("a", workers, ""))
    assert yard.alive() == ["a-1", "a-3"]


def test_the_last_wish_wins_and_the_one_before_says_so(yard: Yard) -> None:
    crew = yard.open(1)
    yard.stand_ins.held.set()
    first = crew.scale("a", 4, "planned")
    wait_until(lambda: len(yard.alive()) == 4, 5, "all are started")
    second = crew.scale("a", 2, "stack scale")
    assert second.from_workers == 4  # on their way is as good as there
    yard.stand_ins.held.clear()
    assert yard.settled(first).error == "overtaken: 2 were asked for before it was reached"
    assert yard.settled(first).done_ns is None
    done = yard.settled(second)
    assert (done.error, done.done_ns is not None) == (None, True)
    assert yard.alive() == ["a-1", "a-2"]


def test_who_was_told_to_stop_does_not_come_back(yard: Yard) -> None:
    crew = yard.open(3, grace_s=60)
    yard.stand_ins.code = DEAF
    yard.settled(crew.scale("a", 4, ""))
    down = crew.scale("a", 2, "")
    wait_until(lambda: yard.alive() == ["a-1", "a-2", "a-4"], 5, "one ends, one does not hear")
    up = yard.settled(crew.scale("a", 3, ""))
    assert up.from_workers == 2
    assert up.done_ns is not None  # it need not wait for the one that takes its time
    assert yard.alive() == ["a-1", "a-2", "a-4", "a-5"]
    assert crew.stopping() == {"a": 1, "b": 0}
    assert "overtaken" in (yard.settled(down).error or "")


def test_the_same_wish_twice_is_two_events_and_one_change(yard: Yard) -> None:
    crew = yard.open(1)
    events = [crew.scale("a", 3, reason) for reason in ("planned", "stack scale")]
    assert [event.from_workers for event in events] == [1, 3]
    done = [yard.settled(event) for event in events]
    assert [event.error for event in done] == [None, None]
    assert all(event.done_ns for event in done)
    assert yard.alive() == ["a-1", "a-2", "a-3"]


def test_a_wish_that_is_fulfilled_already_is_done_at_once(yard: Yard) -> None:
    crew = yard.open(2)
    done = yard.settled(crew.scale("a", 2, ""))
    assert done.done_ns == done.at_ns


def test_pools_change_independently(yard: Yard) -> None:
    crew = yard.open(2)
    events = [crew.scale("a", 1, ""), crew.scale("b", 2, "")]
    assert [yard.settled(event).error for event in events] == [None, None]
    assert (yard.alive("a"), yard.alive("b")) == (["a-1"], ["b-1", "b-2"])


def test_a_pool_may_be_emptied_and_filled_again(yard: Yard) -> None:
    crew = yard.open(1)
    for pool in ("a", "b"):
        yard.settled(crew.scale(pool, 0, ""))
    assert (yard.alive("a"), yard.alive("b")) == ([], [])
    crew.check()
    yard.stand_ins.held.set()
    event = crew.scale("a", 1, "")
    crew.check()  # on its way
    yard.stand_ins.held.clear()
    assert yard.settled(event).from_workers == 0
    assert yard.alive() == ["a-2"]


def test_without_any_worker_left_nothing_can_go_on(yard: Yard) -> None:
    crew = yard.open(2)
    yard.settled(crew.scale("a", 1, ""))
    yard.die("a-1")
    crew.check()  # there is another pool
    yard.die("b-1")
    with pytest.raises(ChildDied, match="no worker is left"):
        crew.check()
    yard.settled(crew.scale("a", 1, ""))
    crew.check()


def test_a_dead_worker_is_missing_until_more_are_asked_for(yard: Yard) -> None:
    crew = yard.open(2)
    yard.die("a-1")
    done = yard.settled(crew.scale("a", 2, ""))
    assert done.from_workers == 1
    assert yard.alive() == ["a-2", "a-3"]


def test_one_that_dies_before_it_is_ready_fails_the_change(yard: Yard) -> None:
    crew = yard.open(1)
    yard.stand_ins.code = "raise SystemExit(3)"
    failed = yard.settled(crew.scale("a", 2, ""))
    assert failed.error == "only 1 of 2 are ready; a-2 ended with exit code 3"
    assert failed.done_ns is None
    assert [death.name for death in yard.fleet.deaths()] == ["a-2"]
    crew.check()


def test_one_that_is_not_ready_in_time_is_stopped_and_fails_the_change(yard: Yard) -> None:
    crew = yard.open(1, timeout_s=0.5)
    yard.stand_ins.held.set()
    failed = yard.settled(crew.scale("a", 2, ""))
    assert failed.error == "a-2 was not ready after 0.5 s; only 1 of 2 are ready"
    assert failed.done_ns is None
    assert yard.alive() == ["a-1"]


def test_one_that_cannot_be_started_fails_the_change(yard: Yard) -> None:
    crew = yard.open(1)
    yard.stand_ins.changes = {"argv": ("/nowhere/at-all",)}
    failed = yard.settled(crew.scale("a", 3, ""))
    assert "a-2 could not be started" in (failed.error or "")
    assert yard.stand_ins.numbers["a"] == 2  # and no third one is tried


def test_one_that_does_not_end_is_killed_and_that_is_said(yard: Yard) -> None:
    yard.stand_ins.code = DEAF
    crew = yard.open(2, grace_s=0.2)
    done = yard.settled(crew.scale("a", 1, ""))
    assert done.done_ns is not None
    assert (
        done.error
        == "a-2 did not end within 0.2 s and was killed: its jobs wait for the heartbeat timeout"
    )
    assert yard.fleet.deaths() == []  # it was told to end
    (life,) = [life for life in crew.lives() if life.name == "a-2"]
    assert life.status == -signal.SIGKILL


def test_one_that_does_not_stop_in_order_is_named(yard: Yard) -> None:
    yard.stand_ins.code = CLUMSY
    crew = yard.open(2)
    done = yard.settled(crew.scale("a", 1, ""))
    assert done.done_ns is not None
    assert done.error == "a-2 ended with exit code 1 when it was told to stop"


# Together with `restart`


def test_who_is_told_to_stop_is_not_replaced_and_who_dies_is(yard: Yard) -> None:
    crew = yard.open(3, restart=True)
    yard.settled(crew.scale("a", 2, ""))
    assert yard.alive() == ["a-1", "a-2"]
    yard.kill("a-1")
    wait_until(lambda: yard.alive() == ["a-2", "a-4"], 5, "it is replaced")
    wait_until(lambda: crew.ready()["a"] == 2, 5, "and the replacement is seen to be ready")
    assert [life.ready_ns is None for life in crew.lives()] == [False] * len(crew.lives())


def test_a_death_while_fewer_are_asked_for_needs_no_replacement(yard: Yard) -> None:
    crew = yard.open(2, restart=True)
    # Younger than a second: its replacement would wait for that second to be over.
    yard.settled(crew.scale("a", 3, ""))
    yard.die("a-3")
    yard.settled(crew.scale("a", 2, ""))
    yard.settled(crew.scale("a", 3, ""))
    wait_until(lambda: not any(t.is_alive() for t in yard.fleet._timers), 5, "its time has come")
    assert yard.alive() == ["a-1", "a-2", "a-4"]


def test_one_that_dies_before_it_is_ready_is_replaced_and_the_level_reached(yard: Yard) -> None:
    crew = yard.open(1, restart=True)
    yard.stand_ins.code = "raise SystemExit(3)"
    event = crew.scale("a", 2, "")
    wait_until(yard.fleet.deaths, 5, "the new one has died")
    yard.stand_ins.code = DUTIFUL
    done = yard.settled(event)
    assert (done.error, done.done_ns is not None) == (None, True)
    assert yard.alive()[0] == "a-1"
    assert len(yard.alive()) == 2


# What can't be, and the end


@pytest.mark.parametrize(
    ("pool", "workers", "what", "mend"),
    [
        ("c", 1, "no pool 'c'", "it has a, b"),
        (None, 1, "several pools", "name one: a, b"),
        ("a", -1, "can't have -1 workers", "0 to 1024"),
        ("a", 1025, "can't have 1025 workers", "0 to 1024"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    yard: Yard, pool: str | None, workers: int, what: str, mend: str
) -> None:
    crew = yard.open(1)
    with pytest.raises(UsageError, match=what) as refused:
        crew.scale(pool, workers, "")
    assert mend in refused.value.mend
    assert crew.events() == []
    assert crew.levels() == {"a": 1, "b": 1}


def test_when_it_is_closed_nobody_is_started_any_more(yard: Yard) -> None:
    crew = yard.open(1)
    yard.stand_ins.held.set()
    event = crew.scale("a", 50, "")
    crew.close()
    started = yard.alive()
    assert yard.settled(event).error == "the stack was stopped before it was reached"
    with pytest.raises(UsageError, match="being stopped"):
        crew.scale("a", 1, "")
    yard.fleet.stop("worker", grace_s=5)
    assert list(yard.fleet.processes()) == ["a-1", "b-1", *started[1:]]
    assert len(started) < 50
    crew.check()


def test_wishes_of_many_threads_end_in_the_last_one(yard: Yard) -> None:
    crew = yard.open(1)

    def wish(seed: int) -> Callable[[], None]:
        draws = random.Random(seed)

        def run() -> None:
            for _ in range(10):
                crew.scale(draws.choice("ab"), draws.randrange(4), f"thread {seed}")
                crew.check()

        return run

    threads = [threading.Thread(target=wish(seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [yard.settled(event) for event in crew.events()]
    assert len(events) == 40
    for pool, level in crew.levels().items():
        of_pool = [event for event in events if event.pool == pool]
        assert of_pool[-1].to_workers == level
        assert of_pool[-1].done_ns is not None
        wait_until(lambda pool=pool: crew.stopping()[pool] == 0, 10, "all have ended")
        assert len(yard.alive(pool)) == level
    assert all(event.done_ns is not None or "overtaken" in (event.error or "") for event in events)
    assert yard.fleet.deaths() == []
