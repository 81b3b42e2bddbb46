"""Telemetry as series that mean one thing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit import frames
from perfkit.frames import Gauge
from perfkit.scenario import TELEMETRY
from tests.sealed import INSTANTS, MS, Row, Sketch, sample, seal

WINDOW = ((INSTANTS["window_start"], INSTANTS["window_end"]),)
PROCESSES = {
    "worker-1": {"role": "worker"},
    "worker-2": {"role": "worker"},
    "ingest-1": {"role": "ingest"},
}


def gauge(
    folder: Path, metric: str, samples: list[Row], queue: str | None = None, **manifest: Any
) -> Gauge:
    run = seal(folder, Sketch(samples=samples, facts={"processes": PROCESSES}), **manifest)
    return frames.gauge(run, 0, metric, queue=queue, spans=WINDOW)


def queues(metric: str, *ticks: tuple[float, float, float]) -> Iterator[Row]:
    for at_s, payments, webhooks in ticks:
        yield sample(at_s, metric, payments, "payments")
        yield sample(at_s, metric, webhooks, "webhooks")


def test_every_telemetry_metric_has_a_gauge(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    for metric in TELEMETRY:
        assert len(frames.gauge(run, 0, metric, spans=WINDOW).values) == 0, metric
    with pytest.raises(ValueError, match="known are"):
        frames.gauge(run, 0, "latency", spans=WINDOW)


def test_only_what_was_read_in_the_window_counts(tmp_path: Path) -> None:
    rows = [*queues("queue.waiting", (0.9, 9, 9), (1.0, 1, 2), (10.9, 3, 4), (11.0, 9, 9))]
    found = gauge(tmp_path, "queue.waiting", rows)
    assert found.values.tolist() == [3, 7]
    assert found.at_s.tolist() == pytest.approx([1.0, 10.9])


def test_the_backlog_is_the_sum_over_places_and_queues_at_the_same_tick(tmp_path: Path) -> None:
    rows = [
        *queues("queue.waiting", (2, 10, 1), (3, 0, 50)),
        *queues("queue.in_flight", (2, 5, 2), (3, 0, 3)),
        *queues("queue.delayed", (2, 1, 1), (3, 0, 0)),
        sample(4, "queue.waiting", 1000, "payments"),  # half a tick says nothing of the whole
    ]
    assert gauge(tmp_path / "all", "queue.backlog", rows).values.tolist() == [20, 53]
    assert gauge(tmp_path / "one", "queue.backlog", rows[:-1], "payments").values.tolist() == [
        16,
        0,
    ]


def test_readings_of_one_tick_belong_together_although_their_stamps_differ(tmp_path: Path) -> None:
    rows = [
        sample(2.00, "sampler.lag_ns", 0),
        sample(2.01, "queue.waiting", 10, "payments"),
        sample(2.02, "queue.waiting", 1, "webhooks"),
        sample(2.20, "sampler.lag_ns", 0),
        sample(2.21, "queue.waiting", 20, "payments"),
        sample(2.23, "queue.waiting", 2, "webhooks"),
    ]
    found = gauge(tmp_path, "queue.waiting", rows)
    assert found.values.tolist() == [11, 22]
    assert found.at_s.tolist() == pytest.approx([2.0, 2.2])


def test_the_age_is_that_of_the_oldest_in_any_queue(tmp_path: Path) -> None:
    rows = [*queues("queue.oldest_age_ns", (2, 5 * MS, 9 * MS), (3, 0, 0))]
    assert gauge(tmp_path, "queue.age", rows).values.tolist() == [9 * MS, 0]


def test_used_memory_is_a_share_of_the_limit_where_there_is_one(tmp_path: Path) -> None:
    rows = [
        sample(2, "redis.memory_bytes", 30.0),
        sample(2, "redis.memory_limit_bytes", 40.0),
        sample(3, "redis.memory_bytes", 20.0),
        sample(3, "redis.memory_limit_bytes", 40.0),
    ]
    found = gauge(tmp_path, "redis.memory.used_ratio", rows)
    assert found.values.tolist() == [0.75, 0.5]
    assert found.note == "of Redis' maxmemory"


def test_used_memory_is_a_share_of_the_machine_where_there_is_no_limit(tmp_path: Path) -> None:
    rows = [sample(2, "redis.memory_bytes", 30.0), sample(2, "redis.memory_limit_bytes", 0.0)]
    found = gauge(tmp_path / "known", "redis.memory.used_ratio", rows, host={"memory_bytes": 120})
    assert found.values.tolist() == [0.25]
    assert found.note == "of the machine's memory: Redis has no maxmemory"
    unknown = gauge(tmp_path / "unknown", "redis.memory.used_ratio", rows)
    assert len(unknown.values) == 0
    assert "not known" in unknown.note


def test_of_several_servers_memory_adds_up_and_the_fullest_is_told(tmp_path: Path) -> None:
    rows = [
        sample(2, metric, value, queue)
        for queue, used, limit in (("payments", 10.0, 100.0), ("webhooks", 30.0, 40.0))
        for metric, value in (("redis.memory_bytes", used), ("redis.memory_limit_bytes", limit))
    ]
    assert gauge(tmp_path / "sum", "redis.memory", rows).values.tolist() == [40.0]
    assert gauge(tmp_path / "own", "redis.memory", rows, "payments").values.tolist() == [10.0]
    assert gauge(tmp_path / "most", "redis.memory.used_ratio", rows).values.tolist() == [0.75]


def test_evictions_are_their_growth_in_the_window_also_over_a_restart(tmp_path: Path) -> None:
    counts = ((0.5, 3.0), (1.5, 10.0), (2.5, 14.0), (3.5, 2.0), (4.5, 5.0), (12.0, 99.0))
    rows = [sample(at_s, "redis.evicted", count) for at_s, count in counts]
    assert gauge(tmp_path, "redis.evicted", rows).values.tolist() == [0, 4, 6, 9]


def cpu(name: str, *readings: tuple[float, float]) -> list[Row]:
    return [sample(at_s, "process.cpu_ns", used_s * 1e9, name) for at_s, used_s in readings]


def test_cpu_is_the_mean_of_the_processes_of_a_role_in_shares_of_a_core(tmp_path: Path) -> None:
    rows = [
        *cpu("worker-1", (2, 0.0), (3, 0.5), (4, 1.5)),
        *cpu("worker-2", (2, 7.0), (3, 7.1), (4, 7.1)),
        *cpu("ingest-1", (2, 0.0), (3, 0.25), (4, 0.5)),
    ]
    found = gauge(tmp_path / "workers", "workers.cpu", rows)
    assert found.values.tolist() == pytest.approx([0.3, 0.5])
    assert found.at_s.tolist() == [3.0, 4.0]
    assert gauge(tmp_path / "ingest", "ingest.cpu", rows).values.tolist() == pytest.approx(
        [0.25] * 2
    )


def test_the_time_a_process_was_away_is_nobodys(tmp_path: Path) -> None:
    rows = [
        *cpu("worker-1", (2, 0.0), (3, 1.0), (4, 2.0), (5, 3.0), (6, 4.0)),
        *cpu("worker-2", (2, 0.0), (3, 1.0), (5, 1.0), (6, 2.0)),
    ]
    found = gauge(tmp_path, "workers.cpu", rows)
    assert found.values.tolist() == pytest.approx([1.0] * 4)
    assert np.average(found.values, weights=found.weights) == pytest.approx(1.0)
    assert found.weights.sum() == pytest.approx(6e9)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 40), st.integers(0, 40)),
        min_size=1,
        max_size=8,
    )
)
def test_the_weighted_mean_is_total_cpu_by_total_process_time(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    at, first, second = [1.5], [0.0], [3.0]
    for lasted, one, two in steps:
        at.append(at[-1] + lasted / 100)
        first.append(first[-1] + one / 100)
        second.append(second[-1] + two / 100)
    rows = [
        *cpu("worker-1", *zip(at, first, strict=True)),
        *cpu("worker-2", *zip(at, second, strict=True)),
    ]
    found = gauge(tmp_path_factory.mktemp("cpu"), "workers.cpu", rows)
    total = first[-1] - first[0] + second[-1] - second[0]
    assert np.average(found.values, weights=found.weights) == pytest.approx(
        total / (2 * (at[-1] - at[0])), rel=1e-6
    )


def test_a_redis_of_somebody_else_is_known_by_what_it_says_of_itself(tmp_path: Path) -> None:
    rows = [sample(at_s, "redis.cpu_ns", used) for at_s, used in ((2, 0.0), (3, 0.4e9), (4, 0.1e9))]
    # Restarted in between: what it used since is what it says.
    assert gauge(tmp_path, "redis.cpu", rows).values.tolist() == pytest.approx([0.4, 0.1])


def test_the_hosts_cpu_is_a_share_of_all_its_cores(tmp_path: Path) -> None:
    rows = [sample(at_s, "host.cpu_busy_ns", used) for at_s, used in ((2, 0.0), (3, 1.5e9))]
    assert gauge(tmp_path, "host.cpu", rows, host={"cpus": 2}).values.tolist() == [0.75]


def test_the_memory_of_workers_is_the_sum_of_who_is_there(tmp_path: Path) -> None:
    rows = [
        sample(2, "process.rss_anon_bytes", 10.0, "worker-1"),
        sample(2, "process.rss_anon_bytes", 20.0, "worker-2"),
        sample(2, "process.rss_anon_bytes", 99.0, "ingest-1"),
        sample(3, "process.rss_anon_bytes", 11.0, "worker-1"),
    ]
    assert gauge(tmp_path, "workers.memory", rows).values.tolist() == [30.0, 11.0]


def test_round_trips_are_values_of_their_own(tmp_path: Path) -> None:
    rows = [sample(at_s, "redis.round_trip_ns", at_s * MS) for at_s in (2.0, 3.0)]
    found = gauge(tmp_path, "redis.round_trip", rows)
    assert found.values.tolist() == [2 * MS, 3 * MS]
    assert found.note == ""
    assert not math.isnan(found.at_s[0])
