"""Counters that know nothing of each other must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from perfkit.verdict.counters import disagreements
from tests.sealed import MS, SECOND, Sketch, call, delivery, dropped, left, request, seal

ROW = request(0)
DONE = delivery(ROW)
COUNTS = {"planned": 1, "sent": 1, "dropped": 0, "accepted": 1, "refused": 0, "errored": 0}


def _sound(**facts: Any) -> Sketch:
    return Sketch(
        [ROW],
        [DONE],
        calls=[call(ROW)],
        facts={"generator": COUNTS, "ledger": {"entries": 1}} | facts,
    )


def test_a_sound_trial_has_no_disagreement(tmp_path: Path) -> None:
    run = seal(tmp_path, _sound())
    assert disagreements(run, 0) == []
    assert verdict.judge(run).status == "PASS"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"jobs": [delivery(ROW, fetched_ns=ROW["intended_ns"])]}, "fetched before"),
        ({"jobs": [delivery(ROW, started_ns=ROW["intended_ns"] + 4 * MS)]}, "started before"),
        ({"jobs": [delivery(ROW, finished_ns=ROW["intended_ns"] + 5 * MS)]}, "finished before"),
        ({"jobs": [delivery(ROW, acked_ns=ROW["intended_ns"] + 40 * MS)]}, "acked before"),
        ({"jobs": [delivery(ROW, enqueued_ns=11 * SECOND)]}, "enqueued before they were intended"),
        ({"requests": [ROW | {"sent_ns": ROW["intended_ns"] - 1}]}, "sent before"),
        ({"requests": [ROW, ROW | {"seq": 1}]}, "share the id of another"),
        ({"requests": [dropped(0)]}, "that were never sent have jobs"),
        ({"facts": {"generator": COUNTS | {"planned": 2}}}, "the generator counted 2 planned"),
        ({"facts": {"recorder": {"lost": 3}}}, "the recorder lost 3 events"),
        ({"facts": {"recorder": {"corrupt": 2}}}, "2 events of the recorder are corrupt"),
        ({"calls": [call(ROW), call(ROW, charged=False)]}, "more calls than the recorder saw"),
        ({"calls": [call(ROW), call(request(5))]}, "more calls than the recorder saw"),
        ({"calls": [call(ROW, status=503)]}, "the gateway answered no call of theirs"),
        ({"facts": {"ledger": {"entries": 0}}}, "the ledger holds 0 charges, but 1 payments"),
        ({"facts": {"ledger": {"entries": 5}}}, "the ledger holds 5 charges, but the gateway"),
        ({"leftovers": [left(ROW, "list")]}, "recorded as acked, but Redis still held them"),
        ({"jobs": [delivery(ROW, outcome="dead")]}, "recorded as dead, but Redis did not hold"),
        ({"leftovers": [left(ROW, "dead")]}, "that the recorder never saw die"),
    ],
)
def test_each_disagreement_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    sketch = _sound()
    for name, value in change.items():
        setattr(sketch, name, {**sketch.facts, **value} if name == "facts" else value)
    found = disagreements(seal(tmp_path, sketch), 0)
    assert any(reason in each for each in found), found


def test_a_disagreement_makes_the_run_invalid(tmp_path: Path) -> None:
    run = seal(tmp_path, _sound(ledger={"entries": 5}))
    judged = verdict.judge(run)
    assert judged.status == "INVALID"
    assert judged.reasons[0] in disagreements(run, 0)


def test_a_payment_that_was_charged_twice_is_a_result_and_fails_the_trial(tmp_path: Path) -> None:
    again = delivery(ROW, delivery=2)
    sketch = Sketch([ROW], [DONE, again], calls=[call(ROW), call(ROW)])
    sketch.facts = {"ledger": {"entries": 1}}
    run = seal(tmp_path, sketch)
    assert disagreements(run, 0) == []
    assert verdict.accounting(run).double_charges == 1
    judged = verdict.judge(run)
    assert judged.status == "FAIL"
    assert judged.reasons[0] == "1 payments were charged more than once"


def test_a_retry_needs_no_more_than_one_good_call(tmp_path: Path) -> None:
    failed = delivery(ROW, outcome="failed")
    again = delivery(
        ROW,
        attempt=1,
        redis_message_id="again",
        **{
            name: DONE[name] + SECOND
            for name in ("enqueued_ns", "fetched_ns", "started_ns", "finished_ns", "acked_ns")
        },
    )
    bad = call(ROW, status=503, charged=False)
    run = seal(tmp_path, Sketch([ROW], [failed, again], calls=[bad, call(ROW, attempt=1)]))
    assert disagreements(run, 0) == []


def test_queues_that_call_nobody_are_not_asked_for_calls(tmp_path: Path) -> None:
    other = request(1, queue="resize")
    sketch = Sketch([ROW, other], [DONE, delivery(other)], calls=[call(ROW)])
    assert disagreements(seal(tmp_path, sketch), 0) == []


def test_a_worker_that_died_excuses_what_it_left_behind_and_no_more(tmp_path: Path) -> None:
    sketch = _sound(deaths=[{"name": "worker-1", "at_ns": 13 * SECOND, "status": -9}])
    sketch.leftovers = [left(ROW, "acks", owner="worker-1", owner_alive=False)]
    sketch.jobs = [delivery(ROW, acked_ns=None)]
    assert disagreements(seal(tmp_path / "unacked", sketch), 0) == []
    sketch.jobs = [DONE]
    (found,) = disagreements(seal(tmp_path / "acked", sketch), 0)
    assert found == "1 messages are recorded as acked, but Redis still held them"


def _fault(action: str, target: str, **given: Any) -> dict[str, Any]:
    at = 12 * SECOND + 20 * MS
    fault = {"action": action, "target": target, "at_ns": at, "done_ns": at, "ended_ns": None}
    return fault | {"victim": None, "done": True, "error": None} | given


def test_a_worker_that_was_silent_acks_without_effect(tmp_path: Path) -> None:
    fault = _fault("stop", "worker", victim="worker-1 (pid 7)", ended_ns=16 * SECOND)
    late = delivery(ROW, finished_ns=16 * SECOND, acked_ns=16 * SECOND)
    sketch = _sound(faults=[fault], settings={"heartbeat_timeout_ns": 2 * SECOND})
    sketch.jobs = [late]
    sketch.leftovers = [left(ROW, "list")]
    assert disagreements(seal(tmp_path / "silent", sketch), 0) == []
    sketch.facts = sketch.facts | {"settings": {"heartbeat_timeout_ns": 60 * SECOND}}
    assert len(disagreements(seal(tmp_path / "heard", sketch), 0)) == 1


@pytest.mark.parametrize(("save", "expected"), [("", 0), (None, 1)])
def test_a_ledger_is_not_compared_where_redis_forgot_it(
    tmp_path: Path, save: str | None, expected: int
) -> None:
    config = (
        {"appendonly": "no", "save": ""}
        if save == ""
        else {"appendonly": "yes", "appendfsync": "always", "save": ""}
    )
    fault = _fault("restart", "redis", done_ns=14 * SECOND, ended_ns=15 * SECOND)
    sketch = _sound(faults=[fault], ledger={"entries": 0}, stack={"redis": {"config": config}})
    run = seal(tmp_path, sketch)
    assert len(disagreements(run, 0)) == expected
    ledger = verdict.accounting(run).counters[1]
    assert ledger.holds == (not expected)
    assert ledger.note.startswith("not compared: Redis died") == (not expected)


def test_a_trial_that_was_cut_short_has_only_its_stamps_to_compare(tmp_path: Path) -> None:
    sketch = _sound(outcome="partial", generator={"planned": 99}, ledger={"entries": 7})
    assert disagreements(seal(tmp_path, sketch), 0) == []
    sketch.jobs = [delivery(ROW, acked_ns=ROW["intended_ns"])]
    assert len(disagreements(seal(tmp_path / "other", sketch), 0)) == 1
