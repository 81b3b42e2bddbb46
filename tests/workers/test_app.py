"""The whole application under the stock commands: post jobs, and they get done."""

from __future__ import annotations

import collections
import json
import uuid
from pathlib import Path

import redis

from tests.waiting import wait_until
from tests.workers.services import StartGateway, StartIngest, child
from workers.behaviour import Behaviour

QUEUES = ("payments", "notifications", "webhooks")


def test_jobs_posted_to_the_ingest_are_done_retried_or_dead_by_the_stock_worker(
    clean_redis: str, start_gateway: StartGateway, start_ingest: StartIngest, tmp_path: Path
) -> None:
    shaky = Behaviour(median_ms=2, sigma=0.5, errors=0.4)
    steady = {"median_ms": 2, "sigma": 0.5, "errors": 0}
    gateway = start_gateway(
        {
            "payments": {"median_ms": 2, "sigma": 0.5, "errors": 0.4},
            "notifications": steady,
            "webhooks": {**steady, "errors": 1},
        }
    )
    settings = {
        "REDIS_URL": clean_redis,
        "GATEWAY_URL": gateway.url,
        "RETRY_MIN_BACKOFF_MS": "10",
        "MAX_RETRIES": "2",
    }
    ingest = start_ingest(**settings, INGEST_ENQUEUE="inline")
    # Of each queue ten jobs, and of the payments only such as succeed within three attempts.
    keys = {queue: [f"1/{seq}" for seq in range(10)] for queue in QUEUES}
    keys["payments"] = [
        key
        for key in (f"1/{seq}" for seq in range(40))
        if not all(shaky.fails(key, "payments", attempt) for attempt in range(3))
    ][:10]
    for queue in QUEUES:
        for key in keys[queue]:
            job = {"key": key, "amount": 5}
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            assert ingest.ask("POST", f"/jobs/{queue}", job, headers)[0] == 202

    command = ["-m", "dramatiq", "workers.app:broker", "--processes", "1", "--threads", "4"]
    quick = {**settings, "dramatiq_worker_timeout": "50"}
    with redis.Redis.from_url(clean_redis) as client:
        bodies = [f"dramatiq:{queue}{kind}.msgs" for queue in QUEUES for kind in ("", ".DQ")]
        with child(tmp_path, "worker", command, quick):
            wait_until(lambda: not client.exists(*bodies), 30, "every job is done or dead")
        dead = [json.loads(body) for body in client.hvals("dramatiq:webhooks.XQ.msgs")]
        assert client.exists("dramatiq:payments.XQ", "dramatiq:notifications.XQ") == 0
    assert sorted(message["args"][0]["key"] for message in dead) == sorted(keys["webhooks"])

    gateway.process.terminate()
    gateway.process.wait(10)
    calls = gateway.calls()
    tried = collections.Counter((call["queue"], call["key"]) for call in calls)
    for key in keys["payments"]:
        needed = next(n for n in range(3) if not shaky.fails(key, "payments", n)) + 1
        assert tried["payments", key] == needed
    assert max(tried["payments", key] for key in keys["payments"]) > 1
    assert {tried["notifications", key] for key in keys["notifications"]} == {1}
    assert {tried["webhooks", key] for key in keys["webhooks"]} == {3}
    # Three counters agree: jobs posted, charges made, entries in the ledger.
    assert sum(int(call["charged"]) for call in calls) == 10
    assert ingest.ask("GET", "/ledger") == (200, {"entries": 10})
