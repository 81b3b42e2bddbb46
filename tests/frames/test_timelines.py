"""A trial over time, against a slow oracle."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit import frames
from tests.frames import oracle
from tests.frames.histories import histories
from tests.sealed import INSTANTS, MS, SECOND, Sketch, delivery, request, sample, seal, waiting


def _slow(history: Any, step_ns: int) -> list[dict[str, float]]:
    requests, jobs, calls = history
    known = [(row, oracle.job(row, jobs, calls)) for row in requests]
    done = [(job["finished_ns"], job["latency_ns"]) for _, job in known if job["outcome"] == "done"]
    failed = [row["finished_ns"] for row in jobs if row["outcome"] in ("failed", "dead")]
    events = {
        "intended_per_s": [row["intended_ns"] for row in requests],
        "sent_per_s": [row["sent_ns"] for row in requests if row["sent_ns"] is not None],
        "accepted_per_s": [row["done_ns"] for row, job in known if job["accepted"]],
        "done_per_s": [at for at, _ in done],
        "failed_per_s": failed,
    }
    start, end = INSTANTS["load_start"], INSTANTS["drain_end"]
    last = max([end - 1, *(at for each in events.values() for at in each)])
    lines = []
    for step in range((last - start) // step_ns + 1):
        begins = start + step * step_ns
        inside = range(begins, begins + step_ns)
        width = (min(step_ns, end - begins) if begins < end else step_ns) / 1e9
        latencies = [latency for at, latency in done if at in inside]
        lines.append(
            {name: sum(at in inside for at in each) / width for name, each in events.items()}
            | {
                "at_s": step * step_ns / 1e9,
                "p50_ns": oracle.type7(latencies, 0.5),
                "p95_ns": oracle.type7(latencies, 0.95),
                "in_window": begins >= INSTANTS["window_start"]
                and begins + step_ns <= INSTANTS["window_end"],
            }
        )
    return lines


@settings(max_examples=15, deadline=None)
@given(history=histories(), step_ms=st.sampled_from([400, 1000, 1300]))
def test_the_timeline_agrees_with_the_oracle(history: Any, step_ms: int) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        found = frames.timeline(run, 0, step_ms * MS)
    expected = pd.DataFrame(_slow(history, step_ms * MS))[list(found.columns)]
    pd.testing.assert_frame_equal(found, expected)


def test_an_empty_trial_has_a_flat_timeline(tmp_path: Path) -> None:
    found = frames.timeline(seal(tmp_path, Sketch()), 0)
    assert len(found) == 15
    assert found["done_per_s"].eq(0).all()
    assert found["p50_ns"].isna().all()
    assert found["in_window"].sum() == 10


def test_a_step_must_be_a_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no step"):
        frames.timeline(seal(tmp_path, Sketch()), 0, 0)


def _queue(at_s: float, waiting_jobs: float) -> list[dict[str, Any]]:
    return [
        sample(at_s, "queue.waiting", waiting_jobs, "payments"),
        sample(at_s, "queue.in_flight", 2, "payments"),
        sample(at_s, "queue.oldest_age_ns", 5 * MS, "payments"),
    ]


def test_the_backlog_has_one_line_per_queue_and_tick(tmp_path: Path) -> None:
    samples = [*_queue(0.2, 3), *_queue(0.4, 7), sample(0.4, "queue.waiting", 1, "webhooks")]
    found = frames.backlog(seal(tmp_path, Sketch(samples=samples)), 0)
    assert found["queue"].tolist() == ["payments", "payments", "webhooks"]
    assert found["at_s"].tolist() == [0.2, 0.4, 0.4]
    assert found["waiting"].tolist() == [3, 7, 1]
    assert found["delayed"].isna().all()
    assert math.isnan(found["in_flight"][2])


def test_what_is_stalled_is_joined_from_the_same_tick_and_nothing_else(tmp_path: Path) -> None:
    samples = [
        *_queue(0.2, 3),
        sample(0.201, "queue.stalled", 4, "payments"),
        *_queue(0.4, 7),
        *_queue(2.0, 1),
        sample(2.001, "queue.stalled", 0, "payments"),
    ]
    found = frames.backlog(seal(tmp_path, Sketch(samples=samples)), 0)
    assert found["waiting"].tolist() == [3, 7, 1]
    assert found["stalled"].fillna(-1).tolist() == [4, -1, 0]


def test_a_long_backlog_keeps_its_peaks_in_six_hundred_points(tmp_path: Path) -> None:
    samples = [
        sample(k / 100, "queue.waiting", 1000 if k == 777 else k % 5, "payments")
        for k in range(2000)
    ]
    found = frames.backlog(seal(tmp_path, Sketch(samples=samples)), 0)
    assert 400 < len(found) <= 600
    assert found["waiting"].max() == 1000


def test_waiting_counts_messages_between_enqueueing_and_start(tmp_path: Path) -> None:
    ran, waits = request(0, 12 * SECOND), request(1, 15 * SECOND)
    jobs = [
        delivery(ran, enqueued_ns=12 * SECOND, started_ns=14 * SECOND),
        # Delivered again: it waited only until its first start.
        delivery(ran, enqueued_ns=12 * SECOND, started_ns=19 * SECOND, delivery=2),
        waiting(waits, enqueued_ns=15 * SECOND),
    ]
    found = frames.waiting(seal(tmp_path, Sketch([ran, waits], jobs)), 0, SECOND)
    assert found["at_s"].tolist() == [float(second) for second in range(1, 12)]
    assert found["waiting"].tolist() == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]
