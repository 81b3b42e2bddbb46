"""What each fault does to a stack that is a stand-in, and to a server that is not."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import OutOfMemoryError

from perfkit.errors import StackError
from perfkit.faults import Breaker, Broken, Due, Site
from perfkit.faults.filling import PREFIX
from perfkit.faults.victims import Role
from perfkit.scenario import parse_fault
from tests.conftest import PrivateRedis, private_redis
from tests.waiting import wait_until


class Standin:
    """Writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    def living(self, role: Role) -> list[str]:
        return {"worker": ["worker-1", "worker-2"], "supervisor": ["worker-master"]}.get(
            role, [role]
        )

    def strike(self, name: str, number: signal.Signals, *, orphaning: bool = False) -> int:
        self.done.append((name, number.name, *(["orphaning"] if orphaning else [])))
        return 4711

    def expect_deaths(self, pools: Iterable[str]) -> None:
        self.done.append(("expected", *pools))

    def set_link(self, name: str, *, cut: bool = False, delay_ns: int = 0) -> int:
        self.done.append((name, cut, delay_ns))
        return 3

    def end(self, role: Role) -> None:
        self.done.append(("ended", role))

    def start_again(self, role: Role) -> list[int]:
        self.done.append(("started", role))
        return [4712]


@pytest.fixture
def standin() -> Standin:
    return Standin()


def carried_out(standin: Standin, text: str, redis_url: str = "", **site: Any) -> Broken:
    values: dict[str, Any] = {
        "disruption": standin,
        "redis_url": redis_url,
        "ingest_url": None,
        "gateway_url": None,
        "queues": ("payments",),
        "pools": {"money": ("payments",), "rest": ("webhooks",), "any": None},
    }
    return Breaker(Site(**values | site), 7).carry_out(Due(0, parse_fault(text)))


@pytest.mark.parametrize(
    ("text", "done", "mended"),
    [
        ("kill worker:worker-2 at 1s", [("worker-2", "SIGKILL")], []),
        ("terminate workers at 1s", [("worker-1", "SIGTERM"), ("worker-2", "SIGTERM")], []),
        ("stop ingest at 1s for 1s", [("ingest", "SIGSTOP")], [("ingest", "SIGCONT")]),
        ("kill supervisor at 1s", [("worker-master", "SIGKILL", "orphaning")], []),
        ("restart redis at 1s", [("redis", "SIGKILL"), ("ended", "redis")], [("started", "redis")]),
        (
            "restart ingest at 1s for 1s",
            [("ingest", "SIGTERM"), ("ended", "ingest")],
            [("started", "ingest")],
        ),
        (
            "cut worker-redis at 1s for 1s",
            [("worker-redis", True, 0)],
            [("worker-redis", False, 0)],
        ),
        (
            "slow ingest-redis at 1s for 1s amount 20ms",
            [("ingest-redis", False, 20_000_000)],
            [("ingest-redis", False, 0)],
        ),
    ],
)
def test_what_is_done_and_what_mends_it(
    standin: Standin, text: str, done: list[Any], mended: list[Any]
) -> None:
    broken = carried_out(standin, text)
    assert standin.done == done
    broken.mend()
    assert standin.done == done + mended


def test_the_victim_is_told_with_its_process(standin: Standin) -> None:
    assert carried_out(standin, "kill worker:worker-1 at 1s").victim == "worker-1 (pid 4711)"


@pytest.mark.parametrize("text", ["outage gateway at 1s for 1s", "poison queue:payments at 1s"])
def test_what_is_not_there_cannot_be_broken(standin: Standin, text: str) -> None:
    nowhere = "http://127.0.0.1:9"
    with pytest.raises(StackError, match="did not take"):
        carried_out(standin, text, ingest_url=nowhere, gateway_url=nowhere)


# On a real server


@pytest.fixture
def server() -> Iterator[PrivateRedis]:
    """One that may be broken."""
    with private_redis() as server:
        yield server


def refuses(client: redis.Redis) -> bool:
    try:
        client.set("job", "x" * 1000)
    except OutOfMemoryError:
        return True
    return False


def test_a_full_server_refuses_until_it_is_freed(standin: Standin, server: PrivateRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "16mb")
        client.config_set("maxmemory-policy", "noeviction")
        broken = carried_out(standin, "fill redis at 1s", server.url)
        wait_until(lambda: holds(broken) and refuses(client), 10, "it refuses")
        assert client.get("job") is None
        keys = client.keys(f"{PREFIX}*")
        assert len(keys) == 2
        assert all(client.pttl(key) > 0 for key in keys)  # they would go by themselves
        broken.mend()
        assert not refuses(client)
        assert client.keys("*") == [b"job"]


def test_a_part_of_the_memory_can_be_filled(standin: Standin, server: PrivateRedis) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "32mb")
        broken = carried_out(standin, "fill redis at 1s for 1s amount 50%", server.url)
        used: Any = client.info("memory")
        assert 16 << 20 <= used["used_memory"] < 17 << 20
        assert not refuses(client)
        broken.mend()


def test_a_full_server_that_evicts_loses_keys_and_refuses_nothing(
    standin: Standin, server: PrivateRedis
) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "16mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.set("old", "x" * 100_000)
        broken = carried_out(standin, "fill redis at 1s", server.url)
        wait_until(lambda: holds(broken) and evictions(client), 10, "keys are evicted")
        assert not refuses(client)
        broken.mend()


def holds(broken: Broken) -> bool:
    """Keep it up once more."""
    broken.hold()
    return True


def evictions(client: redis.Redis) -> int:
    info: Any = client.info("stats")
    return int(info["evicted_keys"])


def test_a_server_without_a_limit_cannot_be_filled(standin: Standin, server: PrivateRedis) -> None:
    with pytest.raises(StackError, match="no memory limit"):
        carried_out(standin, "fill redis at 1s", server.url)


def test_a_paused_server_answers_nobody_until_its_time_is_over(
    standin: Standin, server: PrivateRedis
) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.ping()
        begun_s = time.monotonic()
        broken = carried_out(standin, "pause redis at 1s for 400ms", server.url)
        mending = threading.Thread(target=broken.mend)
        mending.start()
        client.ping()
        assert time.monotonic() - begun_s >= 0.39
        mending.join(5)
        assert not mending.is_alive()


def test_a_server_that_is_gone_cannot_be_paused_and_no_password_is_told(standin: Standin) -> None:
    with pytest.raises(StackError, match="Redis did not take it") as caught:
        carried_out(standin, "pause redis at 1s for 1s", "redis://:hunter2@127.0.0.1:9/0")
    assert "hunter2" not in str(caught.value)
