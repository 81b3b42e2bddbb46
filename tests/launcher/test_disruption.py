"""Real stacks are broken on purpose: nobody takes offence, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest
import redis

from perfkit.errors import ChildDied, StackError
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.lease import leases
from perfkit.launcher.stack import Stack
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeStack, stack_settings
from tests.leaks import Identity, assert_gone, descendants_of, identities
from tests.waiting import wait_until


def two_workers(**changes: Any) -> Any:
    pool = PoolSettings(name="worker", queues=None, workers=2, threads=2, prefetch=4)
    return stack_settings(pools=(pool,), **changes)


def post(stack: Stack) -> int:
    """Send one payment; the status that is answered."""
    request = urllib.request.Request(
        f"{stack.ingest_url}/jobs/payments",
        json.dumps({"key": "1/0", "amount": 500}).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def charged(stack: Stack) -> int:
    with urllib.request.urlopen(f"{stack.ingest_url}/ledger", timeout=10) as answer:
        return int(json.load(answer)["entries"])


def everybody() -> set[Identity]:
    return identities(descendants_of(os.getpid()))


def test_workers_that_are_killed_stopped_and_told_to_end_are_planned_victims(
    stack_spec: MakeStack,
) -> None:
    with Stack(stack_spec(two_workers())) as stack:
        site = stack.disruption
        assert site.living("worker") == ["worker-1", "worker-2"]
        site.strike("worker-1", signal.SIGSTOP)
        assert post(stack) == 202
        site.strike("worker-1", signal.SIGCONT)
        site.strike("worker-1", signal.SIGKILL)
        site.strike("worker-2", signal.SIGTERM)
        wait_until(lambda: len(stack.deaths()) == 2, 15, "both deaths are recorded")
        found = {each.name: each for each in stack.deaths()}
        assert all(each.planned for each in found.values())
        assert (found["worker-1"].status, found["worker-2"].status) == (-signal.SIGKILL, 0)
        stack.check()  # although no worker is left
        assert site.living("worker") == []
        with pytest.raises(StackError, match="worker-1 does not run"):
            site.strike("worker-1", signal.SIGKILL)


def test_one_that_dies_by_itself_beside_them_is_none(stack_spec: MakeStack) -> None:
    with Stack(stack_spec(two_workers(), gateway=None, ingest_app=None)) as stack:
        os.kill(stack.processes["worker-2"].pid, signal.SIGKILL)
        stack.disruption.strike("worker-1", signal.SIGKILL)
        wait_until(lambda: len(stack.deaths()) == 2, 10, "both deaths are recorded")
        assert {each.name: each.planned for each in stack.deaths()} == {
            "worker-1": True,
            "worker-2": False,
        }
        with pytest.raises(ChildDied, match="no worker is left"):
            stack.check()


def test_a_stack_with_stopped_parts_stops_as_soon_as_any(stack_spec: MakeStack) -> None:
    earlier = everybody()
    with Stack(stack_spec()) as stack:
        family = everybody() - earlier
        for name in ("worker-1", "ingest-1", "redis"):
            stack.disruption.strike(name, signal.SIGSTOP)
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 8  # less than the grace of the workers alone
    assert_gone(family)
    assert stack.deaths() == []


def test_redis_comes_back_where_it_was_and_everybody_knows_its_new_process(
    stack_spec: MakeStack,
) -> None:
    spec = stack_spec(gateway=None, ingest_app=None, profile="aof-everysec")
    with Stack(spec) as stack, redis.Redis.from_url(stack.redis_url) as client:
        client.set("kept", "1")
        before = stack.processes["redis"].pid
        stack.disruption.strike("redis", signal.SIGKILL)
        stack.disruption.end("redis")
        stack.check()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        (pid,) = stack.disruption.start_again("redis")
        assert stack.processes["redis"].pid == pid != before
        assert client.get("kept") == b"1"
        assert [each.name for each in stack.deaths()] == ["redis"]
        assert "redis" in [child.name for child in leases(spec.leases_folder)[0].children]
        with pytest.raises(StackError, match="redis runs"):
            stack.disruption.start_again("redis")


def test_an_ingest_comes_back_on_its_port_and_the_workers_never_noticed(
    stack_spec: MakeStack,
) -> None:
    with Stack(stack_spec()) as stack:
        assert post(stack) == 202
        stack.disruption.strike("ingest-1", signal.SIGKILL)
        stack.disruption.end("ingest")
        stack.check()
        with pytest.raises(urllib.error.URLError, match="refused"):
            post(stack)
        stack.disruption.start_again("ingest")
        assert post(stack) == 202
        wait_until(lambda: charged(stack) == 2, 20, "both payments are charged")


def test_what_was_killed_for_good_is_revived_to_be_read(stack_spec: MakeStack) -> None:
    with Stack(stack_spec(profile="aof-everysec")) as stack:
        assert post(stack) == 202
        wait_until(lambda: charged(stack) == 1, 20, "the payment is charged")
        for name in ("redis", "ingest-1"):
            stack.disruption.strike(name, signal.SIGKILL)
        stack.disruption.end("redis")
        stack.disruption.end("ingest")
        stack.stop_workers()
        assert stack.disruption.revive() == []
        assert charged(stack) == 1
        assert stack.disruption.revive() == []  # there is nothing more to do


def test_the_orphans_of_a_killed_master_work_on_and_are_stopped_in_order(
    stack_spec: MakeStack,
) -> None:
    settings = two_workers(supervisor="dramatiq")
    earlier = everybody()
    with Stack(stack_spec(settings)) as stack:
        family = everybody() - earlier
        workers = stack.disruption.living("worker")
        assert len(workers) == 2
        pids = [stack.processes[name].pid for name in workers]
        stack.disruption.strike("worker-master", signal.SIGKILL, orphaning=True)
        wait_until(stack.deaths, 10, "its death is recorded")
        assert [(each.name, each.planned) for each in stack.deaths()] == [("worker-master", True)]
        stack.check()
        assert post(stack) == 202
        wait_until(lambda: charged(stack) == 1, 20, "an orphan works")
        assert all(start_ticks(pid) is not None for pid in pids)
        (lease,) = leases(stack.spec.leases_folder)
        assert "worker-master" in [child.name for child in lease.children]
        lives = {life.name: life for life in stack.worker_lives()}
        assert all(lives[name].ended_ns is None for name in workers)
        stack.stop_workers()
        assert not any(start_ticks(pid) for pid in pids)
    assert_gone(family)


def test_a_stock_worker_that_is_killed_takes_its_master_along_as_planned(
    stack_spec: MakeStack,
) -> None:
    spec = stack_spec(two_workers(supervisor="dramatiq"), gateway=None, ingest_app=None)
    with Stack(spec) as stack:
        victim = stack.disruption.living("worker")[0]
        stack.disruption.strike(victim, signal.SIGKILL)
        wait_until(lambda: len(stack.deaths()) == 3, 20, "all three have ended")
        assert all(each.planned for each in stack.deaths())
        stack.check()


def test_workers_of_a_pool_may_be_expected_to_be_killed_by_what_they_run(
    stack_spec: MakeStack,
) -> None:
    with Stack(stack_spec(gateway=None, ingest_app=None)) as stack:
        stack.disruption.expect_deaths(["worker"])
        os.kill(stack.processes["worker-1"].pid, signal.SIGKILL)
        wait_until(stack.deaths, 10, "the death is recorded")
        assert stack.deaths()[0].planned
        stack.check()


def test_a_cut_between_workers_and_redis_strands_nobody_for_good(stack_spec: MakeStack) -> None:
    links = ("worker-redis", "worker-gateway")
    with Stack(stack_spec(links=links)) as stack:
        assert stack.facts()["links"] == list(links)
        assert stack.disruption.set_link("worker-redis") > 0
        stack.disruption.set_link("worker-redis", cut=True)
        assert post(stack) == 202  # the ingest has a way of its own
        assert charged(stack) == 0
        stack.disruption.set_link("worker-redis")
        wait_until(lambda: charged(stack) == 1, 20, "the workers are back")
        with pytest.raises(StackError, match="no relay is between"):
            stack.disruption.set_link("ingest-redis", cut=True)
        stack.check()
