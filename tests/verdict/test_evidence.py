"""A loss is explained by what is recorded of it, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from perfkit.store import StoredRun
from perfkit.verdict.evidence import evidence
from tests.sealed import MS, SECOND, Row, Sketch, delivery, left, request, sample, seal, waiting

ROW = request(0)
FAILED = delivery(ROW, outcome="failed")
CUT = delivery(ROW, finished_ns=None, acked_ns=None, outcome="running")
DIED = 14 * SECOND


def _fault(action: str, target: str, at_ns: int = DIED, **given: Any) -> Row:
    fault = {"action": action, "target": target, "at_ns": at_ns, "done_ns": at_ns}
    return fault | {"ended_ns": None, "victim": None, "done": True, "error": None} | given


def _config(**given: str) -> dict[str, Any]:
    return {"stack": {"redis": {"config": {"appendonly": "no", "save": ""} | given}}}


def _told(run: StoredRun) -> str:
    row = verdict.accounts(run, 0).iloc[0]
    return row["class"] + (f": {row['mechanism']}" if isinstance(row["mechanism"], str) else "")


RESTART = {"faults": [_fault("restart", "redis", ended_ns=15 * SECOND)]}
AOF = {"appendonly": "yes", "appendfsync": "everysec"}
EARLY = waiting(ROW)  # enqueued 2 s before Redis dies
LATE = waiting(ROW, enqueued_ns=DIED - SECOND, enqueue_done_ns=DIED - SECOND)
AFTER = waiting(ROW, enqueued_ns=DIED + SECOND, enqueue_done_ns=DIED + SECOND)
SAVED = [sample(3.5, "redis.unsaved_changes", 9), sample(3.9, "redis.unsaved_changes", 0)]
UNSAVED = [sample(1, "redis.unsaved_changes", 0), sample(3.9, "redis.unsaved_changes", 9)]
NOTHING = "lost: Redis died, and keeps nothing on a disk"
UNSYNCED = "lost: Redis died before its append-only file was on the disk"


@pytest.mark.parametrize(
    ("config", "jobs", "samples", "expected"),
    [
        ({}, [EARLY], [], NOTHING),
        ({}, [AFTER], [], "unexplained"),
        ({}, [CUT], [], NOTHING),
        ({}, [], [], NOTHING),  # nobody recorded it, but it was accepted
        (AOF, [LATE], [], UNSYNCED),
        (AOF, [waiting(ROW, enqueued_ns=DIED - 3 * SECOND)], [], "unexplained"),
        (AOF | {"appendfsync": "always"}, [LATE], [], "unexplained"),
        ({"save": "60 1"}, [EARLY], UNSAVED, "lost: Redis died before it had saved what it held"),
        ({"save": "60 1"}, [EARLY], SAVED, "unexplained"),
    ],
)
def test_a_death_of_redis_explains_what_it_had_not_kept(
    tmp_path: Path, config: dict[str, str], jobs: list[Row], samples: list[Row], expected: str
) -> None:
    facts = RESTART | _config(**config)
    assert _told(seal(tmp_path, Sketch([ROW], jobs, samples, facts=facts))) == expected


def test_a_server_that_is_younger_than_before_was_restarted(tmp_path: Path) -> None:
    uptime = [sample(3.8, "redis.uptime_s", 30), sample(5, "redis.uptime_s", 0)]
    assert _told(seal(tmp_path, Sketch([ROW], [EARLY], uptime, facts=_config()))) == NOTHING


def test_where_nobody_says_what_redis_keeps_its_death_is_what_is_told(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch([ROW], [EARLY], facts=RESTART))
    assert _told(run) == "lost: Redis died after it was enqueued"


@pytest.mark.parametrize(
    ("at_s", "expected"), [(3, "lost: evicted by Redis"), (1.5, "unexplained")]
)
def test_only_an_eviction_that_came_later_took_it(
    tmp_path: Path, at_s: float, expected: str
) -> None:
    rising = [sample(1, "redis.evicted", 0), sample(at_s, "redis.evicted", 3)]
    rising.append(sample(9, "redis.evicted", 3))
    assert _told(seal(tmp_path, Sketch([ROW], [waiting(ROW)], rising))) == expected


def test_a_body_whose_list_was_evicted_says_so(tmp_path: Path) -> None:
    rising = [sample(1, "redis.evicted", 0), sample(3, "redis.evicted", 3)]
    sketch = Sketch([ROW], [waiting(ROW)], rising, leftovers=[left(ROW, "nowhere")])
    assert _told(seal(tmp_path, sketch)) == "lost: Redis evicted the list that held its id"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (_fault("cut", "worker-redis", 12 * SECOND, ended_ns=13 * SECOND), "lost"),
        (_fault("pause", "redis", 12 * SECOND, ended_ns=13 * SECOND), "lost"),
        # Not between worker and Redis, or long over, or not done: no reason to lose a retry.
        (_fault("cut", "ingest-redis", 12 * SECOND, ended_ns=13 * SECOND), "unexplained"),
        (_fault("cut", "worker-redis", 11 * SECOND, ended_ns=12 * SECOND), "unexplained"),
        (_fault("cut", "worker-redis", 12 * SECOND, done_ns=None), "unexplained"),
    ],
)
def test_a_retry_is_lost_where_redis_could_not_be_reached(
    tmp_path: Path, fault: Row, expected: str
) -> None:
    run = seal(tmp_path, Sketch([ROW], [FAILED], facts={"faults": [fault]}))
    assert _told(run).partition(":")[0] == expected
    if expected == "lost":
        assert "its retry could not be enqueued" in _told(run)
    else:
        assert verdict.judge(run).status == "INVALID"


def test_a_server_that_did_not_answer_the_sampler_kept_the_retry_out(tmp_path: Path) -> None:
    up = [sample(1, "redis.up", 1), sample(2, "redis.up", 0), sample(3, "redis.up", 1)]
    assert _told(seal(tmp_path, Sketch([ROW], [FAILED], up))).startswith("lost: its retry")


def test_what_was_put_aside_is_stranded_by_a_lost_connection(tmp_path: Path) -> None:
    aside = left(ROW, "acks", owner="worker-1", owner_alive=True, redis_message_id="delayed")
    sketch = Sketch([ROW], [FAILED], leftovers=[aside])
    assert _told(seal(tmp_path / "held", sketch)) == "stranded: held by a worker that lived"
    sketch.facts = {"faults": [_fault("cut", "worker-redis", ended_ns=15 * SECOND)]}
    told = _told(seal(tmp_path / "cut", sketch))
    assert told == "stranded: put aside by a worker that then lost its connection"


def test_a_message_that_cannot_be_decoded_strands_what_came_with_it(tmp_path: Path) -> None:
    held = {"owner": "worker-1", "owner_alive": True}
    spoiler = left(ROW, "acks", job_id="bad", redis_message_id="bad", **held)
    sketch = Sketch([ROW], [waiting(ROW)], leftovers=[left(ROW, "acks", **held), spoiler])
    told = _told(seal(tmp_path, sketch))
    assert told == "stranded: fetched together with a message that cannot be decoded"


def test_where_redis_may_have_forgotten_it_an_errored_job_stays_ambiguous(tmp_path: Path) -> None:
    rows = [request(0), request(1, status=None)]
    sketch = Sketch(rows, [delivery(rows[0])])
    assert verdict.accounting(seal(tmp_path / "kept", sketch)).ambiguous == 0
    sketch.facts = RESTART | _config()
    assert verdict.accounting(seal(tmp_path / "forgotten", sketch)).ambiguous == 1


def test_every_row_has_its_class_and_what_proves_it(tmp_path: Path) -> None:
    rows = [request(0), request(1, status=503), request(2, status=None), request(3)]
    child = delivery(request(9), job_id="child", redis_message_id="child")
    jobs = [delivery(rows[0]), waiting(rows[3]), child]
    held = left(rows[3], "list")
    table = verdict.accounts(seal(tmp_path, Sketch(rows, jobs, leftovers=[held])), 0)
    assert list(table["class"]) == ["done", "refused", "absent", "pending", "spawned"]
    assert list(table["seq"].fillna(-1)) == [0, 1, 2, 3, -1]
    assert table["place"].tolist()[3] == "list"
    assert table["starts"].tolist() == [1, 0, 0, 0, 1]
    assert table["written_ns"][3] == rows[3]["intended_ns"] + 2 * MS


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    row = request(0, queue="it's; drop table jobs")
    death = {"deaths": [{"name": "worker-'1'", "at_ns": 13 * SECOND, "status": -9}]}
    run = seal(tmp_path, Sketch([row], [delivery(row)], facts=death))
    assert verdict.accounting(run).done == 1
    assert "drop table" not in evidence(run, 0)
