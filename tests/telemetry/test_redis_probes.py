"""One set of probes a server; together they read what one server would tell."""

from __future__ import annotations

import redis

from perfkit.clock import ManualClock
from perfkit.telemetry import redis_probes

QUEUES = ("payments", "mail")


def _subjects(servers: dict[str, str]) -> dict[str, set[str]]:
    """Metric family -> subjects."""
    clock = ManualClock()
    found: dict[str, set[str]] = {}
    for probe in redis_probes(servers, QUEUES):
        for reading in probe.take(clock):
            found.setdefault(reading.metric.split(".")[0], set()).add(reading.subject)
        assert probe.errors == {}
        probe.close()
    return found


def test_one_server_has_no_name_and_all_queues(clean_redis: str) -> None:
    assert _subjects({"": clean_redis}) == {"redis": {""}, "queue": set(QUEUES)}


def test_each_of_several_is_named_by_its_queue_and_asked_for_no_other(clean_redis: str) -> None:
    second = clean_redis.removesuffix("/0") + "/1"
    with redis.Redis.from_url(second) as client:
        client.rpush("dramatiq:payments", "not here")
    servers = {"payments": clean_redis, "mail": second}
    assert _subjects(servers) == {"redis": set(QUEUES), "queue": set(QUEUES)}
    [payments, mail] = [each for each in redis_probes(servers, QUEUES) if each.name == "queues"]
    waiting = [
        reading.value
        for probe in (payments, mail)
        for reading in probe.take(ManualClock())
        if reading.metric == "queue.waiting"
    ]
    assert waiting == [0, 0]
    payments.close()
    mail.close()
