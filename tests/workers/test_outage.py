"""An outage of the gateway with real parts: what a circuit breaker spares, and that no job dies."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from tests.waiting import wait_until
from tests.workers.services import Service, StartGateway, child

THREADS = 4
FAILURES = 4
JOBS = 30
FOREVER_NS = 2**62
WORKER = ["-m", "dramatiq", "workers.app:broker", "--processes", "1", "--threads", str(THREADS)]
RESET_NS = 300_000_000
# Scaled down: 31 s of backoffs to 9.3 s, 5 s of reset to 0.3 s.
SHORT = {
    "RETRY_MIN_BACKOFF_MS": "300",
    "GATEWAY_BREAKER_FAILURES": str(FAILURES),
    "GATEWAY_BREAKER_RESET_MS": "300",
    "dramatiq_worker_timeout": "20",
}


def send(url: str, queue: str, count: int) -> None:
    broker = RedisBroker(url=url, middleware=[])  # type: ignore[no-untyped-call]
    for number in range(count):
        job = {"key": f"1/{number}", "amount": 100}
        name = f"{queue}-{number}"
        broker.enqueue(Message(queue, queue, (job,), {}, {}, message_id=name))
    broker.client.connection_pool.disconnect()


def set_outage(gateway: Service, *outages: list[object], queue: str = "payments") -> None:
    status, answer = gateway.ask("POST", "/control/outages", {queue: list(outages)})
    assert status == 200, answer


@contextmanager
def worker(folder: Path, url: str, gateway: Service, **settings: str) -> Iterator[redis.Redis]:
    given = {**SHORT, "REDIS_URL": url, "GATEWAY_URL": gateway.url, **settings}
    with child(folder, "worker", WORKER, given), redis.Redis.from_url(url) as client:
        yield client


def left(client: redis.Redis, queue: str) -> int:
    """Jobs still with the queue, counted at one instant: a retry that moves is never missed."""
    with client.pipeline(transaction=True) as at_once:
        for kind in ("", ".DQ"):
            at_once.hlen(f"dramatiq:{queue}{kind}.msgs")
        return sum(at_once.execute())


def calls(gateway: Service, queue: str = "payments") -> list[dict[str, str]]:
    return [call for call in gateway.calls() if call["queue"] == queue]


@pytest.mark.parametrize("breaker", ["0", "1"])
def test_no_job_dies_of_an_outage_that_is_shorter_than_the_backoffs(
    clean_redis: str, start_gateway: StartGateway, tmp_path: Path, breaker: str
) -> None:
    gateway = start_gateway()
    send(clean_redis, "payments", JOBS)
    set_outage(gateway, [0, FOREVER_NS])
    with worker(tmp_path, clean_redis, gateway, GATEWAY_BREAKER=breaker) as client:
        if breaker == "0":
            wait_until(lambda: len(calls(gateway)) >= 2 * JOBS, 20, "jobs were tried twice")
        else:
            wait_until(
                lambda: client.hlen("dramatiq:payments.DQ.msgs") >= JOBS // 2, 20, "many wait"
            )
        set_outage(gateway)
        wait_until(lambda: left(client, "payments") == 0, 60, "every payment is done or dead")
        assert client.exists("dramatiq:payments.XQ") == 0
        assert client.hlen("sample:ledger") == JOBS
    wait_until(lambda: len(charged(gateway)) == JOBS, 5, "the log is whole")
    if breaker == "1":
        wasted = [int(call["received_ns"]) for call in calls(gateway) if call["status"] == "503"]
        # It opens after four, and three more may be under way; then one trial each reset time.
        trials = (wasted[-1] - wasted[0]) // RESET_NS
        assert FAILURES <= len(wasted) <= FAILURES + THREADS - 1 + trials


def charged(gateway: Service) -> list[dict[str, str]]:
    return [call for call in calls(gateway) if call["charged"] == "1"]


def test_a_job_dies_of_an_outage_without_end_with_a_breaker_too(
    clean_redis: str, start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = start_gateway()
    send(clean_redis, "payments", 10)
    set_outage(gateway, [0, FOREVER_NS])
    quick = {"RETRY_MIN_BACKOFF_MS": "1", "GATEWAY_BREAKER_RESET_MS": "20"}
    with worker(tmp_path, clean_redis, gateway, GATEWAY_BREAKER="1", **quick) as client:
        wait_until(lambda: client.zcard("dramatiq:payments.XQ") == 10, 60, "all are dead letters")
    tried = collections.Counter(call["job_id"] for call in calls(gateway))
    assert max(tried.values(), default=0) <= 6


@pytest.mark.parametrize("breaker", ["0", "1"])
def test_a_hanging_gateway_holds_a_thread_for_every_job_unless_a_breaker_opens(
    clean_redis: str, start_gateway: StartGateway, tmp_path: Path, breaker: str
) -> None:
    gateway = start_gateway()
    set_outage(gateway, [0, FOREVER_NS, "hang"])
    send(clean_redis, "payments", JOBS)
    send(clean_redis, "notifications", JOBS)
    settings = {
        "GATEWAY_BREAKER": breaker,
        "GATEWAY_TIMEOUT_MS": "300",
        "GATEWAY_BREAKER_RESET_MS": "60000",  # no trial here
        "RETRY_MIN_BACKOFF_MS": "60000",  # one attempt each
    }
    with worker(tmp_path, clean_redis, gateway, **settings) as client:
        wait_until(lambda: left(client, "notifications") == 0, 30, "notifications are done")
        wait_until(
            lambda: client.hlen("dramatiq:payments.msgs") == 0, 30, "every payment was tried"
        )
        wait_until(
            lambda: breaker == "1" or len(calls(gateway)) == JOBS, 5, "the log has every call"
        )
    gave_up = calls(gateway)
    assert {call["status"] for call in gave_up} == {"499"}
    held_ns = [int(call["answered_ns"]) - int(call["received_ns"]) for call in gave_up]
    assert min(held_ns) > 200_000_000
    if breaker == "1":
        assert FAILURES <= len(gave_up) <= FAILURES + THREADS - 1


def test_a_breaker_that_is_off_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from workers.actors import _gateway;"
        "print(type(_gateway()).__name__, 'circuitbreaker' in sys.modules)"
    )
    for switch, said in (("0", "GatewayClient False"), ("1", "GuardedGateway True")):
        with child(tmp_path, f"breaker-{switch}", ["-c", code], {"GATEWAY_BREAKER": switch}) as it:
            assert it.wait(20) == 0
        assert (tmp_path / f"breaker-{switch}.out").read_text().strip() == said


def test_all_threads_of_a_process_share_one_breaker(tmp_path: Path) -> None:
    code = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from workers import actors
sys.setswitchinterval(1e-6)
def found(start):
    start.wait()
    gateway = actors._gateway()
    return gateway, gateway._circuit("payments")
with ThreadPoolExecutor(8) as threads:
    for _ in range(200):
        actors._shared.clear()
        start = threading.Barrier(8)
        assert len(set(threads.map(found, [start] * 8))) == 1
"""
    with child(tmp_path, "threads", ["-c", code], {"GATEWAY_BREAKER": "1"}) as it:
        assert it.wait(60) == 0, (tmp_path / "threads.out").read_text()
