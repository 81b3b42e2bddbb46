"""One whole stack of the sample system, looked at from all sides; what changes it comes last."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.lease import leases
from perfkit.launcher.stack import Stack, StackSpec
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import GATEWAY, stack_settings
from tests.leaks import assert_gone, identities
from tests.waiting import wait_until

BODIES = {
    "payments": {"key": "1/0", "amount": 500},
}


def post(stack: Stack, queue: str) -> str:
    """Send a job; returns its id."""
    job_id = str(uuid.uuid4())
    request = urllib.request.Request(
        f"{stack.ingest_url}/jobs/{queue}",
        json.dumps(BODIES[queue]).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": job_id},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
        assert json.load(answer)["id"] == job_id
    return job_id


def charged(stack: Stack) -> int:
    with urllib.request.urlopen(f"{stack.ingest_url}/ledger", timeout=10) as answer:
        return int(json.load(answer)["entries"])


def commands() -> list[bytes]:
    """Command line of every process there is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    pools = (PoolSettings(name="worker", queues=None, workers=2, threads=2, prefetch=4),)
    spec = StackSpec(
        settings=stack_settings(pools=pools, ingest_processes=2),
        directory=folder / "trial",
        gateway=GATEWAY,
        leases=folder / "leases",
    )
    with Stack(spec) as stack:
        yield stack
        family = identities(each.pid for each in stack.processes.values())
    assert_gone(family)


def test_it_does_a_job_from_end_to_end(stack: Stack) -> None:
    before = charged(stack)
    post(stack, "payments")
    wait_until(lambda: charged(stack) == before + 1, 10, "the payment is charged")


def test_every_process_is_known_by_name_role_and_pool(stack: Stack) -> None:
    roles = {name: (each.role, each.pool) for name, each in stack.processes.items()}
    assert roles == {
        "gateway": ("gateway", None),
        "redis": ("redis", None),
        "worker-1": ("worker", "worker"),
        "worker-2": ("worker", "worker"),
        "ingest-1": ("ingest", None),
        "ingest-2": ("ingest", None),
    }
    assert all(start_ticks(each.pid) for each in stack.processes.values())
    stack.check()
    assert stack.deaths() == []


def test_its_lease_says_who_and_where(stack: Stack) -> None:
    (lease,) = leases(stack.spec.leases_folder)
    assert lease == stack.lease
    assert lease.state == "up"
    assert lease.owner_pid == os.getpid()
    assert lease.urls["ingest"] == stack.ingest_url
    assert lease.urls["gateway"] == stack.gateway_url
    assert {child.name: child.pid for child in lease.children} == {
        name: each.pid for name, each in stack.processes.items()
    }
    assert all(child.alive() for child in lease.children)


def test_its_password_is_in_no_command_line_no_log_no_lease_and_no_fact(stack: Stack) -> None:
    password = urlsplit(stack.redis_url).password
    assert password
    secret = password.encode()
    assert not [line for line in commands() if secret in line]
    for root in (stack.spec.directory, stack.spec.leases_folder):
        files = [path for path in root.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if secret in path.read_bytes()]
    assert password not in json.dumps(stack.facts())
    assert password not in repr(stack)


def test_its_facts_can_be_stored(stack: Stack) -> None:
    facts = json.loads(json.dumps(stack.facts()))
    assert facts["redis"]["private"] is True
    assert facts["processes"]["worker-1"]["role"] == "worker"
    assert facts["cpus"] == sorted(os.sched_getaffinity(0))
    assert facts["started_in_s"] > 0


def test_workers_stop_in_order_while_the_rest_stays(stack: Stack) -> None:
    stack.stop_workers()
    alive = {n for n, each in stack.processes.items() if start_ticks(each.pid)}
    assert alive == {"gateway", "redis", "ingest-1", "ingest-2"}
    assert stack.deaths() == []
    for sidecar in stack.spec.spool.glob("worker-*.jsonl"):
        assert '"closed"' in sidecar.read_text()
