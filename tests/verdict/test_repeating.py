"""Why an attempt ran again, and what that cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from tests.sealed import SECOND, Row, Sketch, call, delivery, request, seal

ROW = request(0)
AT = ROW["intended_ns"]
CUT = delivery(ROW, finished_ns=None, acked_ns=None, outcome="running")


def _later(at_ns: int, **given: Any) -> Row:
    names = ("fetched_ns", "started_ns", "finished_ns", "acked_ns")
    times = {name: at_ns + place for place, name in enumerate(names)}
    return delivery(ROW, delivery=2, worker="worker-2", **times | given)


AGAIN = _later(16 * SECOND)


def _fault(action: str, target: str, **given: Any) -> Row:
    fault = {"action": action, "target": target, "at_ns": 13 * SECOND, "done_ns": 13 * SECOND}
    return fault | {"ended_ns": 15 * SECOND, "victim": None, "done": True, "error": None} | given


SHORT = {"settings": {"heartbeat_timeout_ns": 2 * SECOND, "pools": []}}
DEATH = {"deaths": [{"name": "worker-1", "at_ns": 13 * SECOND, "status": -9}]}
STOP = _fault("stop", "worker", victim="worker-1 (pid 7)")
RESTART = {"faults": [_fault("restart", "redis")]}
TOLD = {"name": "worker-1", "pool": "worker", "started_ns": 1, "ready_ns": 2, "ended_ns": None}


@pytest.mark.parametrize(
    ("facts", "jobs", "cause"),
    [
        (DEATH, [CUT, AGAIN], "its worker died before it was acknowledged"),
        (
            SHORT | {"faults": [STOP]},
            [delivery(ROW, finished_ns=17 * SECOND, acked_ns=17 * SECOND), AGAIN],
            "its worker was silent for longer than its heartbeat timeout",
        ),
        # After it woke up it ran again what it had fetched ahead: now it is the second.
        (
            SHORT | {"faults": [_fault("stop", "worker", victim="worker-2 (pid 8)")]},
            [delivery(ROW), AGAIN],
            "its worker was silent for longer than its heartbeat timeout",
        ),
        (RESTART, [delivery(ROW), AGAIN], "Redis died, and came back without the acknowledgement"),
        (
            {"worker_lives": [TOLD | {"stop_ns": 13 * SECOND}]},
            [CUT, AGAIN],
            "its worker was told to stop before it was done",
        ),
        ({}, [CUT, AGAIN], "Redis took its worker for dead, but it lived"),
        ({}, [delivery(ROW), AGAIN], "no cause is known"),
        (
            {"faults": [_fault("cut", "worker-redis")]},
            [delivery(ROW), AGAIN | {"redis_message_id": "twin"}],
            "its enqueue was sent again when no answer came",
        ),
        (
            SHORT | {"faults": [STOP]},
            [delivery(ROW), AGAIN | {"redis_message_id": "twin"}],
            "a silent worker had put it aside, and another was given it: it was enqueued twice",
        ),
        (
            DEATH,
            [delivery(ROW), AGAIN | {"redis_message_id": "twin"}],
            "a worker died between moving it on and saying so: it was enqueued twice",
        ),
    ],
)
def test_a_repetition_names_its_cause(
    tmp_path: Path, facts: dict[str, Any], jobs: list[Row], cause: str
) -> None:
    run = seal(tmp_path, Sketch([ROW], jobs, facts=facts))
    assert verdict.accounting(run).duplicated == 1
    assert verdict.accounting(run).causes == {cause: 1}
    assert verdict.accounts(run, 0)["cause"].tolist() == [cause]


def test_a_repetition_that_the_ledger_stopped_is_counted(tmp_path: Path) -> None:
    # The second execution found the charge in the ledger, and called nobody.
    run = seal(tmp_path / "ledger", Sketch([ROW], [CUT, AGAIN], calls=[call(ROW)], facts=DEATH))
    assert verdict.accounting(run).charges_stopped == 1
    assert verdict.accounting(run).double_charges == 0
    # Or the worker died before the entry, and the gateway knew the key.
    known = call(ROW, charged=False, received_ns=AGAIN["started_ns"], answered_ns=17 * SECOND)
    again = AGAIN | {"finished_ns": 18 * SECOND, "acked_ns": 18 * SECOND}
    sketch = Sketch([ROW], [CUT, again], calls=[call(ROW), known], facts=DEATH)
    assert verdict.accounting(seal(tmp_path / "gateway", sketch)).charges_stopped == 1


def test_one_execution_stops_nothing(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch([ROW], [delivery(ROW)], calls=[call(ROW)]))
    assert verdict.accounting(run).charges_stopped == 0


@pytest.mark.parametrize(("entries", "holds"), [(0, True), (1, True), (2, False)])
def test_a_charge_whose_worker_died_may_not_be_in_the_ledger_yet(
    tmp_path: Path, entries: int, holds: bool
) -> None:
    facts = DEATH | {"ledger": {"entries": entries}}
    run = seal(tmp_path, Sketch([ROW], [CUT], calls=[call(ROW)], facts=facts))
    answered, ledger, *_ = verdict.accounting(run).counters
    assert (answered.count, answered.must_equal, answered.explained) == (1, 0, 1)
    assert answered.holds
    assert ledger.holds == holds
    assert ledger.explained == (entries == 0)


def test_an_attempt_that_failed_after_its_answer_is_explained(tmp_path: Path) -> None:
    failed = delivery(ROW, outcome="failed", error="ConnectionError")
    run = seal(tmp_path / "during", Sketch([ROW], [failed], calls=[call(ROW)]))
    assert verdict.accounting(run).counters[0].holds
    # A good call that nobody can have made in that attempt is not.
    stray = call(ROW, received_ns=AT + SECOND, answered_ns=AT + 2 * SECOND)
    run = seal(tmp_path / "later", Sketch([ROW], [failed], calls=[stray]))
    assert not verdict.accounting(run).counters[0].holds
