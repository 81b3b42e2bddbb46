"""A real Redis as a real broker leaves it, looked at without a trace."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from perfkit.clock import ManualClock, SystemClock
from perfkit.monitor.discovery import Discovery
from perfkit.monitor.holdings import Holdings
from perfkit.telemetry.redis_link import READ_ONLY, RedisLink
from tests.monitor.apps import broker_of, feed_of, fetch, send
from tests.waiting import wait_until

_WRITES = re.compile(
    r"cmdstat_(set|hset|hdel|del|unlink|zadd|zrem|sadd|srem|lpush|rpush|lpop|rpop|expire|pexpire|"
    r"evalsha|eval|script|config|flush|keys|copy|rename|restore|move|xadd)\w*"
)


@pytest.fixture
def client(clean_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(clean_redis) as client:
        yield client


def _commands(client: redis.Redis) -> dict[str, int]:
    return {name: each["calls"] for name, each in client.info("commandstats").items()}


def test_counts_are_those_of_the_broker(clean_redis: str) -> None:
    with broker_of(clean_redis) as producer, broker_of(clean_redis) as worker:
        send(producer, 10)
        send(producer, 3, delay=60_000)
        fetch(worker, 4)
        feed = feed_of(clean_redis, "payments")
        try:
            feed.look()
            seen = feed.look()
        finally:
            feed.close()
    queue = seen.queue("payments")
    assert queue is not None
    assert (queue.waiting, queue.in_flight, queue.delayed, queue.dead) == (6, 4, 3, 0)
    assert queue.stalled == 0
    assert queue.oldest_age_s is not None
    assert 0 <= queue.oldest_age_s < 60
    assert seen.totals.waiting == 6
    [holder] = [each for each in seen.workers if each.in_flight]
    assert (holder.in_flight, holder.alive, holder.role) == (4, True, "worker")
    assert seen.redis is not None
    assert seen.redis.round_trip_s is not None


def test_jobs_of_a_worker_that_is_silent_are_stalled_at_the_next_look(clean_redis: str) -> None:
    with broker_of(clean_redis) as producer, broker_of(clean_redis) as worker:
        send(producer, 5)
        fetch(worker, 3)
        feed = feed_of(clean_redis, "payments", timeout_ns=1)
        try:
            seen = feed.look()
        finally:
            feed.close()
    queue = seen.queue("payments")
    assert queue is not None
    assert queue.stalled == 3
    assert seen.totals.workers_lost == 1
    [holder] = [each for each in seen.workers if each.in_flight]
    assert (holder.alive, holder.lost) == (False, True)


def test_who_went_silent_with_nothing_in_hand_was_perhaps_stopped_and_is_no_alarm(
    clean_redis: str, client: redis.Redis
) -> None:
    client.zadd("dramatiq:__heartbeats__", {"stopped-an-hour-ago": 1.0})
    feed = feed_of(clean_redis, "payments")
    try:
        seen = feed.look()
    finally:
        feed.close()
    [worker] = seen.workers
    assert (worker.alive, worker.lost) == (False, False)
    assert seen.totals.workers_lost == 0


def test_an_idle_client_is_no_worker_yet_and_is_counted_apart(
    clean_redis: str, client: redis.Redis
) -> None:
    client.zadd("dramatiq:__heartbeats__", {"somebody": time.time() * 1000})
    feed = feed_of(clean_redis, "payments")
    try:
        totals = feed.look().totals
    finally:
        feed.close()
    assert (totals.workers_alive, totals.clients_alive) == (0, 1)


def test_looking_writes_nothing_and_runs_no_maintenance(
    clean_redis: str, client: redis.Redis
) -> None:
    with broker_of(clean_redis) as producer, broker_of(clean_redis) as worker:
        send(producer, 20)
        send(producer, 2, "mail", delay=60_000)
        fetch(worker, 4)
        client.set("foreign", "x")
        contents = _contents(client)
        before = _commands(client)
        feed = feed_of(clean_redis)  # queues are searched for
        try:
            wait_until(lambda: len(feed.look().queues) == 2, 20, "both queues are found")
            for _ in range(3):
                feed.look()
        finally:
            feed.close()
        after = _commands(client)
        grown = {name for name, calls in after.items() if calls > before.get(name, 0)}
        allowed = {"auth", "client", "client|setname", "client|setinfo", "hello"}
        allowed |= {"select", *(name.lower().replace(" ", "|") for name in READ_ONLY)}
        assert grown <= {f"cmdstat_{name}" for name in allowed}
        assert not [name for name in grown if _WRITES.fullmatch(name)]
        assert _contents(client) == contents
        assert "cmdstat_keys" not in after


def _contents(client: redis.Redis) -> dict[bytes, object]:
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {key: readers[client.type(key)](key) for key in client.scan_iter()}


@pytest.mark.parametrize(
    "command",
    [("KEYS", "*"), ("DEL", "x"), ("SET", "x", "1"), ("CONFIG", "GET", "*"), ("EVALSHA", "x", "0"),
     ("SLOWLOG", "RESET"), ("LATENCY", "RESET"), ("flushall",), ("MONITOR",)],
)  # fmt: skip
def test_a_probe_can_say_nothing_else(clean_redis: str, command: tuple[str, ...]) -> None:
    link = RedisLink(clean_redis, name="test")
    with pytest.raises(ValueError, match="probes read"):
        link.batch(command)


def test_foreign_and_corrupt_keys_are_shown_as_what_they_are(
    clean_redis: str, client: redis.Redis
) -> None:
    client.set("dramatiq:foreign", "a string")
    client.hset("dramatiq:foreign.msgs", "1", "x")
    client.rpush("dramatiq:corrupt", "1")
    client.hset("dramatiq:corrupt.msgs", "1", b"\xff\x00 not JSON")
    client.rpush("dramatiq:huge", "1")
    client.hset("dramatiq:huge.msgs", "1", b"x" * 2_000_000)
    client.set("dramatiq:__heartbeats__", "no sorted set")
    feed = feed_of(clean_redis, "foreign", "corrupt", "huge", "fine")
    try:
        feed.look()
        seen = feed.look()
    finally:
        feed.close()
    assert "workers" in seen.broken, "its heartbeats are a foreign key"
    assert seen.totals.workers_alive is None
    problems = {each.name: each.problem for each in seen.queues}
    assert "foreign" in (problems["foreign"] or "")
    assert "can't be read" in (problems["corrupt"] or "")
    assert "can't be read" in (problems["huge"] or "")
    assert problems["fine"] is None
    corrupt = seen.queue("corrupt")
    assert corrupt is not None
    assert (corrupt.waiting, corrupt.oldest_age_s) == (1, None)


def test_a_head_that_is_done_before_its_body_is_read_is_no_trouble(
    clean_redis: str, client: redis.Redis
) -> None:
    feed = feed_of(clean_redis, "fast")
    problems = []
    try:
        for head in ("1", "2", "3", "3"):  # ids whose bodies are gone, as of jobs that are finished
            client.delete("dramatiq:fast")
            client.rpush("dramatiq:fast", head)
            queue = feed.look().queue("fast")
            assert queue is not None
            assert queue.oldest_age_s is None
            problems.append(queue.problem)
    finally:
        feed.close()
    assert problems[:3] == [None, None, None]
    assert "can't be read" in (problems[3] or ""), "its body does not come back"


def test_what_this_user_may_not_see_is_said_and_not_shown_as_idle(
    clean_redis: str, client: redis.Redis
) -> None:
    client.acl_setuser("viewer", enabled=True, passwords=["+seen"], commands=["+ping", "+info"])
    parts = urlsplit(clean_redis)
    url = urlunsplit(parts._replace(netloc=f"viewer:seen@{parts.hostname}:{parts.port}"))
    feed = feed_of(url, "payments")
    try:
        seen = feed.look()
    finally:
        feed.close()
        client.acl_deluser("viewer")
    assert seen.sources["redis"].ok
    assert seen.redis is not None
    assert seen.redis.memory_used_bytes
    queue = seen.queue("payments")
    assert queue is not None
    assert queue.waiting is None
    assert "refuses to count it" in (queue.problem or "")
    assert "workers" in seen.broken
    assert (seen.totals.workers, seen.totals.waiting) == (None, None)


def test_queues_are_found_among_hostile_names(clean_redis: str, client: redis.Redis) -> None:
    hostile = [b"\xff\xfe", b"a b", b"<script>", b"..", b"x" * 5000, b"", b"a:b", b"\n", b"*"]
    for name in hostile:
        client.hset(b"dramatiq:" + name + b".msgs", "1", "x")
    for name in (b"mail", b"jobs.DQ", b"late.XQ"):
        client.hset(b"dramatiq:" + name + b".msgs", "1", "x")
    discovery = Discovery(clean_redis, "dramatiq", timeout_s=1.0)
    try:
        wait_until(lambda: discovery.progress().rounds, 20, "a round is over")
        assert set(discovery.names) == {"mail", "jobs", "late"}
    finally:
        discovery.close()


def test_another_namespace_is_told_where_nothing_is_found(
    clean_redis: str, client: redis.Redis
) -> None:
    client.zadd("shop:__heartbeats__", {"b": 1})
    discovery = Discovery(clean_redis, "dramatiq", timeout_s=1.0)
    try:
        wait_until(lambda: discovery.progress().rounds, 20, "a round is over")
        assert discovery.progress().other_namespaces == ("shop",)
    finally:
        discovery.close()


def test_never_more_sets_than_the_budget_and_the_gone_first(
    clean_redis: str, client: redis.Redis
) -> None:
    now = SystemClock()
    clock = ManualClock(now.now_ns(), wall_ns=now.wall_ns())
    living = {f"living-{n}": clock.wall_ns() / 1e6 for n in range(200)}
    client.zadd("dramatiq:__heartbeats__", living | {"gone": 1.0})
    client.sadd("dramatiq:__acks__.gone.q49", "1", "2")
    client.sadd("dramatiq:__acks__.living-7.q3", "3")
    queues = {f"q{n}": [""] for n in range(50)}
    holdings = Holdings(
        clean_redis, "dramatiq", timeout_ns=60_000_000_000, link_timeout_s=1.0, budget=200
    )
    client.config_resetstat()
    try:
        held = holdings.look(queues, clock)
        assert _commands(client)["cmdstat_scard"] <= 200
        assert held.stalled is not None
        assert held.stalled["q49"] == 2, "at the first look, although 10 050 sets are there"
        for _ in range(70):
            held = holdings.look(queues, clock)
        assert _commands(client)["cmdstat_scard"] <= 71 * 200
    finally:
        holdings.close()
    [seven] = [each for each in held.holders if each.broker == "living-7"]
    assert seven.held == 1


def test_of_very_many_heartbeats_both_ends_are_read(clean_redis: str, client: redis.Redis) -> None:
    now = SystemClock()
    client.zadd("dramatiq:__heartbeats__", {f"b{n}": float(n) for n in range(5000)})
    holdings = Holdings(clean_redis, "dramatiq", timeout_ns=1, link_timeout_s=1.0)
    try:
        held = holdings.look({"q": []}, now)
    finally:
        holdings.close()
    assert held.known == 5000
    assert {"b0", "b4999"} <= {each.broker for each in held.holders}
    assert len(held.holders) == 1000
