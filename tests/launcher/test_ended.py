"""What stays of a stack that kept itself up, and when that goes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.errors import ChildDied, UsageError
from perfkit.launcher.control import clear_ended, stack_down, stack_named, stack_up
from perfkit.launcher.lease import Lease, leases
from perfkit.launcher.ports import listen, port_of
from perfkit.launcher.spec import StackSpec
from tests.launcher.small_stack import MakeStack
from tests.waiting import wait_until


@pytest.fixture
def spec(stack_spec: MakeStack, tmp_path: Path) -> Iterator[StackSpec]:
    spec = stack_spec(directory=tmp_path / "stacks" / "one", gateway=None, ingest_app=None)
    yield spec
    stack_down(spec.leases_folder)


def wait_for_the_end(lease: Lease) -> None:
    wait_until(lambda: lease.stale and not any(c.alive() for c in lease.children), 20, "it is over")


def test_taken_down_it_leaves_nothing(spec: StackSpec) -> None:
    lease = stack_up(spec, disposable=True)
    assert spec.directory.exists()
    stack_down(spec.leases_folder, lease.id)
    assert not spec.directory.exists()


def test_ended_by_a_signal_it_leaves_nothing(spec: StackSpec) -> None:
    lease = stack_up(spec, disposable=True)
    os.kill(lease.owner_pid, signal.SIGTERM)
    wait_for_the_end(lease)
    assert not spec.directory.exists()


def test_of_one_that_failed_the_logs_stay_until_they_are_cleared(spec: StackSpec) -> None:
    lease = stack_up(spec, disposable=True)
    server = next(child for child in lease.children if child.role == "redis")
    os.kill(server.pid, signal.SIGKILL)
    wait_for_the_end(lease)
    assert [path.name for path in spec.directory.iterdir()] == ["logs"]
    assert "while it was needed" in (spec.logs / "serve.log").read_text()
    clear_ended(spec.directory.parent, logs=False)
    assert (spec.logs / "serve.log").exists()
    clear_ended(spec.directory.parent, logs=True)
    assert not spec.directory.exists()


def test_of_one_that_was_killed_the_rest_goes_with_the_next_look(spec: StackSpec) -> None:
    lease = stack_up(spec, disposable=True)
    os.kill(lease.owner_pid, signal.SIGKILL)
    wait_for_the_end(lease)
    assert spec.spool.exists()
    clear_ended(spec.directory.parent, logs=False)
    assert [path.name for path in spec.directory.iterdir()] == ["logs"]


def test_one_that_is_up_is_not_touched(spec: StackSpec) -> None:
    lease = stack_up(spec, disposable=True)
    clear_ended(spec.directory.parent, logs=True)
    assert spec.spool.exists()
    assert stack_named(spec.leases_folder, None) == lease


def test_one_that_did_not_come_up_leaves_the_logs_that_its_error_names(spec: StackSpec) -> None:
    broken = StackSpec(
        settings=spec.settings,
        directory=spec.directory,
        leases=spec.leases,
        broker="nowhere:broker",
        ingest_app=None,
    )
    with pytest.raises(ChildDied) as caught:
        stack_up(broken, disposable=True)
    log = Path(caught.value.mend.removeprefix("the whole log: "))
    assert log.exists()
    assert [path.name for path in spec.directory.iterdir()] == ["logs"]


def test_one_that_was_refused_leaves_nothing(stack_spec: MakeStack, tmp_path: Path) -> None:
    with listen() as taken:
        spec = stack_spec(directory=tmp_path / "stacks" / "one", ingest_port=port_of(taken))
        with pytest.raises(UsageError):
            stack_up(spec, disposable=True)
    assert not spec.directory.exists()


def test_without_being_disposable_its_folder_is_somebodys(spec: StackSpec) -> None:
    lease = stack_up(spec)
    stack_down(spec.leases_folder, lease.id)
    assert spec.spool.exists()


def test_a_stack_is_named_by_itself_or_by_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    with pytest.raises(UsageError, match="no stack is up"):
        stack_named(folder, None)
    run = Lease.mine(tmp_path, tmp_path / "smoke" / "20260101-000000-abcd")
    run.write(folder)
    assert stack_named(folder, None) == stack_named(folder, "20260101-000000-abcd") == run
    Lease.mine(tmp_path, None).write(folder)
    with pytest.raises(UsageError, match="2 stacks are up") as caught:
        stack_named(folder, None)
    assert f"{run.id} (of run 20260101-000000-abcd)" in caught.value.mend
    with pytest.raises(UsageError, match="there is no stack 'other'"):
        stack_named(folder, "other")
    assert stack_named(folder, run.id) == run
    for lease in leases(folder):
        lease.remove(folder)
