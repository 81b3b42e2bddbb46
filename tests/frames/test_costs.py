"""What processes used, from cumulative counters."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfkit import frames
from perfkit.frames.costs import core_loop_ns
from tests.sealed import MS, SECOND, Sketch, delivery, request, sample, seal


def _counter(metric: str, subject: str, per_s: float, until_s: int = 16) -> list[dict[str, object]]:
    return [sample(second, metric, per_s * second, subject) for second in range(until_s)]


def _sketch() -> Sketch:
    rows = [request(seq) for seq in range(4)]
    return Sketch(
        rows,
        [delivery(row) for row in rows],
        [
            *_counter("process.cpu_ns", "worker-1", 0.5e9),
            *_counter("process.run_queue_wait_ns", "worker-1", 0.1e9),
            *_counter("redis.cpu_ns", "", 0.02e9),
            *_counter("host.cpu_busy_ns", "", 1.2e9),
            sample(5, "process.rss_anon_bytes", 7e6, "worker-1"),
            sample(6, "process.rss_anon_bytes", 9e6, "worker-1"),
            sample(14, "process.rss_anon_bytes", 99e6, "worker-1"),  # after the window
            sample(5, "redis.memory_bytes", 3e6),
        ],
    )


def test_shares_are_over_the_window(tmp_path: Path) -> None:
    found = frames.resources(seal(tmp_path, _sketch()), 0).set_index("process")
    assert found.index.tolist() == ["redis", "worker-1", "host"]
    worker = found.loc["worker-1"]
    assert worker["role"] == "worker"
    assert worker["cpu_share"] == pytest.approx(0.5)
    assert worker["run_queue_wait_share"] == pytest.approx(0.1)
    assert worker["cpu_ms_per_job"] == pytest.approx(5000 / 4)
    assert worker["rss_anon_max_bytes"] == 9e6
    assert found.loc["redis", "cpu_share"] == pytest.approx(0.02)
    assert found.loc["redis", "rss_anon_max_bytes"] == 3e6
    assert found.loc["host", "cpu_share"] == pytest.approx(1.2)
    assert math.isnan(found["run_queue_wait_share"]["host"])


def test_a_process_that_dies_in_the_window_uses_nothing_after(tmp_path: Path) -> None:
    samples = _counter("process.cpu_ns", "worker-1", 1e9, until_s=7)  # the window begins at 1 s
    found = frames.resources(seal(tmp_path, Sketch(samples=samples)), 0)
    assert found["cpu_share"].tolist() == pytest.approx([0.5])
    assert found["cpu_ms_per_job"].isna().all()


def test_a_restarted_process_counts_on(tmp_path: Path) -> None:
    values = [0, 1e9, 2e9, 0.5e9, 1.5e9]  # reset between 3 s and 4 s
    samples = [sample(k + 1, "process.cpu_ns", v, "worker-1") for k, v in enumerate(values)]
    found = frames.resources(seal(tmp_path, Sketch(samples=samples)), 0)
    assert found["cpu_share"].tolist() == pytest.approx([0.35])


def test_a_role_is_as_recorded_or_the_name_up_to_the_dash(tmp_path: Path) -> None:
    samples = [
        *_counter("process.cpu_ns", "payments-1", 1e9),
        *_counter("process.cpu_ns", "ingest-1", 1e9),
        *_counter("process.cpu_ns", "gateway", 1e9),
    ]
    processes = {"payments-1": {"pid": 7, "role": "worker", "pool": "payments"}}
    run = seal(tmp_path, Sketch(samples=samples, facts={"processes": processes}))
    roles = frames.resources(run, 0).set_index("process")["role"]
    assert roles.to_dict() == {"gateway": "gateway", "ingest-1": "ingest", "payments-1": "worker"}


def test_the_timeline_is_the_slope_of_the_counter(tmp_path: Path) -> None:
    found = frames.resource_timeline(seal(tmp_path, _sketch()), 0)
    worker = found[found["process"] == "worker-1"]
    assert worker["at_s"].tolist() == [float(second) for second in range(1, 16)]
    assert worker["cpu_share"].tolist() == pytest.approx([0.5] * 15)
    assert worker["role"].eq("worker").all()
    assert set(found["role"]) == {"worker", "redis", "host"}


def test_a_long_timeline_is_thinned_without_losing_cpu(tmp_path: Path) -> None:
    samples = [sample(k / 100, "process.cpu_ns", k * 1e7, "worker-1") for k in range(1501)]
    found = frames.resource_timeline(seal(tmp_path, Sketch(samples=samples)), 0)
    assert 300 < len(found) <= 600
    assert found["cpu_share"].tolist() == pytest.approx([1.0] * len(found))


def test_without_samples_there_is_nothing_to_show(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    assert frames.resources(run, 0).empty
    names = ["at_s", "process", "role", "cpu_share"]
    assert frames.resource_timeline(run, 0).columns.tolist() == names
    assert math.isnan(frames.host_use(run, 0).busy)


def test_what_a_role_costs_is_by_what_it_does(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(8)]
    rows[6], rows[7] = request(6, status=503), request(7, 22 * SECOND)  # after the window
    subjects = ("generator", "ingest-1", "worker-1")
    samples = [each for name in subjects for each in _counter("process.cpu_ns", name, 0.1e9)]
    run = seal(tmp_path, Sketch(rows, [delivery(row) for row in rows[:2]], samples))
    found = frames.resources(run, 0).set_index("process")["cpu_ms_per_job"]
    assert found["generator"] == pytest.approx(1000 / 7)  # sent
    assert found["ingest-1"] == pytest.approx(1000 / 6)  # accepted
    assert found["worker-1"] == pytest.approx(1000 / 2)  # done


def test_the_host_is_used_in_shares_of_all_its_cores(tmp_path: Path) -> None:
    samples = [*_counter("host.cpu_busy_ns", "", 1.2e9), *_counter("host.cpu_steal_ns", "", 0.1e9)]
    found = frames.host_use(seal(tmp_path, Sketch(samples=samples)), 0)
    assert found == pytest.approx((2, 0.6, 0.05))


def test_slot_use_is_the_time_that_jobs_ran_in_the_window(tmp_path: Path) -> None:
    row = request(0, 12 * SECOND)
    before = request(1, 10 * SECOND + 500 * MS)
    jobs = [
        delivery(row, started_ns=13 * SECOND, finished_ns=15 * SECOND, acked_ns=15 * SECOND),
        delivery(before, started_ns=10 * SECOND, finished_ns=13 * SECOND, acked_ns=13 * SECOND),
        delivery(before, started_ns=17 * SECOND, finished_ns=None, acked_ns=None),
    ]
    run = seal(tmp_path, Sketch([row, before], jobs))
    assert frames.slot_use(run, 0) == pytest.approx((2 + 2 + 4) / (4 * 10))


def _loops(core: str, loop_ns: float) -> list[dict[str, object]]:
    return [
        *_counter("host.loops", core, 50),
        *_counter("host.loop_cpu_ns", core, 50 * loop_ns),
    ]


def test_the_loop_costs_what_it_does_on_each_core_alike(tmp_path: Path) -> None:
    samples = [*_loops("cpu0", 100_000), *_loops("cpu1", 300_000)]
    assert core_loop_ns(seal(tmp_path, Sketch(samples=samples)), 0) == pytest.approx(200_000)


def test_speed_that_was_not_measured_on_every_core_is_not_known(tmp_path: Path) -> None:
    begun = [sample(second, "host.loops", 7.0, "cpu1") for second in range(16)]
    still = [sample(second, "host.loop_cpu_ns", 7e5, "cpu1") for second in range(16)]
    samples = [*_loops("cpu0", 100_000), *begun, *still]
    assert math.isnan(core_loop_ns(seal(tmp_path, Sketch(samples=samples)), 0))


def test_a_run_whose_speed_was_not_measured_has_no_figure_of_it(tmp_path: Path) -> None:
    assert math.isnan(core_loop_ns(seal(tmp_path, _sketch()), 0))
