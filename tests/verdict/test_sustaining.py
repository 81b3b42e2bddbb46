"""Whether a trial carried its load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from tests.sealed import MS, SECOND, Row, Sketch, call, delivery, dropped, left, request, seal
from tests.sealed import waiting as unserved


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
    assert found.state == "carried"
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
    assert found.state == "idle"
    assert found.trend is None


def wavering(sketch: Sketch) -> Sketch:
    """The same load, the workers asleep in turns: the backlog swings, and may or may not grow."""
    for job in sketch.jobs:
        at = job["enqueued_ns"]
        wakes = (at // (4 * SECOND) + 1) * 4 * SECOND if at // (2 * SECOND) % 2 else at
        later = max(0, wakes - at)
        for name in ("fetched_ns", "started_ns", "finished_ns", "acked_ns"):
            job[name] += later
    return sketch


def test_where_growth_is_neither_shown_nor_ruled_out_nothing_is_decided(tmp_path: Path) -> None:
    run = seal(tmp_path, wavering(queue_of(40, 20, 8)))
    found = verdict.saturation(run, 0)
    assert found.trend is not None
    assert found.trend.low < 0.4
    assert found.trend.high > 2.0
    assert found.state == "undecided"
    assert not found.saturated
    assert "lengthen the window" in found.reasons[0]
    judged = verdict.judge(run)
    assert judged.status == "PASS"
    assert "lengthen the window" in judged.reasons[0]
    assert judged.trials[0].state == "undecided"


def test_a_trial_that_was_cut_short_has_no_state_of_its_own(tmp_path: Path) -> None:
    sketch = queue_of(120, 49, 4)
    sketch.facts = {"outcome": "partial"}
    found = verdict.saturation(seal(tmp_path, sketch), 0)
    assert found.state == "partial"
    assert not found.saturated


def _with_starving_queue(count: int, *, done: int = 0) -> Sketch:
    sketch = queue_of(100, 10, 4)
    rows = [
        request(10_000 + k, 11 * SECOND + k * 10 * SECOND // count, queue="rare")
        for k in range(count)
    ]
    sketch.requests = [*sketch.requests, *rows]
    sketch.jobs = [*sketch.jobs, *map(delivery, rows[:done]), *map(unserved, rows[done:])]
    sketch.leftovers = [left(row, "list") for row in rows[done:]]
    sketch.calls = [*sketch.calls, *map(call, rows[:done])]
    return sketch


def test_one_queue_that_is_never_served_is_seen_among_many_jobs_of_others(tmp_path: Path) -> None:
    found = verdict.saturation(seal(tmp_path, _with_starving_queue(10)), 0)
    assert found.saturated
    assert all("rare" in each for each in found.reasons)
    assert found.reasons[0].startswith("the backlog of rare grew by 1.00/s")
    assert found.reasons[1] == "10 of 10 jobs of rare (100 %) still waited when the drain ended"


def test_a_few_jobs_left_of_one_queue_are_no_saturation(tmp_path: Path) -> None:
    # 4 jobs are too few to speak of.
    found = verdict.saturation(seal(tmp_path, _with_starving_queue(40, done=36)), 0)
    assert not any("still waited" in each for each in found.reasons)


def test_the_table_of_trials_says_which_are_saturated(tmp_path: Path) -> None:
    table = verdict.trials(seal(tmp_path, queue_of(40, 50, 4), queue_of(120, 49, 4)))
    assert table["saturated"].tolist() == [False, True]
    assert table["saturated"].dtype == "bool"
    names: list[Any] = table.columns.tolist()
    place = names.index("backlog_end")
    assert names[place + 1 : place + 4] == ["saturated", "state", "status"]
    assert table["state"].tolist() == ["carried", "saturated"]
    assert table["status"].tolist() == ["PASS", "PASS"]


def _of_workers(rate: float, workers: int, *, preset: str = "stock") -> Sketch:
    sketch = queue_of(rate, 49, 4 * workers)
    sketch.facts = {
        "offered_per_s": rate,
        "label": f"workers={workers}, preset={preset}",
        "axes": {"stack.workers": workers, "stack.preset": preset},
        "settings": {"pools": [{"name": "worker", "workers": workers, "threads": 4}]},
    }
    return sketch


def test_efficiency_is_blank_where_the_load_was_the_limit(tmp_path: Path) -> None:
    run = seal(
        tmp_path,
        _of_workers(200, 1),
        _of_workers(200, 2),
        _of_workers(200, 3),
        _of_workers(40, 2, preset="fast"),
    )
    table = verdict.trials(run)
    assert table["state"].tolist() == ["saturated", "saturated", "carried", "carried"]
    # Three workers carried all there was; of the other preset there is nothing to compare with.
    assert table["efficiency"].tolist() == pytest.approx(
        [1, 1, math.nan, math.nan], abs=0.02, nan_ok=True
    )


def test_the_table_of_a_run_without_trials_has_the_column(tmp_path: Path) -> None:
    columns = verdict.trials(seal(tmp_path, status="partial")).columns
    assert {"saturated", "state", "status"} <= set(columns)
