"""What is known of a trial while it runs, under the names of thresholds."""

from __future__ import annotations

import pytest

from perfkit.runner.figures import LiveFigures
from perfkit.scenario import TELEMETRY
from perfkit.telemetry import Snapshot

GIB = 2.0**30
S = 1_000_000_000
ROLES = {"worker-1": "worker", "worker-2": "worker", "ingest-1": "ingest", "redis": "redis"}
Values = dict[tuple[str, str], float]


def snapshot(
    values: Values, cores: dict[str, float] | None = None, tick: int = 1, at_ns: int = S
) -> Snapshot:
    return Snapshot(at_ns=at_ns, tick=tick, values=values, cpu_cores=cores or {})


def live() -> LiveFigures:
    return LiveFigures(memory_bytes=round(8 * GIB), cpus=2)


def figures(values: Values, cores: dict[str, float] | None = None) -> dict[str, float]:
    return live().of({}, snapshot(values, cores), ROLES)


def test_before_the_first_tick_there_are_the_generators_counts_alone() -> None:
    said = {"planned": 5, "sent": 4, "dropped": 1, "errors": 0, "lag_ms": 0.2}
    assert live().of(said, None, ROLES) == {"planned": 5, "sent": 4, "dropped": 1, "errors": 0}
    assert live().of({}, None, ROLES) == {}


def test_done_is_what_was_sent_and_is_nowhere_any_more() -> None:
    values = {("queue.waiting", "a"): 3.0, ("queue.in_flight", "a"): 2.0}
    assert live().of({"sent": 20}, snapshot(values), ROLES)["done"] == 15


def test_queues_are_told_apart_and_added_up_and_the_oldest_job_is_that_of_all() -> None:
    values = {
        ("queue.waiting", "a"): 3.0,
        ("queue.in_flight", "a"): 2.0,
        ("queue.delayed", "a"): 1.0,
        ("queue.waiting", "b"): 10.0,
        ("queue.in_flight", "b"): 0.0,
        ("queue.delayed", "b"): 0.0,
        ("queue.oldest_age_ns", "a"): 7e9,
        ("queue.oldest_age_ns", "b"): 2e9,
    }
    found = figures(values)
    assert (found["queue.waiting:a"], found["queue.waiting"]) == (3, 13)
    assert (found["queue.backlog:a"], found["queue.backlog:b"], found["queue.backlog"]) == (
        6,
        10,
        16,
    )
    assert (found["queue.age:b"], found["queue.age"]) == (2e9, 7e9)


def test_the_used_ratio_is_of_maxmemory_where_there_is_one_and_else_of_the_host() -> None:
    limited = {("redis.memory_bytes", ""): GIB, ("redis.memory_limit_bytes", ""): 4 * GIB}
    assert figures(limited)["redis.memory.used_ratio"] == 0.25
    assert figures(limited)["redis.memory"] == GIB
    limited["redis.memory_limit_bytes", ""] = 0.0
    assert figures(limited)["redis.memory.used_ratio"] == 0.125


def test_of_several_servers_memory_is_added_up_and_the_fullest_counts() -> None:
    values = {
        ("redis.memory_bytes", "a"): GIB,
        ("redis.memory_limit_bytes", "a"): 2 * GIB,
        ("redis.memory_bytes", "b"): GIB,
        ("redis.memory_limit_bytes", "b"): 4 * GIB,
        ("redis.round_trip_ns", "a"): 5e5,
        ("redis.round_trip_ns", "b"): 7e5,
    }
    found = figures(values)
    assert (found["redis.memory"], found["redis.memory:a"]) == (2 * GIB, GIB)
    assert found["redis.memory.used_ratio"] == found["redis.memory.used_ratio:a"] == 0.5
    assert (found["redis.round_trip"], found["redis.round_trip:a"]) == (7e5, 5e5)
    unlimited = values | {("redis.memory_limit_bytes", "b"): 0.0}
    assert figures(unlimited)["redis.memory.used_ratio"] == 0.25  # of the host's, together


def test_cpu_is_the_mean_over_the_processes_of_a_role_and_memory_their_sum() -> None:
    values = {("process.rss_anon_bytes", name): 100.0 for name in ROLES}
    cores = {"worker-1": 0.2, "worker-2": 0.6, "ingest-1": 0.3, "generator": 0.1, "redis": 0.5}
    roles = ROLES | {"generator": "generator"}
    found = live().of({}, snapshot(values, cores), roles)
    assert found["workers.cpu"] == pytest.approx(0.4)
    assert (found["ingest.cpu"], found["generator.cpu"], found["redis.cpu"]) == (0.3, 0.1, 0.5)
    assert found["workers.memory"] == 200


def test_the_hosts_cpu_is_what_was_used_since_the_tick_before() -> None:
    maker = live()
    first = maker.of({}, snapshot({("host.cpu_busy_ns", ""): 5e9}), ROLES)
    assert "host.cpu" not in first
    second = snapshot({("host.cpu_busy_ns", ""): 6.5e9}, tick=2, at_ns=2 * S)
    assert maker.of({}, second, ROLES)["host.cpu"] == pytest.approx(0.75)
    assert maker.of({}, second, ROLES)["host.cpu"] == pytest.approx(0.75)  # looked at twice


def test_a_server_that_perfkit_did_not_start_is_known_by_what_it_says_of_itself() -> None:
    maker = live()
    maker.of({}, snapshot({("redis.cpu_ns", ""): 1e9}), {})
    found = maker.of({}, snapshot({("redis.cpu_ns", ""): 1.2e9}, tick=2, at_ns=2 * S), {})
    assert found["redis.cpu"] == pytest.approx(0.2)


def test_every_metric_that_can_abort_a_trial_has_its_figure() -> None:
    queues = ("waiting", "in_flight", "delayed", "dead", "stalled", "oldest_age_ns")
    server = ("memory_bytes", "memory_limit_bytes", "clients", "evicted", "round_trip_ns")
    values: Values = {
        **{(f"queue.{part}", "a"): 1.0 for part in queues},
        **{(f"redis.{part}", ""): 1.0 for part in server},
        ("host.cpu_busy_ns", ""): 1.0,
        ("process.rss_anon_bytes", "worker-1"): 1.0,
    }
    cores = dict.fromkeys(ROLES, 0.5) | {"generator": 0.1}
    maker, roles = live(), ROLES | {"generator": "generator"}
    maker.of({}, snapshot(values, cores), roles)
    found = maker.of({}, snapshot(values, cores, tick=2, at_ns=2 * S), roles)
    assert set(found) >= TELEMETRY


def test_of_several_load_generators_the_busiest_is_told() -> None:
    roles = {"generator-1": "generator", "generator-2": "generator"} | ROLES
    cores = {"generator-1": 0.2, "generator-2": 0.9, "worker-1": 0.2, "worker-2": 0.9}
    found = live().of({}, snapshot({}, cores), roles)
    assert found["generator.cpu"] == 0.9
    assert found["workers.cpu"] == pytest.approx(0.55)
