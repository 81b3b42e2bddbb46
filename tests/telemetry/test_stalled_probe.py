"""What waits for recovery, as a real dramatiq broker leaves it in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from perfkit.clock import ManualClock, SystemClock
from perfkit.telemetry.stalled_probe import StalledProbe, Workers
from tests.conftest import free_port

_SECOND_NS = 1_000_000_000
Known = dict[str, Any]


@pytest.fixture
def brokers(clean_redis: str) -> Iterator[Callable[[], RedisBroker]]:
    made: list[RedisBroker] = []

    def make() -> RedisBroker:
        made.append(RedisBroker(url=clean_redis, maintenance_chance=0))  # type: ignore[no-untyped-call]
        return made[-1]

    yield make
    for each in made:
        each.client.connection_pool.disconnect()


@pytest.fixture
def client(clean_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(clean_redis) as client:
        yield client


def _send(broker: RedisBroker, count: int, queue: str = "payments", **options: Any) -> None:
    broker.declare_queue(queue)
    for _ in range(count):
        message = dramatiq.Message[None](
            queue_name=queue, actor_name="charge", args=(), kwargs={}, options={}
        )
        broker.enqueue(message, **options)


def _clock(later_ns: int = 0) -> ManualClock:
    """Now, or later: heartbeats are of the wall clock."""
    now = SystemClock()
    return ManualClock(now.now_ns() + later_ns, wall_ns=now.wall_ns() + later_ns)


def _stalled(probe: StalledProbe, later_ns: int = 0) -> dict[str, float]:
    readings = probe.take(_clock(later_ns))
    assert {each.metric for each in readings} <= {"queue.stalled"}
    return {each.subject: each.value for each in readings}


@pytest.mark.parametrize("protocol", [2, 3])
def test_what_a_dead_worker_holds_is_stalled_at_once(
    brokers: Callable[[], RedisBroker], clean_redis: str, protocol: int
) -> None:
    victim, other = brokers(), brokers()
    _send(victim, 5)
    _send(victim, 1, "mail", delay=60_000)
    assert len(victim.do_fetch("payments", 3)) == 3
    assert len(victim.do_fetch("mail.DQ", 3)) == 1
    assert len(other.do_fetch("payments", 1)) == 1
    known = Workers()
    probe = StalledProbe(
        clean_redis, ("payments", "mail"), workers=lambda: known, protocol=protocol
    )
    assert _stalled(probe) == {"payments": 0, "mail": 0}
    known = Workers(dead={victim.broker_id})
    assert _stalled(probe) == {"payments": 3, "mail": 1}
    assert probe.errors == {}
    probe.close()


def test_a_silent_worker_stalls_its_jobs_after_its_heartbeat_timeout(
    brokers: Callable[[], RedisBroker], clean_redis: str
) -> None:
    broker = brokers()
    _send(broker, 2)
    broker.do_fetch("payments", 2)
    probe = StalledProbe(clean_redis, ("payments",), heartbeat_timeout_ns=2 * _SECOND_NS)
    assert _stalled(probe, _SECOND_NS) == {"payments": 0}
    assert _stalled(probe, 3 * _SECOND_NS) == {"payments": 2}
    probe.close()


def test_what_another_took_over_is_stalled_no_more(
    brokers: Callable[[], RedisBroker], clean_redis: str
) -> None:
    victim = brokers()
    _send(victim, 4)
    victim.do_fetch("payments", 4)
    probe = StalledProbe(
        clean_redis, ("payments",), workers=lambda: Workers(dead={victim.broker_id})
    )
    assert _stalled(probe) == {"payments": 4}
    heir = RedisBroker(  # type: ignore[no-untyped-call]
        url=clean_redis, heartbeat_timeout=1, maintenance_chance=1_000_000
    )
    taken = [
        dramatiq.Message.decode(each) for _ in range(9) for each in heir.do_fetch("payments", 1)
    ]
    assert len(taken) == 4
    assert _stalled(probe) == {"payments": 0}
    heir.client.connection_pool.disconnect()
    probe.close()


def test_what_a_living_worker_still_holds_long_after_an_outage_was_dropped(
    brokers: Callable[[], RedisBroker], clean_redis: str, client: redis.Redis
) -> None:
    broker = brokers()
    _send(broker, 3)
    held = [dramatiq.Message.decode(each) for each in broker.do_fetch("payments", 2)]
    known = Workers()
    probe = StalledProbe(
        clean_redis,
        ("payments",),
        heartbeat_timeout_ns=5 * _SECOND_NS,
        workers=lambda: known,
    )
    heartbeats = "dramatiq:__heartbeats__"

    def at(seconds: int) -> float:
        """The reading then, of a worker that goes on saying that it lives."""
        clock = _clock(seconds * _SECOND_NS)
        client.zadd(heartbeats, {broker.broker_id: clock.wall_ns() / 1e6})
        (reading,) = probe.take(clock)
        return reading.value

    assert at(0) == 0
    known = Workers(outages=1)
    assert at(1) == 0  # in its hands, as far as anybody knows
    broker.do_ack("payments", held[0].options["redis_message_id"])
    broker.do_fetch("payments", 1)  # since then, and so not suspected
    assert at(5) == 0
    assert at(7) == 1
    known = Workers(outages=1, dead={broker.broker_id})
    assert at(8) == 2  # all that it holds, and nothing twice
    known = Workers(outages=1)
    broker.do_ack("payments", held[1].options["redis_message_id"])
    assert at(10) == 0
    probe.close()


def test_a_server_that_was_away_is_an_outage_by_itself(
    brokers: Callable[[], RedisBroker], clean_redis: str, client: redis.Redis
) -> None:
    broker = brokers()
    _send(broker, 1)
    broker.do_fetch("payments", 1)
    probe = StalledProbe(
        clean_redis, ("payments",), heartbeat_timeout_ns=5 * _SECOND_NS, timeout_s=0.02
    )
    assert _stalled(probe) == {"payments": 0}
    client.client_pause(300)
    assert _stalled(probe) == {}
    assert probe.errors == {"TimeoutError": 1}
    client.ping()  # heard when the pause is over
    for seconds, expected in ((1, 0), (7, 1)):
        clock = _clock(seconds * _SECOND_NS)
        client.zadd("dramatiq:__heartbeats__", {broker.broker_id: clock.wall_ns() / 1e6})
        assert [each.value for each in probe.take(clock)] == [expected]
    probe.close()


def test_looking_for_stalled_jobs_writes_nothing(
    brokers: Callable[[], RedisBroker], clean_redis: str, client: redis.Redis
) -> None:
    broker = brokers()
    _send(broker, 2)
    broker.do_fetch("payments", 1)
    outages = 0
    probe = StalledProbe(
        clean_redis,
        ("payments",),
        workers=lambda: Workers(dead={broker.broker_id}, outages=outages),
    )
    client.config_resetstat()
    while outages < 3:
        probe.take(_clock())
        outages += 1
    called = {
        name.removeprefix("cmdstat_") for name in client.info("commandstats") if "cmdstat" in name
    }
    assert called - {"config|resetstat", "info", "client|setinfo", "client|setname", "hello"} <= {
        "zrange", "scard", "smembers", "select", "auth", "ping",
    }  # fmt: skip
    probe.close()


def test_a_server_that_is_not_there_gives_no_readings() -> None:
    probe = StalledProbe(f"redis://127.0.0.1:{free_port()}/0", ("payments",))
    assert probe.take(_clock()) == []
    assert probe.errors == {"ConnectionError": 1}
    probe.close()


def test_without_queues_nothing_is_asked() -> None:
    probe = StalledProbe(f"redis://127.0.0.1:{free_port()}/0", ())
    assert probe.take(_clock()) == []
    assert probe.errors == {}
