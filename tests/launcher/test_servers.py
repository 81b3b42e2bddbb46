"""Which servers a stack gets; that stacks work on them is seen in test_stack_per_queue.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.errors import UsageError
from perfkit.launcher.child import Child
from perfkit.launcher.guard import Guard
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.servers import Servers
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeStack, stack_settings

Make = Callable[..., Servers]


def pool(name: str, *queues: str) -> PoolSettings:
    return PoolSettings(name=name, queues=queues or None, workers=1, threads=1, prefetch=2)


APART = stack_settings(pools=(pool("pay", "payments"), pool("mail", "notifications")))


@pytest.fixture
def make(stack_spec: MakeStack, guard: Guard) -> Iterator[Make]:
    made = []

    def make_one(*arguments: Any, **changes: Any) -> Servers:
        servers = Servers(stack_spec(*arguments, **changes), guard)
        made.append(servers)
        return servers

    yield make_one
    for servers in made:
        servers.stop(lambda: 2.0)


def start(servers: Servers) -> list[Child]:
    started: list[Child] = []
    servers.start(10.0, started.append)
    return started


def test_one_server_serves_all_queues(make: Make) -> None:
    servers = make()
    (child,) = start(servers)
    assert (child.spec.name, child.spec.role) == ("redis", "redis")
    assert not servers.per_queue
    assert servers.urls == {"": servers.url}
    facts = servers.facts()
    assert facts["per_queue"] is False
    assert [(each["queue"], each["name"]) for each in facts["servers"]] == [(None, "redis")]


def test_each_queue_can_have_one_of_its_own(make: Make) -> None:
    servers = make(APART, redis_per_queue=True, profile="no-persistence")
    children = start(servers)
    assert [child.spec.name for child in children] == ["redis-payments", "redis-notifications"]
    assert {child.spec.role for child in children} == {"redis"}
    assert len({child.spec.log for child in children}) == 2
    assert servers.per_queue
    assert list(servers.urls) == ["payments", "notifications"]
    assert servers.url == servers.urls["payments"]
    assert len(servers.folders) == 2
    for queue, url in servers.urls.items():
        with redis.Redis.from_url(url) as client:
            client.set("whose", queue)
    for queue, url in servers.urls.items():
        with redis.Redis.from_url(url) as client:
            assert client.get("whose") == queue.encode()
    servers.check()
    servers.stop(lambda: 2.0)
    assert not any(start_ticks(child.pid) for child in children)


def test_facts_list_every_server_and_no_password(make: Make) -> None:
    servers = make(APART, redis_per_queue=True, profile="lru-4gb")
    children = start(servers)
    facts = json.loads(json.dumps(servers.facts()))
    assert facts["per_queue"] is True
    assert facts["profile"] == "lru-4gb"
    listed = {each["queue"]: each for each in facts["servers"]}
    assert {queue: each["pid"] for queue, each in listed.items()} == {
        "payments": children[0].pid,
        "notifications": children[1].pid,
    }
    assert listed["payments"]["config"]["maxmemory-policy"] == "allkeys-lru"
    assert len({each["url"] for each in listed.values()}) == 2
    assert len(facts["warnings"]) == len(set(facts["warnings"]))
    for url in servers.urls.values():
        assert (urlsplit(url).password or "?") not in json.dumps(facts)


def test_two_pools_of_one_queue_share_its_server(make: Make) -> None:
    pools = (pool("pay", "payments"), pool("pay-more", "payments"))
    assert list(make(stack_settings(pools=pools), redis_per_queue=True).urls) == ["payments"]


def test_somebody_elses_server_is_used_as_it_is(make: Make, clean_redis: str) -> None:
    servers = make(redis_url=clean_redis)
    assert start(servers) == []
    assert servers.urls == {"": clean_redis}
    servers.check()
    (listed,) = servers.facts()["servers"]
    assert listed["queue"] is None
    servers.stop(lambda: 2.0)
    with redis.Redis.from_url(clean_redis) as client:
        assert client.ping()


@pytest.mark.parametrize(
    ("changes", "what", "mend"),
    [
        ({"redis_url": "redis://:hunter2@h/0"}, "--redis names one server", "leave out --redis"),
        ({"redis_port": 6379}, "port 6379", "leave the port open"),
        ({"settings": stack_settings()}, "pool 'worker' serves all queues", "[[stack.pool]]"),
        (
            {"settings": stack_settings(pools=(pool("both", "payments", "mail"),))},
            "pool 'both' serves 2 queues",
            "[[stack.pool]]",
        ),
        ({"broker": "shop:broker"}, "a broker for each queue", "mapping of brokers"),
    ],
)
def test_what_excludes_a_server_for_each_queue_is_refused_before_anything_starts(
    make: Make, changes: dict[str, Any], what: str, mend: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make(**{"settings": APART, "redis_per_queue": True, **changes})
    assert what in caught.value.what
    assert mend in caught.value.mend
    assert "hunter2" not in str(caught.value)
