"""Contributions that add up, demands, and a bottleneck that two signs must name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit import frames, verdict
from tests.sealed import INSTANTS, MS, SECOND, Row, Sketch, delivery, request, sample, seal

BEGIN = INSTANTS["window_start"]


def _load(count: int, service_ms: float, waits_ms: float) -> tuple[list[Row], list[Row]]:
    """Evenly spaced over the window of 10 s, each waiting and served as long."""
    rows = [request(seq, BEGIN + seq * 10 * SECOND // count) for seq in range(count)]
    jobs = []
    for row in rows:
        started = row["intended_ns"] + 2 * MS + round(waits_ms * MS)
        end = started + round(service_ms * MS)
        fetched = started - MS if waits_ms > 1 else started
        stamps = {"fetched_ns": fetched, "started_ns": started, "finished_ns": end}
        jobs.append(delivery(row, **stamps, acked_ns=end))
    return rows, jobs


def _sketch(rows: list[Row], jobs: list[Row], workers: int, **facts: Any) -> Sketch:
    pools = {"pools": [{"name": "worker", "workers": workers, "threads": 2}]}
    return Sketch(rows, jobs, facts={"settings": pools} | facts)


def test_full_threads_that_jobs_wait_for_are_the_bottleneck(tmp_path: Path) -> None:
    rows, jobs = _load(400, service_ms=48, waits_ms=300)
    found = verdict.bottleneck(seal(tmp_path, _sketch(rows, jobs, 1)), 0)
    assert found.resource is not None
    assert found.resource.name == "worker threads"
    assert found.resource.full
    assert found.resource.queued
    assert "12 jobs waited for 2 threads" in found.sentence


def test_full_threads_that_nobody_waits_for_are_not(tmp_path: Path) -> None:
    rows, jobs = _load(400, service_ms=48, waits_ms=0.5)
    found = verdict.bottleneck(seal(tmp_path, _sketch(rows, jobs, 1)), 0)
    assert found.resource is None
    assert "nothing piles up before it" in found.sentence


def test_a_queue_before_idle_threads_names_nothing(tmp_path: Path) -> None:
    rows, jobs = _load(400, service_ms=5, waits_ms=300)
    found = verdict.bottleneck(seal(tmp_path, _sketch(rows, jobs, 1)), 0)
    assert found.resource is None
    assert "although something waits before worker threads" in found.sentence


def test_a_full_cpu_goes_before_the_threads_that_wait_for_it(tmp_path: Path) -> None:
    rows, jobs = _load(400, service_ms=48, waits_ms=300)
    sketch = _sketch(rows, jobs, 1)
    sketch.samples = [sample(at, "process.cpu_ns", at * 0.97e9, "worker-1") for at in (0.0, 12.0)]
    found = verdict.bottleneck(seal(tmp_path, sketch), 0)
    assert found.resource is not None
    assert found.resource.name == "worker CPU"


def test_demand_is_busy_time_over_jobs_with_an_interval_between_repetitions(
    tmp_path: Path,
) -> None:
    services = (20, 22, 24)
    trials = [_sketch(*_load(400, each, 0.5), 1, label="a", repetition=place)
              for place, each in enumerate(services)]  # fmt: skip
    table = verdict.demands(seal(tmp_path, *trials)).set_index("resource")
    row = table.loc["worker threads"]
    # A job that ends after the window counts in part, and is not done in it.
    assert row["ms_per_job"] == pytest.approx(22, rel=0.01)
    assert row["low_ms"] < 22 < row["high_ms"]
    assert row["trials"] == 3
    assert row["utilisation"] == pytest.approx(400 * 0.022 / 20, rel=0.01)
    assert row["bound_per_s"] == pytest.approx(2 / 0.022, rel=0.01)


def _varied(seed: int, count: int = 1200) -> tuple[list[Row], list[Row]]:
    random = np.random.default_rng(seed)
    rows = [
        request(seq, BEGIN + seq * 8 * MS, queue=("payments", "webhooks")[seq % 2])
        for seq in range(count)
    ]
    jobs = []
    for row, wait, service in zip(
        rows, random.exponential(20e6, count), random.exponential(30e6, count), strict=True
    ):
        fetched = row["intended_ns"] + 3 * MS + int(wait)
        end = fetched + MS + int(service)
        stamps = {"fetched_ns": fetched, "started_ns": fetched + MS, "finished_ns": end}
        jobs.append(delivery(row, **stamps, acked_ns=end))
    return rows, jobs


def test_parts_of_each_trial_add_up_to_its_mean_and_percentiles(tmp_path: Path) -> None:
    run = seal(tmp_path, *(Sketch(*_varied(seed)) for seed in (1, 2)))
    parts = verdict.contributions_by_trial(run, by="queue")
    sums = parts.groupby(["trial", "queue", "statistic"])["ns"].sum(min_count=1)
    whole = frames.percentiles(run, by=("trial",)).set_index("trial")
    for trial in run.trials:
        for name in ("mean", "p50", "p99"):
            assert sums[trial, "all", name] == pytest.approx(whole.loc[trial, f"{name}_ns"])
    apart = frames.percentiles(run, by=("trial", "queue")).set_index(["trial", "queue"])
    assert sums[0, "webhooks", "p50"] == pytest.approx(apart.loc[(0, "webhooks"), "p50_ns"])
    # 600 jobs a queue: six near P99 are no evidence.
    assert np.isnan(sums[0, "webhooks", "p99"])


def test_repeated_trials_have_intervals_and_one_alone_says_why_not(tmp_path: Path) -> None:
    facts = [{"label": "a", "repetition": each} for each in range(3)] + [{"label": "b"}]
    sketches = [Sketch(*_varied(seed), facts=each) for seed, each in enumerate(facts)]
    found = verdict.contributions(seal(tmp_path, *sketches))
    repeated = found[(found["trial"] == 0) & (found["queue"] == "all")]
    assert repeated["trials"].eq(3).all()
    service = repeated[repeated["stage"] == "service"]
    assert (service["low_ns"] < service["ns"]).all()
    assert (service["ns"] < service["high_ns"]).all()
    for _, mine in found.groupby(["trial", "queue", "statistic"]):
        assert mine["ns"].sum(min_count=1) == pytest.approx(mine["total_ns"].iloc[0], nan_ok=True)
    alone = found[(found["trial"] == 3) & (found["statistic"] == "p50") & (found["queue"] == "all")]
    assert alone["low_ns"].isna().all()
    assert alone["note"].str.contains("2000 are needed").all()
