"""One row per trial."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfkit import frames
from tests.sealed import MS, SECOND, Sketch, delivery, request, sample, seal, waiting


def _sketch(done: int, undone: int, workers: int, **facts: object) -> Sketch:
    rows = [request(seq, 12 * SECOND + seq * MS) for seq in range(done + undone)]
    jobs = [delivery(row) for row in rows[:done]] + [waiting(row) for row in rows[done:]]
    pools = [{"name": "worker", "workers": workers, "threads": 4}]
    cpu = [sample(k, "process.cpu_ns", 1e8 * k, f"worker-{w + 1}")
           for w in range(workers) for k in (0, 15)]  # fmt: skip
    return Sketch(
        rows,
        jobs,
        cpu,
        facts={"settings": {"pools": pools}, "axes": {"stack.workers": workers}} | facts,
    )


def test_each_trial_has_its_load_throughput_latency_and_cost(tmp_path: Path) -> None:
    found = frames.trials(seal(tmp_path, _sketch(30, 10, 1), _sketch(40, 0, 2)))
    assert found["throughput_per_s"].tolist() == [3.0, 4.0]
    assert found["done_share"].tolist() == [0.75, 1.0]
    assert found["p50_ns"].tolist() == [41.0 * MS] * 2
    assert found["p99_ns"].tolist() == [math.inf, 41.0 * MS]
    assert found["backlog_end"].tolist() == [10, 0]
    assert found["workers"].tolist() == [1, 2]
    assert found["slots"].tolist() == [4, 8]
    assert found["n"].tolist() == [40, 40]
    assert found["offered_per_s"].tolist() == [10.0, 10.0]
    assert found["due_per_s"].tolist() == [4.0, 4.0]
    assert found["workers_cpu_ms_per_job"].tolist() == pytest.approx([1000 / 30, 2000 / 40])
    assert found["ingest_cpu_ms_per_job"].isna().all()
    assert found["send_lag_p99_ns"].tolist() == [1.0 * MS] * 2


def test_efficiency_is_relative_to_the_fewest_workers_of_the_scenario(tmp_path: Path) -> None:
    other = {"scenario": "other"}
    found = frames.trials(
        seal(
            tmp_path,
            _sketch(30, 0, 1),
            _sketch(45, 0, 2),
            _sketch(60, 0, 2, **other),
            _sketch(60, 0, 4, **other),
        )
    )
    assert found["efficiency"].tolist() == pytest.approx([1, 0.75, 1, 0.5])


def test_efficiency_is_relative_to_trials_that_differ_in_workers_alone(tmp_path: Path) -> None:
    def sketch(done: int, workers: int, preset: str, **facts: object) -> Sketch:
        axes = {"stack.workers": workers, "stack.preset": preset}
        return _sketch(done, 0, workers, axes=axes, **facts)

    found = frames.trials(
        seal(
            tmp_path,
            sketch(30, 1, "stock"),
            sketch(60, 2, "stock"),
            sketch(60, 1, "fast"),
            sketch(60, 2, "fast"),
            sketch(90, 1, "fast", outcome="partial"),
        )
    )
    assert found["efficiency"].tolist() == pytest.approx([1, 1, 1, 0.5, math.nan], nan_ok=True)


def test_one_worker_count_has_no_efficiency_as_there_is_nothing_to_compare(tmp_path: Path) -> None:
    found = frames.trials(seal(tmp_path, _sketch(30, 0, 2), _sketch(60, 0, 2)))
    assert found["efficiency"].isna().all()


def test_axes_have_their_short_names_unless_two_would_be_alike(tmp_path: Path) -> None:
    axes = {"stack.prefetch": 8, "gateway.payments.errors": 0.1, "gateway.webhooks.errors": 0.2}
    found = frames.trials(seal(tmp_path, _sketch(1, 0, 1, axes=axes)))
    assert found["prefetch"].tolist() == [8]
    assert found["gateway.payments.errors"].tolist() == [0.1]
    names = ["trial", "label", "title", "scenario", "repetition", "prefetch"]
    assert found.columns.tolist()[:6] == names


def test_a_trial_without_jobs_has_a_row(tmp_path: Path) -> None:
    row = frames.trials(seal(tmp_path, Sketch())).iloc[0]
    assert row["throughput_per_s"] == 0
    assert math.isnan(row["done_share"])
    assert math.isnan(row["p50_ns"])
    assert math.isnan(row["efficiency"])
    assert row["backlog_end"] == 0


def test_only_what_finished_in_the_window_is_throughput(tmp_path: Path) -> None:
    # Intended in warm-up, finished in the window: work that was done. And the other way round.
    early, late = request(0, 10 * SECOND), request(1, 20 * SECOND)
    jobs = [
        delivery(early, finished_ns=12 * SECOND),
        delivery(late, finished_ns=22 * SECOND),
    ]
    found = frames.trials(seal(tmp_path, Sketch([early, late], jobs))).iloc[0]
    assert found["throughput_per_s"] == 0.1
    assert found["done_share"] == 1.0
    assert found["p50_ns"] == 2 * SECOND


def test_a_table_that_somebody_changed_is_whole_for_the_next(tmp_path: Path) -> None:
    run = seal(tmp_path, _sketch(3, 1, 1))
    mine = frames.trials(run)
    mine.loc[0, "n"] = 99
    assert frames.trials(run)["n"].tolist() == [4]
