"""The last tick at a glance."""

from __future__ import annotations

import dataclasses

import pytest

from perfkit.telemetry.reading import Reading
from perfkit.telemetry.snapshot import SnapshotFold

_SECOND = 1_000_000_000


def _cpu(second: float, used_s: float, name: str = "worker-1") -> Reading:
    return Reading("process.cpu_ns", name, used_s * 1e9, int(second * _SECOND))


def test_queues_and_redis_are_read_by_name() -> None:
    snapshot = SnapshotFold().fold(
        5,
        [
            Reading("queue.waiting", "payments", 7.0, 5),
            Reading("queue.in_flight", "payments", 2.0, 5),
            Reading("queue.delayed", "payments", 1.0, 5),
            Reading("queue.waiting", "webhooks", 3.0, 5),
            Reading("queue.dead", "webhooks", 9.0, 5),
            Reading("redis.up", "", 1.0, 5),
            Reading("redis.ops_per_s", "", 450.0, 5),
        ],
    )
    assert snapshot.waiting == {"payments": 7, "webhooks": 3}
    assert snapshot.in_flight == {"payments": 2}
    assert snapshot.unfinished == 13
    assert snapshot.value("redis.ops_per_s") == 450
    assert (snapshot.at_ns, snapshot.tick) == (5, 1)


def test_what_was_not_read_is_absent_and_not_zero() -> None:
    snapshot = SnapshotFold().fold(5, [])
    assert snapshot.waiting == {}
    assert snapshot.unfinished is None
    assert snapshot.value("redis.ops_per_s") is None
    assert snapshot.cpu_cores == {}


def test_cpu_is_in_cores_over_about_two_seconds() -> None:
    fold = SnapshotFold()
    assert fold.fold(0, [_cpu(0, 10)]).cpu_cores == {}
    assert fold.fold(1, [_cpu(1, 10.5)]).cpu_cores == {"worker-1": 0.5}
    assert fold.fold(2, [_cpu(2, 11.5)]).cpu_cores == {"worker-1": 0.75}
    # From here on the first second is forgotten.
    assert fold.fold(3, [_cpu(3, 12.5)]).cpu_cores == {"worker-1": 1.0}


def test_a_process_that_is_gone_is_forgotten() -> None:
    fold = SnapshotFold()
    fold.fold(0, [_cpu(0, 1), _cpu(0, 5, "redis")])
    assert fold.fold(1, [_cpu(1, 2)]).cpu_cores == {"worker-1": 1.0}
    assert fold.fold(2, [_cpu(2, 2), _cpu(2, 5, "redis")]).cpu_cores == {"worker-1": 0.5}


def test_a_snapshot_can_not_be_changed() -> None:
    snapshot = SnapshotFold().fold(5, [])
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.tick = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.values["a", "b"] = 1.0  # type: ignore[index]
