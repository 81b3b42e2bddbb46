"""A small application, real workers in this process, and children that run the recorder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from perfkit.recorder import Event, read_spools
from perfkit.recorder.events import Kind

ROOT = Path(__file__).resolve().parents[2]

SHOP = """
import contextlib
import os
import signal
import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0"))
dramatiq.set_broker(broker)

@dramatiq.actor(queue_name="payments", max_retries=0)
def pay(number):
    if number < 0:
        raise ValueError("refused")

@dramatiq.actor(queue_name="mail")
def write(text):
    pass
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the module ``shop`` of an ordinary dramatiq application."""
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    return folder


Child = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def child(clean_redis: str) -> Iterator[Child]:
    """Start ``python -m MODULE ARG...`` with REDIS_URL set; killed at the end with its own."""
    started: list[subprocess.Popen[str]] = []

    def start(
        module: str, *arguments: object, fds: tuple[int, ...] = (), **env: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=os.environ | {"REDIS_URL": clean_redis, "PYTHONPATH": str(ROOT)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        # Its children too: a process of Dramatiq's whose parent was killed while it started waits
        # for ever, with our pipe in its hands.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


@pytest.fixture
def redis_broker(clean_redis: str) -> Iterator[RedisBroker]:
    """A stock broker on the test server, which is dramatiq's global one meanwhile."""
    before = dramatiq.broker.global_broker
    broker = RedisBroker(url=clean_redis)  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    yield broker
    dramatiq.set_broker(before)  # type: ignore[arg-type]
    broker.client.connection_pool.disconnect()


@pytest.fixture
def run_worker() -> Iterator[Callable[..., dramatiq.Worker]]:
    """Start dramatiq workers in this process; they are stopped at the end."""
    workers: list[dramatiq.Worker] = []

    def start(broker: dramatiq.Broker, **options: Any) -> dramatiq.Worker:
        worker = dramatiq.Worker(broker, **({"worker_timeout": 20, "worker_threads": 2} | options))
        worker.start()
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def events(tmp_path: Path) -> Callable[..., list[Event]]:
    """All events recorded under ``tmp_path / "spool"``, or those of one kind."""

    def recorded(kind: Kind | None = None) -> list[Event]:
        spools = read_spools(tmp_path / "spool")
        assert not any(spool.lost or spool.corrupt or spool.holes for spool in spools)
        found = [event for spool in spools for event in spool.events]
        return [event for event in found if kind in (None, event.kind)]

    return recorded
