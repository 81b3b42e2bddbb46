"""A real stack gets more and fewer workers while it works, asked from inside and outside."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
import uuid
from pathlib import Path

import pytest
import redis

from perfkit.errors import UsageError
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.lease import leases
from perfkit.launcher.scaling import Standing, scale
from perfkit.launcher.stack import ScaleEvent, Stack
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import GATEWAY, MakeStack, stack_settings
from tests.leaks import assert_gone, identities
from tests.waiting import wait_until


def reached(stack: Stack, event: ScaleEvent) -> ScaleEvent:
    """The event, once its level is reached."""

    def now() -> ScaleEvent:
        return next(each for each in stack.scale_events() if each.at_ns == event.at_ns)

    wait_until(lambda: now().done_ns, 30, "the level is reached")
    return now()


def post(stack: Stack, count: int) -> None:
    """Send so many payments."""
    for _ in range(count):
        request = urllib.request.Request(
            f"{stack.ingest_url}/jobs/payments",
            json.dumps({"key": "1/0", "amount": 500}).encode(),
            {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202


def charged(stack: Stack) -> int:
    with urllib.request.urlopen(f"{stack.ingest_url}/ledger", timeout=10) as answer:
        return int(json.load(answer)["entries"])


def in_memory(stack: Stack) -> dict[str, int]:
    """Jobs that a worker has fetched and not finished, by broker id."""
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        keys = client.keys("dramatiq:__acks__.*.payments")
        return {key.split(".")[1]: client.scard(key) for key in keys if client.scard(key)}


def environment_of(pid: int) -> set[bytes]:
    return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))


def test_more_workers_are_like_the_first_ones_and_known_everywhere(stack_spec: MakeStack) -> None:
    with Stack(stack_spec()) as stack:
        event = stack.scale(None, 3, "planned")
        assert (event.pool, event.from_workers, event.to_workers) == ("worker", 1, 3)
        assert stack.workers_now() == 3
        done = reached(stack, event)
        assert done.error is None
        names = [name for name, each in stack.processes.items() if each.role == "worker"]
        assert names == ["worker-1", "worker-2", "worker-3"]
        pids = [stack.processes[name].pid for name in names]
        assert len({frozenset(os.sched_getaffinity(pid)) for pid in pids}) == 1
        assert environment_of(pids[0]) == environment_of(pids[1]) == environment_of(pids[2])
        (lease,) = leases(stack.spec.leases_folder)
        wait_until(
            lambda: set(names) <= {c.name for c in leases(stack.spec.leases_folder)[0].children},
            5,
            "the lease names them",
        )
        assert lease.pools == {"worker": 3}
        lives = {life.name: life for life in stack.worker_lives()}
        assert done.done_ns == max(lives[name].ready_ns or 0 for name in names)
        family = identities(pids)
    assert_gone(family)
    ended = {life.name: life for life in stack.worker_lives()}
    assert all(ended[name].ended_ns and ended[name].status == 0 for name in names)


def test_fewer_workers_give_back_what_they_fetched(stack_spec: MakeStack) -> None:
    slow = {"payments": {"median_ms": 300.0, "sigma": 0.0, "errors": 0.0}}
    pools = (PoolSettings(name="worker", queues=None, workers=3, threads=1, prefetch=8),)
    with Stack(stack_spec(stack_settings(pools=pools), gateway={**GATEWAY, **slow})) as stack:
        post(stack, 20)
        wait_until(lambda: len(in_memory(stack)) == 3, 10, "each worker has some")
        done = reached(stack, stack.scale(None, 1, "planned"))
        assert done.error is None
        alive = [name for name, each in stack.processes.items() if start_ticks(each.pid)]
        assert [name for name in alive if name.startswith("worker-")] == ["worker-1"]
        assert stack.deaths() == []
        (lease,) = leases(stack.spec.leases_folder)
        assert lease.pools == {"worker": 1}
        note = json.loads((stack.spec.spool / "worker-1.ready").read_text())
        # Nothing is stuck with those that went: it need not wait for a heartbeat to run out.
        assert set(in_memory(stack)) <= {note["broker_id"]}
        wait_until(lambda: charged(stack) == 20, 20, "every payment is charged")
        for name in ("worker-2", "worker-3"):
            (sidecar,) = stack.spec.spool.glob(f"{name}.*.jsonl")
            assert '"closed"' in sidecar.read_text()


def test_a_pool_that_was_emptied_keeps_its_jobs_until_it_is_filled(stack_spec: MakeStack) -> None:
    with Stack(stack_spec()) as stack:
        reached(stack, stack.scale(None, 0, "planned"))
        post(stack, 3)
        stack.check()
        assert charged(stack) == 0
        reached(stack, stack.scale(None, 1, "planned"))
        wait_until(lambda: charged(stack) == 3, 20, "every payment is charged")


def test_one_of_several_pools_is_named(stack_spec: MakeStack) -> None:
    pools = tuple(
        PoolSettings(name=name, queues=(name,), workers=1, threads=1, prefetch=1)
        for name in ("payments", "webhooks")
    )
    spec = stack_spec(stack_settings(pools=pools), gateway=None, ingest_app=None)
    with Stack(spec) as stack:
        with pytest.raises(UsageError, match="several pools"):
            stack.scale(None, 2, "planned")
        with pytest.raises(UsageError, match="no pool 'paiments'"):
            stack.scale("paiments", 2, "planned")
        reached(stack, stack.scale("payments", 2, "planned"))
        assert (stack.workers_now("payments"), stack.workers_now("webhooks")) == (2, 1)
        note = json.loads((stack.spec.spool / "payments-2.ready").read_text())
        assert note["queues"] == ["payments"]
    with pytest.raises(UsageError, match="being stopped"):
        stack.scale("payments", 1, "planned")


def test_the_stock_command_line_is_not_scaled_but_its_workers_have_lives(
    stack_spec: MakeStack,
) -> None:
    pools = (PoolSettings(name="all", queues=None, workers=2, threads=2, prefetch=4),)
    settings = stack_settings(supervisor="dramatiq", pools=pools)
    with Stack(stack_spec(settings, gateway=None, ingest_app=None)) as stack:
        with pytest.raises(UsageError, match="stock dramatiq command can't change"):
            stack.scale(None, 3, "planned")
        workers = [name for name, each in stack.processes.items() if each.role == "worker"]
        lives = stack.worker_lives()
        assert [life.name for life in lives] == workers
        assert all(life.started_ns < (life.ready_ns or 0) for life in lives)
    assert all(life.stop_ns and life.ended_ns for life in stack.worker_lives())


def test_it_is_asked_from_outside(stack_spec: MakeStack) -> None:
    with Stack(stack_spec(gateway=None, ingest_app=None)) as stack:
        (lease,) = leases(stack.spec.leases_folder)
        heard: list[Standing] = list(scale(lease, {None: 2}))
        assert [standing.over for standing in heard] == [False] * (len(heard) - 1) + [True]
        assert heard[-1].ready == {"worker": 2}
        (event,) = heard[-1].events
        assert stack.scale_events() == [event]
        assert (event.reason, event.error) == ("stack scale", None)
        # All of the wishes or none: the second is refused, so the first is not begun.
        with pytest.raises(UsageError, match="no pool 'other'"):
            list(scale(lease, {None: 1, "other": 1}))
        assert stack.workers_now() == 2
        assert list(scale(lease, {"worker": 1}))[-1].stopping == {"worker": 0}


def test_a_stack_that_ends_while_it_is_scaled_says_so(stack_spec: MakeStack) -> None:
    with Stack(stack_spec(gateway=None, ingest_app=None)) as stack:
        (lease,) = leases(stack.spec.leases_folder)
        standing = scale(lease, {None: 4})
        assert not next(standing).over
        stack.close()
        (event,) = list(standing)[-1].events
        assert event.error == "the stack was stopped before it was reached"
        with pytest.raises(UsageError, match="is gone"):
            next(scale(lease, {None: 1}))


def test_a_death_while_it_is_scaled_is_a_death_and_is_replaced(stack_spec: MakeStack) -> None:
    spec = stack_spec(stack_settings(restart=True), gateway=None, ingest_app=None)
    with Stack(spec) as stack:
        event = stack.scale(None, 2, "planned")
        os.kill(stack.processes["worker-1"].pid, signal.SIGKILL)
        assert reached(stack, event).error is None
        assert [death.name for death in stack.deaths()] == ["worker-1"]
        wait_until(
            lambda: sum(life.ended_ns is None for life in stack.worker_lives()) == 2,
            10,
            "there are two",
        )
        stack.check()
