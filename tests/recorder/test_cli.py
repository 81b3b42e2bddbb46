"""The recorder under dramatiq's own command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from perfkit.recorder import Kind, read_spools
from tests.waiting import wait_until

Child = Callable[..., subprocess.Popen[str]]


def test_the_stock_command_runs_recorded_workers(
    child: Child, shop: Path, tmp_path: Path, clean_redis: str
) -> None:
    spool = tmp_path / "spool"
    process = child(
        *("dramatiq", "perfkit.recorder.cli:broker", "--processes", 2, "--threads", 2),
        *("--path", shop),
        PERFKIT_BROKER="shop:broker",
        PERFKIT_SPOOL=str(spool),
        PERFKIT_NAME="stock",
        dramatiq_worker_timeout="50",
    )
    wait_until(lambda: len(list(spool.glob("*.ready"))) == 2, 20, "both workers are ready")
    ready = {json.loads(path.read_text())["name"]: path for path in spool.glob("*.ready")}
    broker = RedisBroker(url=clean_redis)  # type: ignore[no-untyped-call]
    for number in range(20):
        broker.enqueue(dramatiq.Message("payments", "pay", (number,), {}, {}))
    broker.client.connection_pool.disconnect()

    def acked() -> int:
        return sum(
            event.kind is Kind.ACK for spooled in read_spools(spool) for event in spooled.events
        )

    wait_until(lambda: acked() == 20, 10, "all jobs are acked")
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    spools = read_spools(spool)
    assert {contents.name for contents in spools} == set(ready)
    assert {f"stock-{contents.pid}" for contents in spools} == set(ready)
    assert all(contents.closed and not contents.lost for contents in spools)
    assert all(
        event.fetched_ns
        for contents in spools
        for event in contents.events
        if event.kind is Kind.START
    )


def test_the_stock_command_refuses_a_missing_setting(child: Child) -> None:
    process = child("dramatiq", "perfkit.recorder.cli:broker", "--processes", 1)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "PERFKIT_SPOOL is not set" in err
