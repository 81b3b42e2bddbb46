"""A stack that stays up without the process that started it."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from perfkit.errors import ChildDied, PortInUse, RedisUnreachable, ResultsNotWritable, UsageError
from perfkit.launcher.control import stack_down, stack_status, stack_up
from perfkit.launcher.lease import leases
from perfkit.launcher.ports import listen, port_of
from tests.conftest import free_port
from tests.launcher.small_stack import MakeStack
from tests.leaks import assert_gone, descendants_of, identities
from tests.waiting import wait_until


@pytest.fixture
def folder(stack_spec: MakeStack) -> Iterator[Path]:
    folder = stack_spec().leases_folder
    yield folder
    stack_down(folder)


def test_up_status_and_down(stack_spec: MakeStack, folder: Path, tmp_path: Path) -> None:
    lease = stack_up(stack_spec())
    with urllib.request.urlopen(f"{lease.urls['ingest']}/readyz", timeout=5) as answer:
        assert answer.status == 200
    assert lease.owner_pid != os.getpid()
    assert os.getsid(lease.owner_pid) == lease.owner_pid  # no terminal can end it
    assert "***" in lease.urls["redis"]
    assert [each.id for each in stack_status(folder)] == [lease.id]
    processes = identities({lease.owner_pid, *descendants_of(lease.owner_pid)})
    assert len(processes) == 6
    ports = [port for url in lease.urls.values() if (port := urlsplit(url).port)]
    with pytest.raises(UsageError, match="no stack 'other'"):
        stack_down(folder, "other")
    assert [each.id for each in stack_down(folder, lease.id)] == [lease.id]
    assert_gone(processes, ports, tmp_path)
    assert stack_status(folder) == []
    assert stack_down(folder) == []


def test_when_its_owner_is_killed_status_says_that_nothing_is_up(
    stack_spec: MakeStack, folder: Path, tmp_path: Path
) -> None:
    lease = stack_up(stack_spec(gateway=None, ingest_app=None))
    processes = identities({lease.owner_pid, *descendants_of(lease.owner_pid)})
    os.kill(lease.owner_pid, signal.SIGKILL)
    wait_until(lambda: lease.stale, 5, "the owner is dead")
    assert stack_status(folder) == []
    assert_gone(processes, folder=tmp_path)


def test_when_redis_dies_it_goes_down_by_itself(
    stack_spec: MakeStack, folder: Path, tmp_path: Path
) -> None:
    lease = stack_up(stack_spec(gateway=None, ingest_app=None))
    server = next(child for child in lease.children if child.role == "redis")
    processes = identities({lease.owner_pid, *descendants_of(lease.owner_pid)})
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not leases(folder), 20, "the lease is gone")
    assert_gone(processes, folder=tmp_path)
    log = stack_spec().logs / "serve.log"
    assert "redis was killed by SIGKILL while it was needed" in log.read_text()


def test_what_went_wrong_is_told_as_if_it_had_happened_here(
    stack_spec: MakeStack, folder: Path, tmp_path: Path
) -> None:
    with listen() as taken, pytest.raises(PortInUse, match="in use") as caught:
        stack_up(stack_spec(ingest_port=port_of(taken)))
    assert caught.value.mend
    with pytest.raises(RedisUnreachable) as refused:
        stack_up(stack_spec(redis_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0"))
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ChildDied, match="nowhere"):
        stack_up(stack_spec(broker="nowhere:broker"))
    (tmp_path / "file").touch()
    with pytest.raises(ResultsNotWritable):
        stack_up(stack_spec(directory=tmp_path / "file" / "x"))
    assert leases(folder) == []
