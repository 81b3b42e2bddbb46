"""A whole stack with one Redis for each queue."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.launcher.lease import leases
from perfkit.launcher.stack import Stack, StackSpec
from perfkit.recorder import Kind, read_spools
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import GATEWAY, stack_settings
from tests.leaks import assert_gone, bound_ports, identities
from tests.waiting import wait_until

QUEUES = ("payments", "notifications", "webhooks")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    pools = tuple(
        PoolSettings(name=queue, queues=(queue,), workers=1, threads=2, prefetch=4)
        for queue in QUEUES
    )
    spec = StackSpec(
        settings=stack_settings(pools=pools),
        directory=folder / "trial",
        gateway=GATEWAY,
        leases=folder / "leases",
        profile="no-persistence",
        redis_per_queue=True,
    )
    with Stack(spec) as stack:
        yield stack
        family = identities(each.pid for each in stack.processes.values())
        ports = {urlsplit(url).port or 0 for url in stack.redis_servers.values()}
        private = [Path(path) for path in stack.lease.folders]
    assert_gone(family, ports)
    assert len(private) == 3
    assert not any(path.exists() for path in private)


def post(stack: Stack, queue: str) -> str:
    job_id = str(uuid.uuid4())
    request = urllib.request.Request(
        f"{stack.ingest_url}/jobs/{queue}",
        json.dumps({"key": "1/0", "amount": 500}).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": job_id},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
    return job_id


def charged(stack: Stack) -> int:
    with urllib.request.urlopen(f"{stack.ingest_url}/ledger", timeout=10) as answer:
        return int(json.load(answer)["entries"])


def keys(url: str) -> set[str]:
    with redis.Redis.from_url(url) as client:
        return {key.decode() for key in client.scan_iter()}


def test_every_server_is_a_process_and_has_an_address_of_its_own(stack: Stack) -> None:
    servers = [name for name, each in stack.processes.items() if each.role == "redis"]
    assert servers == [f"redis-{queue}" for queue in QUEUES]
    assert list(stack.redis_servers) == list(QUEUES)
    assert stack.redis_urls == stack.redis_servers
    assert stack.redis_url == stack.redis_servers["payments"]
    assert len(set(stack.redis_urls.values())) == 3
    assert {urlsplit(url).port for url in stack.redis_urls.values()} <= bound_ports()
    stack.check()


def test_jobs_of_every_queue_are_done_and_recorded_from_end_to_end(stack: Stack) -> None:
    ids = {post(stack, queue): queue for queue in QUEUES}

    def done() -> bool:
        events = [event for each in read_spools(stack.spec.spool) for event in each.events]
        acked = {event.message_id for event in events if event.kind is Kind.ACK}
        return acked >= set(ids)

    wait_until(done, 20, "each job is done")
    wait_until(lambda: charged(stack) == 1, 5, "the payment is in the books")
    spools = read_spools(stack.spec.spool)
    sent = [e for each in spools if each.name == "ingest-1" for e in each.events]
    assert {event.message_id: event.queue for event in sent if event.kind is Kind.ENQ} == ids
    started = [event for each in spools for event in each.events if event.kind is Kind.START]
    stamps = {event.message_id: event.enqueued_ns for event in sent}
    assert {event.message_id: event.enqueued_ns for event in started} == stamps


def test_nothing_of_a_queue_is_on_the_server_of_another(stack: Stack) -> None:
    post(stack, "webhooks")
    for queue, url in stack.redis_servers.items():
        found = keys(url)
        assert ("sample:ledger" in found) is (queue == "payments")
        others = set(QUEUES) - {queue}
        assert not [key for key in found if any(other in key for other in others)]


def test_the_lease_lists_every_server(stack: Stack) -> None:
    (lease,) = leases(stack.spec.leases_folder)
    assert {name for name in lease.urls if name.startswith("redis")} == {
        f"redis-{queue}" for queue in QUEUES
    }
    assert len(lease.folders) == 3
    assert {child.name for child in lease.children if child.role == "redis"} == {
        f"redis-{queue}" for queue in QUEUES
    }


def test_no_password_is_told_anywhere(stack: Stack) -> None:
    passwords = [urlsplit(url).password or "?" for url in stack.redis_servers.values()]
    assert len(set(passwords)) == 3
    files = [p for p in stack.spec.directory.rglob("*") if p.is_file()]
    files += [p for p in stack.spec.leases_folder.rglob("*") if p.is_file()]
    commands = b"".join(
        Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in stack.processes.values()
    )
    for password in passwords:
        assert password not in json.dumps(stack.facts()) + repr(stack)
        assert password.encode() not in commands
        assert not [path for path in files if password.encode() in path.read_bytes()]


def test_facts_list_every_server(stack: Stack) -> None:
    facts = json.loads(json.dumps(stack.facts()))["redis"]
    assert facts["per_queue"] is True
    assert [each["queue"] for each in facts["servers"]] == list(QUEUES)


def test_the_death_of_one_server_is_told_by_its_name(stack: Stack) -> None:
    from perfkit.errors import ChildDied

    with redis.Redis.from_url(stack.redis_servers["webhooks"], retry=None) as client:
        client.shutdown(nosave=True)

    def died() -> bool:
        return "redis-webhooks" in {death.name for death in stack.deaths()}

    wait_until(died, 5, "its death is seen")
    with pytest.raises(ChildDied, match="redis-webhooks"):
        stack.check()
