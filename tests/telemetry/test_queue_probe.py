"""The queue probe beside a real dramatiq broker: what it counts, and that it only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from perfkit.clock import Clock, ManualClock, SystemClock
from perfkit.recorder.middleware import STAMP
from perfkit.telemetry.queue_probe import QueueProbe
from tests.conftest import free_port

_SECOND_MS = 1000
_NOW_MS = 1_700_000_100_000


@pytest.fixture
def broker(clean_redis: str) -> Iterator[RedisBroker]:
    broker = RedisBroker(url=clean_redis, maintenance_chance=0)  # type: ignore[no-untyped-call]
    broker.declare_queue("payments")
    yield broker
    broker.client.connection_pool.disconnect()


@pytest.fixture
def client(clean_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(clean_redis) as client:
        yield client


def _message(queue: str = "payments", made_ms: int = _NOW_MS) -> dramatiq.Message[None]:
    return dramatiq.Message(
        queue_name=queue,
        actor_name="charge",
        args=(),
        kwargs={},
        options={},
        message_timestamp=made_ms,
    )


def _clock(at_ms: int = _NOW_MS) -> ManualClock:
    return ManualClock(5_000, wall_ns=at_ms * 1_000_000)


def _read(probe: QueueProbe, clock: Clock | None = None) -> dict[tuple[str, str], float]:
    readings = probe.take(clock or _clock())
    return {(r.metric.removeprefix("queue."), r.subject): r.value for r in readings}


def test_an_empty_queue_is_all_zeros(clean_redis: str) -> None:
    probe = QueueProbe(clean_redis, ["payments"])
    assert _read(probe) == {
        (metric, "payments"): 0
        for metric in ("waiting", "in_flight", "delayed", "dead", "oldest_age_ns")
    }
    probe.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_place_a_job_can_be_in_is_counted(
    broker: RedisBroker, clean_redis: str, protocol: int
) -> None:
    for _ in range(6):
        broker.enqueue(_message())
    broker.enqueue(_message(), delay=60_000)
    broker.enqueue(_message(), delay=60_000)
    fetched = broker.do_fetch("payments", 3)
    broker.do_nack("payments", dramatiq.Message.decode(fetched[0]).options["redis_message_id"])
    probe = QueueProbe(clean_redis, ["payments", "webhooks"], protocol=protocol)
    counts = _read(probe)
    assert counts["waiting", "payments"] == 3
    assert counts["in_flight", "payments"] == 2
    assert counts["delayed", "payments"] == 2
    assert counts["dead", "payments"] == 1
    assert counts["waiting", "webhooks"] == 0
    assert probe.errors == {}
    probe.close()


def test_the_age_is_that_of_the_head_of_the_list(broker: RedisBroker, clean_redis: str) -> None:
    broker.enqueue(_message(made_ms=_NOW_MS - 9 * _SECOND_MS))
    broker.enqueue(_message(made_ms=_NOW_MS - 4 * _SECOND_MS))
    probe = QueueProbe(clean_redis, ["payments"])
    age = ("oldest_age_ns", "payments")
    assert _read(probe)[age] == 9e9
    assert _read(probe, _clock(_NOW_MS + 500))[age] == 9.5e9  # the same head grows older
    broker.do_fetch("payments", 1)
    assert _read(probe)[age] == 4e9
    broker.do_fetch("payments", 1)
    assert _read(probe)[age] == 0
    probe.close()


def test_a_retried_job_waits_since_it_was_given_back(broker: RedisBroker, clean_redis: str) -> None:
    # What a worker leaves when a backoff is over: the eta is deleted, the retry's stamp stays.
    retried = _message(made_ms=_NOW_MS - 60 * _SECOND_MS)
    broker.enqueue(retried.copy(options={"requeue_timestamp": _NOW_MS - 2 * _SECOND_MS}))
    probe = QueueProbe(clean_redis, ["payments"])
    assert _read(probe)["oldest_age_ns", "payments"] == 2e9
    probe.close()


@pytest.mark.parametrize(
    ("stamp", "age_ns"),
    [
        pytest.param(3_000, 2_000, id="since-the-recorder-saw-it-enqueued"),
        pytest.param(6_000, 60e9, id="of-another-boot-so-by-the-wall-clock"),
        pytest.param(True, 60e9, id="no-stamp-at-all"),
        pytest.param("soon", 60e9, id="somebody-elses-option"),
        pytest.param(0, 60e9, id="not-known"),
    ],
)
def test_a_recorded_job_waits_since_its_last_enqueue(
    broker: RedisBroker, clean_redis: str, stamp: object, age_ns: float
) -> None:
    made = _message(made_ms=_NOW_MS - 60 * _SECOND_MS)
    broker.enqueue(made.copy(options={STAMP: stamp}))
    probe = QueueProbe(clean_redis, ["payments"])
    assert _read(probe)["oldest_age_ns", "payments"] == age_ns
    probe.close()


def test_a_stamp_older_than_the_message_is_of_another_host(
    broker: RedisBroker, clean_redis: str
) -> None:
    hour_ns = 3_600_000_000_000
    broker.enqueue(_message(made_ms=_NOW_MS - 4 * _SECOND_MS).copy(options={STAMP: 5}))
    probe = QueueProbe(clean_redis, ["payments"])
    clock = ManualClock(hour_ns, wall_ns=_NOW_MS * 1_000_000)
    assert _read(probe, clock)["oldest_age_ns", "payments"] == 4e9
    probe.close()


def test_a_message_from_the_future_has_no_negative_age(
    broker: RedisBroker, clean_redis: str
) -> None:
    broker.enqueue(_message(made_ms=_NOW_MS + 60_000))
    probe = QueueProbe(clean_redis, ["payments"])
    assert _read(probe)["oldest_age_ns", "payments"] == 0
    probe.close()


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x04pickle",
        b"{}",
        b"[1]",
        b'{"message_timestamp": "soon"}',
        b'{"message_timestamp": true}',
        b'{"message_timestamp": NaN}',
        b'{"message_timestamp": -1e308}',
        b"[" * 100_000,
    ],
)
def test_a_corrupt_head_is_counted_once_and_the_counts_still_come(
    client: redis.Redis, clean_redis: str, body: bytes
) -> None:
    client.rpush("dramatiq:payments", "id-1")
    client.hset("dramatiq:payments.msgs", "id-1", body)
    probe = QueueProbe(clean_redis, ["payments"])
    for _ in range(2):
        counts = _read(probe)
        assert counts["waiting", "payments"] == 1
        assert ("oldest_age_ns", "payments") not in counts
    assert probe.errors == {"CorruptMessage": 1}
    probe.close()


def test_an_id_whose_body_was_evicted_is_counted(client: redis.Redis, clean_redis: str) -> None:
    client.rpush("dramatiq:payments", "id-1", "id-2")
    probe = QueueProbe(clean_redis, ["payments"])
    counts = _read(probe)
    assert counts["waiting", "payments"] == 2
    assert counts["in_flight", "payments"] == 0
    assert ("oldest_age_ns", "payments") not in counts
    assert probe.errors == {"HeadGone": 1, "IdsWithoutBody": 1}
    probe.close()


def test_a_foreign_key_spoils_only_its_own_queue(client: redis.Redis, clean_redis: str) -> None:
    client.set("dramatiq:payments", "a string")
    probe = QueueProbe(clean_redis, ["payments", "webhooks"])
    assert {queue for _, queue in _read(probe)} == {"webhooks"}
    assert probe.errors == {"WrongType": 1}
    probe.close()


def test_another_namespace_is_looked_for_where_it_is(client: redis.Redis, clean_redis: str) -> None:
    client.rpush("shop:payments", "id-1")
    probe = QueueProbe(clean_redis, ["payments"], namespace="shop")
    assert _read(probe)["waiting", "payments"] == 1
    probe.close()


def _content(client: redis.Redis) -> dict[object, object]:
    """All that is stored, by key."""
    readers: dict[object, Callable[[Any], object]] = {
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {key: readers[client.type(key)](key) for key in client.scan_iter()}


def test_sampling_writes_nothing(
    broker: RedisBroker, client: redis.Redis, clean_redis: str
) -> None:
    for _ in range(5):
        broker.enqueue(_message())
    broker.enqueue(_message(), delay=60_000)
    broker.do_fetch("payments", 2)
    writing = {
        name if isinstance(name, str) else name.decode()
        for name in client.command_list(category="write")
    }
    probe = QueueProbe(clean_redis, ["payments", "webhooks"])

    def calls() -> dict[str, int]:
        stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in stats.items()}

    content = _content(client)
    before = calls()
    for _ in range(20):
        _read(probe)
    after = calls()
    called = {name for name in after if after[name] != before.get(name, 0)}
    assert {"llen", "hlen", "zcard", "lindex", "hget", "multi", "exec"} <= called
    assert "lpop" in writing
    assert "zadd" in writing
    assert not called & writing
    assert not called & {"eval", "evalsha", "fcall", "script", "keys", "scan"}
    assert _content(client) == content
    assert b"dramatiq:__heartbeats__" in content
    probe.close()


def test_a_standing_head_is_read_once(
    broker: RedisBroker, client: redis.Redis, clean_redis: str
) -> None:
    broker.enqueue(_message())
    probe = QueueProbe(clean_redis, ["payments"])
    before = client.info("commandstats").get("cmdstat_hget", {}).get("calls", 0)
    for _ in range(10):
        _read(probe)
    assert client.info("commandstats")["cmdstat_hget"]["calls"] - before == 1
    probe.close()


def test_without_a_server_there_are_no_readings_and_no_exception() -> None:
    probe = QueueProbe(f"redis://127.0.0.1:{free_port()}/0", ["payments"])
    assert _read(probe, SystemClock()) == {}
    assert probe.errors == {"ConnectionError": 1}
    probe.close()


def test_no_queues_cost_no_round_trip() -> None:
    probe = QueueProbe(f"redis://127.0.0.1:{free_port()}/0", [])
    assert _read(probe) == {}
    assert probe.errors == {}
