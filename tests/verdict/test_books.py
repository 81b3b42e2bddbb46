"""Every accepted job is in exactly one class, by evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from perfkit import verdict
from perfkit.store import StoredRun
from tests.frames.histories import histories
from tests.sealed import (
    MS,
    SECOND,
    Sketch,
    call,
    delivery,
    dropped,
    left,
    request,
    sample,
    seal,
    waiting,
)

KEYS = (
    "planned", "sent", "dropped", "late", "blocked", "accepted", "refused", "errored", "done",
    "done_unacked", "dead", "pending", "stranded", "lost", "unexplained", "phantom", "duplicated",
    "redelivered", "ambiguous", "double_charges", "charges_stopped", "stalled_max", "answered",
)  # fmt: skip

ROW = request(0)
CUT = delivery(ROW, finished_ns=None, acked_ns=None, outcome="running")
AFTER = ROW["intended_ns"] + SECOND


def _class(run: StoredRun) -> str:
    """The one class of the one accepted job."""
    counts = verdict.accounting(run).counts()
    names = KEYS[8:15]
    assert sum(counts[name] for name in names) == counts["accepted"] == 1
    return next(name for name in names if counts[name])


def test_counts_have_the_keys_of_the_public_contract(tmp_path: Path) -> None:
    assert tuple(verdict.accounting(seal(tmp_path, Sketch())).counts()) == KEYS


@pytest.mark.parametrize(
    ("jobs", "leftovers", "expected"),
    [
        ([delivery(ROW)], [], "done"),
        ([delivery(ROW, acked_ns=None)], [], "done_unacked"),
        # Done once with its ack, although another delivery of it is still held.
        ([delivery(ROW), waiting(ROW)], [left(ROW, "list")], "done"),
        ([delivery(ROW, outcome="dead")], [left(ROW, "dead")], "dead"),
        ([CUT], [left(ROW, "dead")], "dead"),
        ([waiting(ROW)], [left(ROW, "list")], "pending"),
        ([delivery(ROW, outcome="failed")], [left(ROW, "delayed")], "pending"),
        ([CUT], [left(ROW, "acks", owner="w", owner_alive=False)], "stranded"),
        ([CUT], [left(ROW, "acks", owner="w", owner_alive=True)], "stranded"),
        ([], [left(ROW, "nowhere")], "lost"),
        ([delivery(ROW, outcome="skipped")], [], "lost"),
        # No evidence is no class: enqueued and gone, started and gone, never heard of.
        ([waiting(ROW)], [], "unexplained"),
        ([CUT], [], "unexplained"),
        ([delivery(ROW, outcome="failed")], [], "unexplained"),
        ([], [], "unexplained"),
    ],
)
def test_a_class_follows_from_evidence(
    tmp_path: Path, jobs: list[Any], leftovers: list[Any], expected: str
) -> None:
    assert _class(seal(tmp_path, Sketch([ROW], jobs, leftovers=leftovers))) == expected


def test_what_redis_evicted_is_lost_by_that(tmp_path: Path) -> None:
    samples = [sample(1, "redis.evicted", 0), sample(9, "redis.evicted", 5)]
    run = seal(tmp_path, Sketch([ROW], [waiting(ROW)], samples))
    assert _class(run) == "lost"
    assert verdict.accounting(run).mechanisms == {"evicted by Redis": 1}


@pytest.mark.parametrize(("died_ns", "expected"), [(AFTER, "lost"), (SECOND, "unexplained")])
def test_a_death_of_redis_explains_only_what_was_there_before(
    tmp_path: Path, died_ns: int, expected: str
) -> None:
    facts = {"deaths": [{"name": "redis", "at_ns": died_ns, "status": -9}]}
    assert _class(seal(tmp_path, Sketch([ROW], [waiting(ROW)], facts=facts))) == expected


def test_requests_are_counted_by_their_answer(tmp_path: Path) -> None:
    rows = [
        request(0),
        request(1, status=503),
        request(2, status=404),
        request(3, status=None, error="reset"),
        dropped(4),
        request(5, sent_ns=12 * SECOND + 11 * MS),  # late
        request(6, sent_ns=12 * SECOND + 30 * MS, blocked_ns=25 * MS),  # blocked, and in time
    ]
    counted = verdict.accounting(seal(tmp_path, Sketch(rows)))
    counts = counted.counts()
    assert counts["planned"] == 7
    assert (counts["sent"], counts["dropped"]) == (6, 1)
    assert (counts["accepted"], counts["refused"], counts["errored"]) == (3, 2, 1)
    assert (counts["late"], counts["blocked"]) == (1, 1)
    assert all(each.holds for each in counted.identities())


def test_errored_jobs_are_phantom_ambiguous_or_known_not_to_exist(tmp_path: Path) -> None:
    rows = [request(seq, status=None, error="timeout") for seq in range(4)]
    rows[3]["job_id"] = None
    jobs = [delivery(rows[0]), waiting(rows[1])]
    counts = verdict.accounting(seal(tmp_path, Sketch(rows, jobs))).counts()
    assert counts["errored"] == 4
    assert counts["phantom"] == 1  # ran
    assert counts["ambiguous"] == 2  # exists; has no id


def test_without_a_recorder_in_the_producer_an_errored_job_stays_ambiguous(tmp_path: Path) -> None:
    rows = [request(0), request(1, status=None)]
    jobs = [delivery(rows[0], enqueue_done_ns=None)]
    assert verdict.accounting(seal(tmp_path, Sketch(rows, jobs))).ambiguous == 1


def test_a_retry_is_no_duplicate_and_a_redelivery_is_one(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(3)]
    retried = [
        delivery(rows[0], outcome="failed"),
        delivery(rows[0], attempt=1, redis_message_id="again"),
    ]
    redelivered = [
        delivery(rows[1], finished_ns=None, acked_ns=None, outcome="running"),
        delivery(rows[1], delivery=2),
    ]
    twice_enqueued = [delivery(rows[2]), delivery(rows[2], redis_message_id="twin")]
    run = seal(tmp_path, Sketch(rows, [*retried, *redelivered, *twice_enqueued]))
    counted = verdict.accounting(run)
    assert counted.duplicated == 2
    assert counted.redelivered == 1
    assert counted.ids["duplicated"] == ("job-1", "job-2")
    assert counted.ids["redelivered"] == ("job-1",)


def test_jobs_of_jobs_are_counted_apart(tmp_path: Path) -> None:
    rows = [request(0)]
    child = delivery(request(9))
    counted = verdict.accounting(seal(tmp_path, Sketch(rows, [delivery(rows[0]), child])))
    assert counted.spawned == 1
    assert counted.done == 1


def test_examples_are_named_up_to_twenty(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(30)]
    counted = verdict.accounting(seal(tmp_path, Sketch(rows)))
    assert counted.unexplained == 30
    assert len(counted.ids["unexplained"]) == 20
    assert counted.ids["unexplained"][0] == "job-0"


def test_the_sum_of_trials_is_the_accounting_of_the_run(tmp_path: Path) -> None:
    row = request(0)
    run = seal(tmp_path, Sketch([row], [delivery(row)]), Sketch([row, dropped(1)], [delivery(row)]))
    whole = verdict.accounting(run)
    assert whole.planned == 3
    assert whole.done == verdict.accounting(run, 0).done + verdict.accounting(run, 1).done == 2
    assert whole.balanced


@settings(max_examples=15, deadline=None)
@given(history=histories())
def test_the_identities_hold_whatever_happened(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        counted = verdict.accounting(run)
    assert counted.planned == len(requests)
    assert [each.holds for each in counted.identities()] == [True, True, True]


@pytest.mark.parametrize(
    ("alive", "mechanism"),
    [
        (True, "held by a worker that lived"),
        (False, "held by a worker that is dead"),
        (None, "held by a worker that is not known"),
    ],
)
def test_who_holds_a_stranded_job_is_said(
    tmp_path: Path, alive: bool | None, mechanism: str
) -> None:
    held = left(ROW, "acks", owner="w", owner_alive=alive)
    counted = verdict.accounting(seal(tmp_path, Sketch([ROW], [CUT], leftovers=[held])))
    assert counted.stranded == 1
    assert counted.mechanisms == {mechanism: 1}


def test_the_generator_counts_on_its_own(tmp_path: Path) -> None:
    said = {"planned": 3, "sent": 2, "accepted": 2}
    sketch = Sketch([ROW], [delivery(ROW)], facts={"generator": said})
    counted = verdict.accounting(seal(tmp_path, sketch))
    found = [(each.left, each.right, each.holds) for each in counted.identities()]
    assert found == [(3, 1, False), (2, 1, False), (2, 1, False)]
    assert not counted.balanced


def test_what_a_generator_counted_when_it_was_cut_short_is_not_compared(tmp_path: Path) -> None:
    facts = {"generator": {"planned": 3}, "outcome": "partial"}
    counted = verdict.accounting(seal(tmp_path, Sketch([ROW], [delivery(ROW)], facts=facts)))
    assert all(each.holds for each in counted.identities())
    assert counted.counters == ()


def test_trials_whose_generator_did_not_say_stand_for_themselves_in_the_sum(tmp_path: Path) -> None:
    silent = Sketch([ROW], [delivery(ROW)])
    telling = Sketch([ROW], [delivery(ROW)], facts={"generator": {"planned": 1}})
    whole = verdict.accounting(seal(tmp_path, silent, telling))
    assert whole.identities()[0] == ("planned = sent + dropped", 2, 2, True)


def _counters(run: StoredRun) -> list[tuple[str, int, int, bool]]:
    return [
        (each.name.partition(" ")[0], each.count, each.must_equal, each.holds)
        for each in verdict.accounting(run).counters
    ]


def test_counters_of_others_stand_beside_what_the_rows_say(tmp_path: Path) -> None:
    facts = {"ledger": {"entries": 1}, "recorder": {"lost": 0}}
    sketch = Sketch([ROW], [delivery(ROW)], calls=[call(ROW)], facts=facts)
    run = seal(tmp_path, sketch, sketch)
    assert _counters(run) == [
        ("jobs", 2, 2, True),
        ("charges", 2, 2, True),
        ("dead", 0, 0, True),
        ("events", 0, 0, True),
    ]
    assert verdict.accounting(run).balanced


def test_a_counter_that_disagrees_breaks_the_books_and_is_not_made_up_for(tmp_path: Path) -> None:
    few = Sketch([ROW], [delivery(ROW)], calls=[call(ROW)], facts={"ledger": {"entries": 0}})
    many = Sketch([ROW], [delivery(ROW)], calls=[call(ROW)], facts={"ledger": {"entries": 2}})
    run = seal(tmp_path, few, many)
    assert ("charges", 2, 2, False) in _counters(run)
    assert not verdict.accounting(run).balanced


def test_after_a_death_more_may_have_been_done_than_was_recorded(tmp_path: Path) -> None:
    held = left(ROW, "acks", owner="w", owner_alive=False)
    deaths = [{"name": "worker-1", "at_ns": AFTER, "status": -9}]
    sketch = Sketch([ROW], [CUT], calls=[call(ROW)], leftovers=[held], facts={"deaths": deaths})
    assert _counters(seal(tmp_path / "died", sketch))[0] == ("jobs", 1, 0, True)
    sketch.facts = {}
    assert _counters(seal(tmp_path / "lived", sketch))[0] == ("jobs", 1, 0, False)


def test_books_with_unexplained_jobs_do_not_balance(tmp_path: Path) -> None:
    counted = verdict.accounting(seal(tmp_path, Sketch([ROW])))
    assert counted.unexplained == 1
    assert all(each.holds for each in counted.identities())
    assert not counted.balanced


def test_an_identity_that_does_not_hold_says_so() -> None:
    broken = verdict.Accounting(planned=3, sent=1)
    assert not broken.balanced
    assert broken.identities()[0] == ("planned = sent + dropped", 3, 1, False)
