"""Whether a trial carried its load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from tests.sealed import MS, SECOND, Row, Sketch, call, delivery, dropped, left, request, seal


def queue_of(rate: float, service_ms: float, slots: int, *, until_s: float = 25.0) -> Sketch:
    """Constant arrivals into a next-free-server queue; what would start too late waits."""
    free = [10 * SECOND] * slots
    rows: list[Row] = []
    jobs: list[Row] = []
    leftovers: list[Row] = []
    gap = round(SECOND / rate)
    for seq, at in enumerate(range(10 * SECOND, 21 * SECOND, gap)):
        row = request(seq, at)
        rows.append(row)
        slot = min(range(slots), key=free.__getitem__)
        started = max(at + 6 * MS, free[slot])
        finished = started + round(service_ms * MS)
        if finished > until_s * SECOND:
            jobs.append(
                delivery(
                    row,
                    **dict.fromkeys(("fetched_ns", "started_ns", "finished_ns", "acked_ns")),
                    outcome="enqueued",
                    delivery=0,
                )
            )
            leftovers.append(left(row, "list"))
            continue
        free[slot] = finished + MS
        jobs.append(delivery(row, started_ns=started, finished_ns=finished, acked_ns=finished + MS))
    done = [row for row, job in zip(rows, jobs, strict=True) if job["outcome"] == "done"]
    return Sketch(
        rows, jobs, leftovers=leftovers, calls=[call(row) for row in done],
        facts={"offered_per_s": rate},
    )  # fmt: skip


def test_a_system_with_room_is_not_saturated(tmp_path: Path) -> None:
    found = verdict.saturation(seal(tmp_path, queue_of(40, 50, 4)), 0)
    assert not found.saturated
    assert found.reasons == ()
    assert math.isnan(found.capacity_per_s)
    assert found.throughput_per_s == pytest.approx(40, abs=0.5)


def test_a_growing_backlog_is_saturation_and_its_throughput_the_capacity(tmp_path: Path) -> None:
    run = seal(tmp_path, queue_of(120, 49, 4))
    found = verdict.saturation(run, 0)
    assert found.saturated
    assert found.capacity_per_s == pytest.approx(80, abs=1)
    assert found.trend is not None
    assert found.trend.point == pytest.approx(40, abs=2)
    assert "the backlog grew by" in found.reasons[0]


def test_a_backlog_that_the_drain_did_not_empty_is_saturation(tmp_path: Path) -> None:
    found = verdict.saturation(seal(tmp_path, queue_of(120, 49, 4, until_s=21.2)), 0)
    assert any("still waited when the drain ended" in each for each in found.reasons)


def test_a_few_left_over_jobs_are_no_saturation(tmp_path: Path) -> None:
    sketch = queue_of(40, 50, 4)
    stray = request(999)
    sketch.requests = [*sketch.requests, stray]
    sketch.leftovers = [left(stray, "list")]
    assert not verdict.saturation(seal(tmp_path, sketch), 0).saturated


def test_what_a_dead_worker_holds_is_not_waiting(tmp_path: Path) -> None:
    sketch = queue_of(40, 50, 4)
    held = [left(row, "acks", owner="w", owner_alive=False) for row in sketch.requests[:60]]
    sketch.leftovers = held
    assert not verdict.saturation(seal(tmp_path, sketch), 0).saturated


def test_a_full_in_flight_cap_is_saturation_and_never_invalid(tmp_path: Path) -> None:
    row = request(0)
    run = seal(tmp_path, Sketch([row, dropped(1)], [delivery(row)], calls=[call(row)]))
    found = verdict.saturation(run, 0)
    assert found.reasons == ("the in-flight cap filled: 1 of 2 requests were dropped",)
    assert verdict.judge(run).status == "PASS"


def test_an_empty_trial_is_not_saturated(tmp_path: Path) -> None:
    found = verdict.saturation(seal(tmp_path, Sketch()), 0)
    assert not found.saturated
    assert found.trend is None


def test_the_table_of_trials_says_which_are_saturated(tmp_path: Path) -> None:
    table = verdict.trials(seal(tmp_path, queue_of(40, 50, 4), queue_of(120, 49, 4)))
    assert table["saturated"].tolist() == [False, True]
    assert table["saturated"].dtype == "bool"
    names: list[Any] = table.columns.tolist()
    assert names.index("saturated") == names.index("backlog_end") + 1


def test_the_table_of_a_run_without_trials_has_the_column(tmp_path: Path) -> None:
    assert "saturated" in verdict.trials(seal(tmp_path, status="partial")).columns
