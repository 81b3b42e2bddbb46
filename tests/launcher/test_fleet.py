from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from perfkit.errors import ChildDied, StackError
from perfkit.launcher.child import ChildSpec, Role
from perfkit.launcher.fleet import Fleet, Process
from perfkit.launcher.guard import Guard
from perfkit.launcher.watch import Watch
from perfkit.launcher.workers import Named
from tests.launcher.small_stack import MakeSpec
from tests.waiting import wait_until

PAUSE = "import signal; signal.pause()"
ALL: tuple[Role, ...] = ("redis", "gateway", "ingest", "worker", "supervisor")


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def fleet(guard: Guard, changes: list[str]) -> Iterator[Fleet]:
    watch = Watch()
    fleet = Fleet(guard, watch, lambda: changes.append("changed"))
    yield fleet
    fleet.stop(*ALL, grace_s=5)
    watch.close()


def numbered(python: MakeSpec, code: str = PAUSE) -> Callable[[ChildSpec], ChildSpec]:
    numbers = itertools.count(2)
    return lambda died: python(code, f"worker-{next(numbers)}", role=died.role)


def test_a_worker_that_dies_is_recorded_with_time_and_status(
    fleet: Fleet, python: MakeSpec
) -> None:
    first = fleet.begin(python(PAUSE, "worker-1", pool="worker"))
    fleet.begin(python(PAUSE, "worker-2", pool="worker"))
    before_ns = time.monotonic_ns()
    os.kill(first.pid, signal.SIGKILL)
    wait_until(fleet.deaths, 5, "the death is recorded")
    (death,) = fleet.deaths()
    assert (death.name, death.status, death.role, death.pool) == (
        "worker-1",
        -9,
        "worker",
        "worker",
    )
    assert before_ns <= death.at_ns <= time.monotonic_ns()
    assert str(death) == "worker-1 was killed by SIGKILL"
    fleet.check()
    assert [child.name for child in fleet.leased()] == ["worker-2"]
    assert fleet.processes()["worker-1"] == Process(first.pid, "worker", "worker")


@pytest.mark.parametrize("role", ["redis", "gateway", "ingest"])
def test_without_redis_gateway_or_ingest_nothing_can_go_on(
    fleet: Fleet, python: MakeSpec, role: Role
) -> None:
    child = fleet.begin(python(PAUSE, "other", role=role))
    fleet.replace_with(numbered(python))
    fleet.check()
    os.kill(child.pid, signal.SIGKILL)
    wait_until(fleet.deaths, 5, "the death is recorded")
    with pytest.raises(ChildDied, match="was killed by SIGKILL while it was needed"):
        fleet.check()
    assert len(fleet.children()) == 1  # only workers are replaced


def test_a_dead_worker_is_replaced_if_so_asked_and_still_recorded(
    fleet: Fleet, python: MakeSpec, changes: list[str]
) -> None:
    child = fleet.begin(python(PAUSE, "worker-1"))
    fleet.replace_with(numbered(python))
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: changes, 5, "there is a replacement")
    assert list(fleet.processes()) == ["worker-1", "worker-2"]
    assert [death.name for death in fleet.deaths()] == ["worker-1"]
    assert [each.name for each in fleet.leased()] == ["worker-2"]
    fleet.check()


def test_a_replacement_that_dies_at_once_is_replaced_a_second_later(
    fleet: Fleet, python: MakeSpec, changes: list[str]
) -> None:
    fleet.replace_with(numbered(python, "raise SystemExit(1)"))
    begun_s = time.monotonic()
    fleet.begin(python("raise SystemExit(1)", "worker-1"))
    wait_until(lambda: changes, 5, "there is a replacement")
    assert time.monotonic() - begun_s >= 0.9


def test_a_replacement_that_cannot_be_started_is_told_by_the_check(
    fleet: Fleet, python: MakeSpec
) -> None:
    fleet.replace_with(lambda _died: python("", "worker-2", argv=("/nowhere/at-all",)))
    child = fleet.begin(python(PAUSE, "worker-1"))
    os.kill(child.pid, signal.SIGKILL)

    def told() -> bool:
        try:
            fleet.check()
        except StackError as error:
            return "could not be started" in str(error)
        return False

    wait_until(told, 5, "the failure is told")


def test_nobody_is_replaced_who_need_not_be(fleet: Fleet, python: MakeSpec) -> None:
    asked: list[str] = []

    def none_needed(died: ChildSpec) -> None:
        asked.append(died.name)

    fleet.replace_with(none_needed)
    child = fleet.begin(python(PAUSE, "worker-1"))
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: asked, 5, "it is asked for a replacement")
    fleet.stop("worker", grace_s=5)
    assert asked == ["worker-1"]
    assert list(fleet.processes()) == ["worker-1"]


def test_those_that_are_stopped_are_no_deaths_and_not_replaced(
    fleet: Fleet, python: MakeSpec, changes: list[str]
) -> None:
    fleet.replace_with(numbered(python))
    fleet.begin(python(PAUSE, "worker-1"))
    fleet.begin(python(PAUSE, "redis", role="redis"))
    fleet.stop("worker", grace_s=5)
    assert fleet.deaths() == []
    assert changes == []
    assert [child.name for child in fleet.leased()] == ["redis"]


def test_a_replacement_that_was_about_to_start_does_not(
    fleet: Fleet, python: MakeSpec, changes: list[str]
) -> None:
    fleet.replace_with(numbered(python))
    fleet.begin(python("raise SystemExit(1)", "worker-1"))
    wait_until(fleet.deaths, 5, "it is dead, and its replacement waits for a second to be over")
    fleet.stop("worker", grace_s=5)
    assert changes == []
    assert len(fleet.children()) == 1


def test_a_worker_of_somebody_elses_supervisor_is_recorded_without_status(
    fleet: Fleet, python: MakeSpec
) -> None:
    code = "import os, signal\npid = os.fork()\nif pid: print(pid, flush=True)\nsignal.pause()"
    master = fleet.begin(python(code, "worker-master", role="supervisor"))
    wait_until(master.last_lines, 5, "the master has a worker")
    pid = int(master.last_lines()[0])
    fleet.admit(Named(f"worker-{pid}", pid, "worker"))
    fleet.admit(Named(f"worker-{pid}", pid, "worker"))
    os.kill(pid, signal.SIGKILL)
    wait_until(fleet.deaths, 5, "the death is recorded")
    (death,) = fleet.deaths()
    assert (death.name, death.status, death.role) == (f"worker-{pid}", None, "worker")
