"""Messages that wait for recovery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfkit import frames
from tests.sealed import SECOND, Sketch, delivery, left, request, seal

ROW = request(0)
CUT = delivery(ROW, finished_ns=None, acked_ns=None, outcome="running")
DEATH = {"deaths": [{"name": "worker-1", "at_ns": 13 * SECOND, "status": -9}]}
SHORT = {"settings": {"heartbeat_timeout_ns": 2 * SECOND, "pools": []}}


def _steps(folder: Path, sketch: Sketch) -> list[tuple[float, int]]:
    table = frames.stalled(seal(folder, sketch), 0)
    assert set(table["queue"]) <= {"payments"}
    return list(zip(table["at_s"], table["stalled"], strict=True))


def _fault(action: str, target: str, **given: Any) -> dict[str, Any]:
    at = 12 * SECOND + 20_000_000
    fault = {"action": action, "target": target, "at_ns": at, "done_ns": at, "ended_ns": None}
    return fault | {"victim": None, "done": True, "error": None} | given


def test_without_deaths_nothing_is_stalled(tmp_path: Path) -> None:
    assert _steps(tmp_path, Sketch([ROW], [delivery(ROW)])) == [(0.0, 0), (15.0, 0)]


def test_what_a_dead_worker_had_started_waits_until_it_starts_elsewhere(tmp_path: Path) -> None:
    again = delivery(
        ROW,
        delivery=2,
        worker="worker-2",
        fetched_ns=16 * SECOND,
        started_ns=16 * SECOND,
        finished_ns=17 * SECOND,
        acked_ns=17 * SECOND,
    )
    steps = _steps(tmp_path, Sketch([ROW], [CUT, again], facts=DEATH))
    assert steps == [(0.0, 0), (3.0, 1), (6.0, 0), (15.0, 0)]


def test_what_comes_back_nowhere_waits_to_the_end(tmp_path: Path) -> None:
    held = left(ROW, "acks", owner="worker-1", owner_alive=False)
    steps = _steps(tmp_path, Sketch([ROW], [CUT], leftovers=[held], facts=DEATH))
    assert steps == [(0.0, 0), (3.0, 1), (15.0, 1)]


def test_what_a_dead_worker_had_fetched_ahead_counts_too(tmp_path: Path) -> None:
    held = left(ROW, "acks", owner="worker-1", owner_alive=False)
    run = seal(tmp_path, Sketch([ROW], [], leftovers=[held], facts=DEATH))
    assert frames.stalled_most(run, 0) == 1


def test_an_ack_of_which_only_the_record_is_missing_is_none(tmp_path: Path) -> None:
    unsaid = delivery(ROW, acked_ns=None)
    assert _steps(tmp_path, Sketch([ROW], [unsaid], facts=DEATH)) == [(0.0, 0), (15.0, 0)]


def test_a_silent_worker_stalls_its_jobs_after_its_heartbeat_timeout(tmp_path: Path) -> None:
    stop = _fault("stop", "worker", victim="worker-1 (pid 7)", ended_ns=17 * SECOND)
    late = delivery(ROW, finished_ns=18 * SECOND, acked_ns=18 * SECOND)
    steps = _steps(tmp_path / "long", Sketch([ROW], [late], facts={"faults": [stop]} | SHORT))
    assert steps == [(0.0, 0), (4.02, 1), (7.0, 0), (15.0, 0)]
    stop["ended_ns"] = 13 * SECOND
    steps = _steps(tmp_path / "short", Sketch([ROW], [late], facts={"faults": [stop]} | SHORT))
    assert steps == [(0.0, 0), (15.0, 0)]


def test_what_a_living_worker_dropped_with_its_connection_waits_to_the_end(tmp_path: Path) -> None:
    failed = delivery(ROW, outcome="failed")
    aside = left(ROW, "acks", owner="worker-1", owner_alive=True, redis_message_id="delayed")
    cut = _fault("cut", "worker-redis", ended_ns=14 * SECOND)
    sketch = Sketch([ROW], [failed], leftovers=[aside], facts={"faults": [cut]})
    assert _steps(tmp_path / "cut", sketch) == [(0.0, 0), (4.0, 1), (15.0, 1)]
    sketch.facts = {}
    assert _steps(tmp_path / "held", sketch) == [(0.0, 0), (15.0, 0)]


def test_redis_forgets_who_held_what_when_it_dies(tmp_path: Path) -> None:
    held = left(ROW, "acks", owner="worker-1", owner_alive=False)
    config = {"stack": {"redis": {"config": {"appendonly": "no", "save": ""}}}}
    died = {"deaths": [*DEATH["deaths"], {"name": "redis", "at_ns": 15 * SECOND, "status": -9}]}
    steps = _steps(tmp_path, Sketch([ROW], [CUT], leftovers=[held], facts=config | died))
    assert steps == [(0.0, 0), (3.0, 1), (5.0, 0), (15.0, 0)]
