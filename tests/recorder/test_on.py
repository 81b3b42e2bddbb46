"""The documented line: an application in use is recorded by one word more on its command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from perfkit.recorder import Kind, read_spools
from perfkit.recorder.budget import LEAST_BYTES
from tests.waiting import wait_until

Child = Callable[..., subprocess.Popen[str]]

SELLER = """
import sys
import shop
import perfkit.recorder.on

for number in range(int(sys.argv[1])):
    shop.pay.send(number)
"""


def used(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


@pytest.mark.parametrize("application", ["shop", "shop:broker"])
def test_the_stock_command_records_within_its_budget_with_one_word_more(
    child: Child, shop: Path, tmp_path: Path, clean_redis: str, application: str
) -> None:
    spool, jobs = tmp_path / "spool", 400
    command = ("dramatiq", application, "perfkit.recorder.on", "--path", shop, "--processes", 2)
    process = child(
        *(*command, "--threads", 2),
        PERFKIT_SPOOL=str(spool),
        PERFKIT_SPOOL_BUDGET="1MB",
        dramatiq_worker_timeout="50",
    )
    broker = RedisBroker(url=clean_redis)  # type: ignore[no-untyped-call]
    for number in range(jobs):
        broker.enqueue(dramatiq.Message("payments", "pay", (number,), {}, {}))
    broker.client.connection_pool.disconnect()

    def acked() -> int:
        spools = read_spools(spool) if spool.is_dir() else []
        return sum(event.kind is Kind.ACK for each in spools for event in each.events)

    wait_until(lambda: acked() == jobs, 30, "all jobs are acked")
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert f"Recording into {spool}, at most 1MB." in err
    spools = read_spools(spool)
    assert {each.name for each in spools} == {f"worker-{each.pid}" for each in spools}
    assert all(each.closed and each.role == "worker" for each in spools)
    assert not any(each.lost or each.dropped or each.holes for each in spools)
    starts = [event for each in spools for event in each.events if event.kind is Kind.START]
    assert len(starts) == jobs
    assert all(event.fetched_ns for event in starts)
    assert used(spool) <= LEAST_BYTES


def test_a_program_that_sends_records_itself_by_one_import_and_drops_the_oldest(
    child: Child, shop: Path, tmp_path: Path
) -> None:
    (shop / "seller.py").write_text(SELLER)
    spool, sent = tmp_path / "spool", 5000
    spool.mkdir()
    (spool / "of others").write_bytes(bytes(700_000))
    process = child(
        *("seller", sent),
        PYTHONPATH=f"{shop}{os.pathsep}{Path(__file__).resolve().parents[2]}",
        PERFKIT_SPOOL=str(spool),
        PERFKIT_SPOOL_BUDGET="1MB",
        PERFKIT_NAME="seller",
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    [contents] = read_spools(spool)
    assert (contents.name, contents.role) == (f"seller-{contents.pid}", "producer")
    assert contents.closed
    assert contents.dropped > 0
    assert contents.dropped + len(contents.events) == sent
    assert used(spool) <= LEAST_BYTES


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "PERFKIT_SPOOL is not set; perfkit.recorder.on needs a folder"),
        ({"PERFKIT_SPOOL": "s", "PERFKIT_SPOOL_BUDGET": "much"}, "'much' is not a size"),
        ({"PERFKIT_SPOOL": "/dev/null/s"}, "PERFKIT_SPOOL: "),
        ({"PERFKIT_SPOOL": "s", "PERFKIT_BROKER": "shop:brokr"}, "did you mean broker?"),
    ],
)
def test_what_cant_be_recorded_stops_the_command_with_the_reason(
    child: Child, shop: Path, settings: dict[str, str], said: str
) -> None:
    process = child(
        *("dramatiq", "shop", "perfkit.recorder.on", "--path", shop, "--processes", 1), **settings
    )
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in err


def test_a_program_without_a_broker_is_told_how_to_name_it(child: Child, tmp_path: Path) -> None:
    process = child("perfkit.recorder.on", PERFKIT_SPOOL=str(tmp_path / "spool"))
    _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "name its broker: PERFKIT_BROKER=module:name" in err
    assert not (tmp_path / "spool").exists()
