"""Who holds jobs while others are idle, and what each resource did."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import frames
from perfkit.store import StoredRun
from tests.sealed import INSTANTS, SECOND, Row, Sketch, delivery, request, sample, seal

BEGIN, END = INSTANTS["window_start"], INSTANTS["window_end"]
POOL = {"pools": [{"name": "worker", "workers": 2, "threads": 1, "prefetch": 2}]}


def _job(seq: int, worker: str, fetched: float, started: float, acked: float) -> tuple[Row, Row]:
    """Seconds since the window began."""
    row = request(seq, BEGIN)
    stamps = {"enqueued_ns": 0.0, "fetched_ns": fetched, "started_ns": started}
    stamps |= {"finished_ns": acked, "acked_ns": acked}
    at = {name: BEGIN + round(second * SECOND) for name, second in stamps.items()}
    return row, delivery(row, worker=worker, **at)


def _run(folder: Path, *work: tuple[Row, Row], **facts: Any) -> StoredRun:
    known = {"settings": POOL} | facts
    return seal(folder, Sketch([row for row, _ in work], [job for _, job in work], facts=known))


def test_a_worker_hoards_while_another_is_idle(tmp_path: Path) -> None:
    # worker-1 runs one job for 4 s and holds a second one; worker-2 is busy for the first second.
    run = _run(
        tmp_path,
        _job(0, "worker-1", 0, 0, 4),
        _job(1, "worker-1", 0, 4, 5),
        _job(2, "worker-2", 0, 0, 1),
    )
    found = frames.held(run, 0)
    assert found.hoarded_share == pytest.approx(0.3, abs=0.001)
    assert found.hoarded == pytest.approx(0.3, abs=0.001)
    assert found.worst == "worker-1"
    # One thread idle for 4 s, two for 5 s, of 10.
    assert found.idle == pytest.approx(1.4, abs=0.01)
    assert found.waiting == 0


def test_nobody_hoards_what_all_are_busy_beside(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        _job(0, "worker-1", 0, 0, 5),
        _job(1, "worker-1", 0, 5, 10),
        _job(2, "worker-2", 0, 0, 10),
    )
    assert frames.held(run, 0).hoarded_share == 0
    assert frames.held(run, 0).worst == ""


def test_a_message_in_redis_waits_while_threads_are_idle(tmp_path: Path) -> None:
    run = _run(tmp_path, _job(0, "worker-1", 2, 2, 3))
    found = frames.held(run, 0)
    assert found.idle_while_waiting == pytest.approx(0.2, abs=0.001)
    assert found.waiting == pytest.approx(0.2, abs=0.001)


def test_where_workers_died_it_is_not_known_who_was_idle(tmp_path: Path) -> None:
    deaths = [{"name": "worker-1", "at_ns": BEGIN, "status": 9}]
    assert math.isnan(
        frames.held(_run(tmp_path, _job(0, "worker-1", 0, 0, 1), deaths=deaths), 0).idle
    )


def test_threads_are_busy_from_start_to_ack_and_a_dead_worker_runs_nothing(tmp_path: Path) -> None:
    row, job = _job(1, "worker-2", 0, 0, 9)
    running = job | {"finished_ns": None, "acked_ns": None, "outcome": "running"}
    deaths = [{"name": "worker-2", "at_ns": BEGIN + 3 * SECOND, "status": 9}]
    run = _run(tmp_path, _job(0, "worker-1", 0, 1, 5), (row, running), deaths=deaths)
    table = frames.busy(run, 0).set_index("resource")
    assert table.loc["worker threads", "busy_ns"] == (4 + 3) * SECOND
    assert table.loc["worker threads", "units"] == 2
    assert table.loc["worker threads", "jobs"] == 1


def test_cpu_is_that_of_each_role_and_no_more_than_the_host_has(tmp_path: Path) -> None:
    names = ("ingest-1", "worker-1", "worker-2", "worker-3", "redis", "generator")
    readings = [
        sample(at, "process.cpu_ns", at * share * 1e9, name)
        for at in (0.0, 12.0)
        for name, share in zip(names, (0.5, 0.2, 0.2, 0.2, 0.1, 0.3), strict=True)
    ]
    row = request(0)
    facts = {"settings": {"pools": [{"name": "worker", "workers": 3, "threads": 2}]}}
    sketch = Sketch([row], [delivery(row)], samples=readings, facts=facts)
    table = frames.busy(seal(tmp_path, sketch), 0).set_index("resource")
    assert table.loc["worker CPU", "units"] == 2  # the host has two
    assert table.loc["worker CPU", "busy_ns"] == pytest.approx(6 * SECOND)
    assert table.loc["ingest CPU", "busy_ns"] == pytest.approx(5 * SECOND)
    assert table.loc["Redis CPU", "busy_ns"] == pytest.approx(SECOND)
    assert table.index[-1] == "generator CPU"
    assert "gateway wait" not in table.index
