"""What a fault cost, when it was over, and how that is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from perfkit.store import StoredRun
from perfkit.verdict.recovering import clear_of
from tests.sealed import MS, SECOND, Row, Sketch, delivery, left, request, seal

START = 10 * SECOND
KILLED = 15 * SECOND  # 5 s after the start of load, 4 s into the window
BACK = 17 * SECOND


def fault(action: str = "kill", target: str = "worker", **given: Any) -> Row:
    row = {
        "action": action,
        "target": target,
        "at_ns": KILLED,
        "done_ns": KILLED,
        "ended_ns": None,
        "victim": "worker-2 (pid 4711)" if target == "worker" else None,
        "done": True,
        "error": None,
    }
    return row | given


def _at(row: Row, worker: str, fetched_ns: int, **given: Any) -> Row:
    times = {
        "fetched_ns": fetched_ns,
        "started_ns": fetched_ns + MS,
        "finished_ns": fetched_ns + 41 * MS,
        "acked_ns": fetched_ns + 42 * MS,
    }
    return delivery(row, worker=worker, **times | given)


def killed() -> Sketch:
    """Ten jobs a second; worker-2 dies with one running and two ahead, that come back at 17 s."""
    requests = [request(seq, START + seq * 100 * MS) for seq in range(110)]
    jobs = []
    for seq, row in enumerate(requests):
        if seq in (48, 49):  # fetched ahead by the one that dies
            jobs.append(_at(row, "worker-1", BACK))
        elif seq == 47:
            jobs.append(_at(row, "worker-2", row["intended_ns"] + 5 * MS,
                            finished_ns=None, acked_ns=None, outcome="running"))  # fmt: skip
            jobs.append(_at(row, "worker-1", BACK + 10 * MS, delivery=2))
        else:
            jobs.append(_at(row, "worker-1", row["intended_ns"] + 5 * MS))
    facts = {
        "faults": [fault()],
        "deaths": [{"name": "worker-2", "at_ns": KILLED + 2 * MS, "status": -9}],
        "settings": {"heartbeat_timeout_ns": 2 * SECOND, "pools": []},
    }
    return Sketch(requests, jobs, facts=facts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return seal(tmp_path_factory.mktemp("killed"), killed())


def test_a_kill_costs_what_its_worker_had_running_and_ahead(run: StoredRun) -> None:
    (row,) = verdict.recovery(run).to_dict("records")
    assert (row["at_s"], row["done_s"]) == (5.0, 5.0)
    assert math.isnan(row["ended_s"])
    assert row["redelivered"] == 3
    assert row["time_to_first_redelivery_s"] == pytest.approx(2.001)
    assert row["duplicated"] == 1
    assert (row["lost"], row["stranded"], row["dead"]) == (0, 0, 0)
    assert row["ingest_availability"] == 1.0


def test_latency_is_told_before_and_during_and_after(run: StoredRun) -> None:
    (row,) = verdict.recovery(run).to_dict("records")
    assert row["p99_before_ns"] == pytest.approx(46 * MS)
    # What the fault met while it was under way is of the time during.
    assert row["p99_during_ns"] > 2 * SECOND
    assert row["p99_after_ns"] == pytest.approx(46 * MS)


def test_what_a_worker_kept_is_no_backlog_and_yet_all_is_calm_only_after_it(run: StoredRun) -> None:
    (found,) = verdict.recoveries(run, 0)
    assert found.backlog_recovered_s == 0.0
    assert found.calm_ns == BACK + 11 * MS
    assert clear_of(run, 0, 11 * SECOND, 21 * SECOND) == [
        (11 * SECOND, KILLED),
        (found.calm_ns, 21 * SECOND),
    ]


def test_the_backlog_is_back_when_as_few_wait_as_before(tmp_path: Path) -> None:
    sketch = killed()
    for row in sketch.jobs:
        seq = int(row["job_id"].removeprefix("job-"))
        if 50 <= seq < 70:  # all that comes in two seconds starts a second late
            for name in ("fetched_ns", "started_ns", "finished_ns", "acked_ns"):
                row[name] += SECOND
    (row,) = verdict.recovery(seal(tmp_path, sketch)).to_dict("records")
    assert row["backlog_recovered_s"] == pytest.approx(3.0, abs=0.2)


def test_what_redis_forgot_waits_for_nothing(tmp_path: Path) -> None:
    sketch = killed()
    forgotten = ("fetched_ns", "started_ns", "finished_ns", "acked_ns")
    for row in sketch.jobs:
        if row["job_id"] in ("job-48", "job-49"):
            row |= dict.fromkeys(forgotten) | {"outcome": "enqueued", "delivery": 0}
    config = {"stack": {"redis": {"config": {"appendonly": "no", "save": ""}}}}
    restart = fault("restart", "redis", ended_ns=16 * SECOND)
    sketch.facts = {**sketch.facts, **config, "faults": [restart], "deaths": []}
    (row,) = verdict.recovery(seal(tmp_path, sketch)).to_dict("records")
    assert row["lost"] == 2
    assert row["backlog_recovered_s"] == 0.0


def test_a_faulted_trial_says_first_what_broke_and_what_it_cost(run: StoredRun) -> None:
    judged = verdict.judge(run)
    assert judged.status == "PASS"
    cost = "3 jobs redelivered after 2.00 s, 0 lost, 1 ran twice; P99 rose from 46.0 ms to"
    assert judged.reasons[0].startswith(f"worker-2 was killed at 4 s: {cost}")
    assert verdict.headline(run).lines[0].startswith("worker-2 was killed at 4 s")


def test_the_one_that_ran_twice_names_its_cause(run: StoredRun) -> None:
    counted = verdict.accounting(run)
    assert counted.causes == {"its worker died before it was acknowledged": 1}
    assert counted.stalled_max == 3
    table = verdict.accounts(run, 0).set_index("job_id")
    assert table.loc["job-47", "cause"] == "its worker died before it was acknowledged"
    assert bool(table.loc["job-47", "redelivered"])


def test_a_planned_fault_alone_saturates_nothing(tmp_path: Path) -> None:
    # All that comes after the fault waits and is never done: that is the fault's doing.
    sketch = killed()
    sketch.jobs = [row for row in sketch.jobs if row["started_ns"] < KILLED]
    known = {row["job_id"] for row in sketch.jobs}
    sketch.jobs = [
        *sketch.jobs,
        *(
            delivery(row, outcome="enqueued", delivery=0, worker=None,
                     **dict.fromkeys(("fetched_ns", "started_ns", "finished_ns", "acked_ns")))
            for row in sketch.requests
            if row["job_id"] not in known
        ),
    ]  # fmt: skip
    sketch.leftovers = [left(row, "list") for row in sketch.requests if row["job_id"] not in known]
    held = next(row for row in sketch.requests if row["seq"] == 47)
    sketch.leftovers.append(left(held, "acks", owner="worker-2", owner_alive=False))
    broken = seal(tmp_path / "faulted", sketch)
    state = verdict.saturation(broken, 0)
    assert state.state == "undecided"
    assert "did not come back after a fault" in state.reasons[0]
    assert math.isinf(verdict.recovery(broken)["backlog_recovered_s"].item())
    assert verdict.accounting(broken).stranded == 1
    sketch.facts = {**sketch.facts, "faults": []}
    assert verdict.saturation(seal(tmp_path / "unplanned", sketch), 0).state == "saturated"


def test_growth_before_the_fault_still_saturates(tmp_path: Path) -> None:
    sketch = killed()
    for row in sketch.jobs:
        seq = int(row["job_id"].removeprefix("job-"))
        if 8 <= seq < 46:
            for name in ("fetched_ns", "started_ns", "finished_ns", "acked_ns"):
                row[name] += 6 * SECOND
    state = verdict.saturation(seal(tmp_path, sketch), 0)
    assert state.state == "saturated"
    assert "the backlog grew" in state.reasons[0]


def test_a_fault_that_was_not_done_says_why_and_has_no_figures(tmp_path: Path) -> None:
    sketch = killed()
    sketch.facts = {
        **sketch.facts,
        "faults": [fault(done_ns=None, victim=None, done=False, error="no worker lives")],
    }
    run = seal(tmp_path, sketch)
    (row,) = verdict.recovery(run).to_dict("records")
    assert math.isnan(row["redelivered"])
    assert row["error"] == "no worker lives"
    assert verdict.judge(run).reasons[0] == "kill worker at 4 s was not done: no worker lives"


def test_the_ingest_is_available_for_those_it_accepted(tmp_path: Path) -> None:
    sketch = killed()
    down = fault("restart", "ingest", ended_ns=16 * SECOND)
    sketch.facts = {**sketch.facts, "faults": [down], "deaths": []}
    for row in sketch.requests:
        if KILLED <= row["intended_ns"] < KILLED + SECOND // 2:
            row |= {"status": None, "error": "refused"}
    sketch.jobs = [
        row for row in sketch.jobs if not 50 <= int(row["job_id"].removeprefix("job-")) < 55
    ]
    (row,) = verdict.recovery(seal(tmp_path, sketch)).to_dict("records")
    assert row["ended_s"] == 6.0
    assert row["ingest_availability"] < 1.0


def test_a_run_without_faults_has_no_rows(tmp_path: Path) -> None:
    row = request(0)
    table = verdict.recovery(seal(tmp_path, Sketch([row], [delivery(row)])))
    assert table.empty
    assert table["p99_during_ns"].dtype == "float64"
