"""A payment is charged once, however its job is repeated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from tests.waiting import wait_until
from tests.workers.services import Service, StartGateway, child
from workers.client import GatewayClient
from workers.ledger import KEY, DoubleCharge, Ledger

JOB = {"key": "1/0", "amount": 100}
SLOW = {"payments": {"median_ms": 300, "sigma": 0, "errors": 0}}

# A worker that dies, as by SIGKILL, in the moment before the ledger's entry.
DYING_WORKER = """
import os, threading, dramatiq, redis
from workers.app import broker
redis.Redis.hsetnx = lambda *given: os._exit(9)
dramatiq.Worker(broker, worker_threads=1, worker_timeout=20).start()
threading.Event().wait()
"""


@pytest.fixture
def client(clean_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(clean_redis) as connected:
        yield connected


def charged(gateway: Service, calls: int) -> list[int]:
    """Whether each call, in order of the log, made a charge; waits for that many."""
    wait_until(lambda: len(gateway.calls()) >= calls, 15, f"{calls} calls are in the log")
    return [int(call["charged"]) for call in gateway.calls()]


def pay(gateway: GatewayClient, job_id: str) -> str:
    return str(gateway.post("payments", JOB, job_id=job_id, attempt=0)["charge"])


def test_a_job_in_the_ledger_does_not_call_again(
    client: redis.Redis, start_gateway: StartGateway
) -> None:
    gateway = start_gateway()
    caller = GatewayClient(gateway.url)
    ledger = Ledger(client)
    charges = {ledger.settle("a", lambda: pay(caller, "a")) for _ in range(3)}
    ledger.settle("b", lambda: pay(caller, "b"))
    caller.close()
    assert len(charges) == 1
    assert charged(gateway, 2) == [1, 1]
    assert ledger.entries() == 2


def test_two_executions_at_once_are_one_charge(
    client: redis.Redis, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(SLOW)
    caller = GatewayClient(gateway.url)
    both = threading.Barrier(2, timeout=10)

    def charge() -> str:
        both.wait()  # both have looked into the ledger and found nothing
        return pay(caller, "a")

    with ThreadPoolExecutor(2) as threads:
        ran = [threads.submit(Ledger(client).settle, "a", charge) for _ in range(2)]
        charges = {done.result() for done in ran}
    caller.close()
    assert len(charges) == 1
    assert sorted(charged(gateway, 2)) == [0, 1]
    assert client.hgetall(KEY) == {b"a": charges.pop().encode()}


def test_a_second_charge_by_a_gateway_that_breaks_its_promise_is_an_error(
    client: redis.Redis,
) -> None:
    ledger = Ledger(client)

    def charge() -> str:
        client.hset(KEY, "a", "ch_1")  # meanwhile, by another worker
        return "ch_2"

    with pytest.raises(DoubleCharge, match="job a was charged as ch_1 and again as ch_2"):
        ledger.settle("a", charge)
    assert client.hget(KEY, "a") == b"ch_1"


def test_a_worker_that_dies_between_charge_and_entry_does_not_cause_a_second_charge(
    clean_redis: str, client: redis.Redis, start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = start_gateway()
    settings = {"REDIS_URL": clean_redis, "GATEWAY_URL": gateway.url}
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        url=clean_redis, middleware=[], heartbeat_timeout=1, maintenance_chance=1_000_000
    )
    broker.enqueue(Message("payments", "payments", (JOB,), {}, {}, message_id="a"))

    with child(tmp_path, "dying", ["-c", DYING_WORKER], settings) as worker:
        assert worker.wait(15) == 9
    assert charged(gateway, 1) == [1]
    assert client.hlen(KEY) == 0

    # One command with maintenance: the dead worker's job goes back into the queue.
    wait_until(
        lambda: broker.do_qsize("payments") and client.llen("dramatiq:payments") == 1,
        5,
        "the job of the dead worker is back",
    )
    command = ["-m", "dramatiq", "workers.app:broker", "--processes", "1", "--threads", "1"]
    with child(tmp_path, "worker", command, settings):
        wait_until(lambda: client.hlen(KEY), 15, "the payment is in the ledger")
        wait_until(lambda: not client.hlen("dramatiq:payments.msgs"), 15, "the job is acked")
    broker.client.connection_pool.disconnect()
    assert charged(gateway, 2) == [1, 0]
