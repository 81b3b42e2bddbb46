"""Whether requests went out in time, and whose making it was if not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from tests.sealed import MS, SECOND, Sketch, call, delivery, request, sample, seal

STARVED: dict[str, Any] = {
    "cpu_ns": 3 * SECOND,
    "wall_ns": 10 * SECOND,
    "run_queue_wait_ns": 2 * SECOND,
}
BUSY: dict[str, Any] = {"cpu_ns": 9800 * MS, "wall_ns": 10 * SECOND, "run_queue_wait_ns": SECOND}
IDLE: dict[str, Any] = {"cpu_ns": SECOND, "wall_ns": 10 * SECOND, "run_queue_wait_ns": 10 * MS}


def _sketch(lag_ns: int, late: int, of: int = 100, blocked_ns: int = 0, **generator: Any) -> Sketch:
    rows = []
    for seq in range(of):
        at = 12 * SECOND + seq * 20 * MS
        lag = lag_ns if seq < late else MS
        blocked = blocked_ns if seq < late else 0
        rows.append(request(seq, at, sent_ns=at + lag, blocked_ns=blocked, done_ns=at + lag + MS))
    jobs = [
        delivery(
            row,
            enqueued_ns=row["sent_ns"] + MS,
            fetched_ns=row["sent_ns"] + 2 * MS,
            started_ns=row["sent_ns"] + 3 * MS,
            finished_ns=row["sent_ns"] + 20 * MS,
            acked_ns=row["sent_ns"] + 21 * MS,
        )
        for row in rows
    ]
    return Sketch(rows, jobs, calls=[call(row) for row in rows], facts={"generator": generator})


def test_in_time_is_in_time(tmp_path: Path) -> None:
    found = verdict.lateness(seal(tmp_path, _sketch(MS, 0, **IDLE)), 0)
    assert found.broken is None
    assert found.reason is None
    assert not found.own_making
    assert found.late_share == 0


def test_more_than_one_percent_late_is_of_its_own_making(tmp_path: Path) -> None:
    run = seal(tmp_path, _sketch(15 * MS, 2, **IDLE))
    found = verdict.lateness(run, 0)
    assert found.late_share == 0.02
    assert found.own_making
    judged = verdict.judge(run)
    assert judged.status == "INVALID"
    assert "late sending of the generator's own making: 2.0 %" in judged.reasons[0]


def test_one_percent_late_is_allowed(tmp_path: Path) -> None:
    assert verdict.lateness(seal(tmp_path, _sketch(15 * MS, 1, **IDLE)), 0).broken is None


def test_a_p99_lag_above_the_limit_is_late(tmp_path: Path) -> None:
    found = verdict.lateness(seal(tmp_path, _sketch(6 * MS, 10, **IDLE)), 0)
    assert found.late_share == 0
    assert found.limit_ns == 2 * MS
    assert "P99 send lag is 6.00 ms, above 2.00 ms" in (found.reason or "")


def test_the_limit_grows_with_the_latency(tmp_path: Path) -> None:
    sketch = _sketch(6 * MS, 10, **IDLE)
    for row in sketch.jobs:
        row["finished_ns"] += SECOND
        row["acked_ns"] += SECOND
    found = verdict.lateness(seal(tmp_path, sketch), 0)
    assert found.limit_ns > 50 * MS
    assert found.broken is None


def test_time_spent_blocked_is_not_lateness(tmp_path: Path) -> None:
    run = seal(tmp_path, _sketch(500 * MS, 40, blocked_ns=499 * MS, **IDLE))
    assert verdict.lateness(run, 0).broken is None
    assert verdict.judge(run).status == "PASS"


def test_a_generator_without_its_core_was_starved_by_the_host(tmp_path: Path) -> None:
    run = seal(tmp_path, _sketch(15 * MS, 5, **STARVED))
    found = verdict.lateness(run, 0)
    assert found.broken is not None
    assert not found.own_making
    judged = verdict.judge(run)
    assert judged.status == "PASS"
    assert judged.trials[0].saturated
    assert judged.reasons[0].startswith(
        "SATURATED: the host was saturated: the generator was kept from its core; "
        "latency includes that"
    )
    # Nothing says that the system was at its limit.
    assert math.isnan(judged.trials[0].capacity_per_s)
    assert "capacity" not in judged.reasons[0]


def test_a_little_waiting_is_no_alibi(tmp_path: Path) -> None:
    waited: dict[str, Any] = IDLE | {"run_queue_wait_ns": 110 * MS}  # 1.1 %, as on every machine
    run = seal(tmp_path, _sketch(15 * MS, 2, **waited))
    assert verdict.lateness(run, 0).own_making
    assert verdict.judge(run).status == "INVALID"


def test_waiting_longer_than_running_and_than_what_was_late_is_evidence(tmp_path: Path) -> None:
    for waited_ms, blamed in ((600, False), (250, True)):  # of 10 s; it ran for 3 %, 5 % were late
        given = IDLE | {"cpu_ns": 300 * MS, "run_queue_wait_ns": waited_ms * MS}
        run = seal(tmp_path / str(waited_ms), _sketch(15 * MS, 5, **given))
        assert verdict.lateness(run, 0).own_making is blamed


@pytest.mark.parametrize(
    ("metric", "per_s"), [("host.cpu_busy_ns", 1.9e9), ("host.cpu_steal_ns", 0.15e9)]
)
def test_a_host_that_was_full_or_stolen_from_is_evidence(
    tmp_path: Path, metric: str, per_s: float
) -> None:
    for share, blamed in ((1.0, False), (0.5, True)):
        sketch = _sketch(15 * MS, 5, **IDLE)
        sketch.samples = [sample(k, metric, share * per_s * k) for k in range(16)]
        found = verdict.lateness(seal(tmp_path / str(share), sketch), 0)
        assert found.own_making is blamed


def test_a_generator_that_used_up_its_core_has_only_itself_to_blame(tmp_path: Path) -> None:
    assert verdict.lateness(seal(tmp_path, _sketch(15 * MS, 5, **BUSY)), 0).own_making


def test_without_counters_of_the_host_the_generator_is_to_blame(tmp_path: Path) -> None:
    found = verdict.lateness(seal(tmp_path, _sketch(15 * MS, 5)), 0)
    assert math.isnan(found.wait_share)
    assert found.own_making


def test_shards_share_the_work(tmp_path: Path) -> None:
    found = verdict.lateness(seal(tmp_path, _sketch(MS, 0, **BUSY, shards=2)), 0)
    assert found.cpu_share == 0.49


def test_a_trial_without_requests_is_not_late(tmp_path: Path) -> None:
    assert verdict.lateness(seal(tmp_path, Sketch()), 0).broken is None
