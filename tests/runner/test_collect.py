"""Joining events into deliveries, and reading what a killed trial left."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.recorder.events import Event, Kind
from perfkit.recorder.reader import SpoolAnchor, SpoolContents
from perfkit.runner.collect import calls_table, collect, jobs_table


def event(kind: Kind, rid: str, *stamps: int | None, **changes: Any) -> Event:
    t1, t2, t3 = [*stamps, None, None, None][:3]
    fields: dict[str, Any] = {
        "queue": "payments", "delayed": False, "actor": "payments", "attempt": 0,
        "message_id": f"job-{rid.partition('.')[0]}", "error": None, "thread_id": 0, **changes,
    }  # fmt: skip
    return Event(kind=kind, redis_message_id=rid, t1_ns=t1, t2_ns=t2, t3_ns=t3, **fields)


def spool(name: str, *events: Event) -> SpoolContents:
    return SpoolContents(
        name=name, role="worker", pid=1, broker_id="b", anchor=SpoolAnchor(0, 0),
        events=list(events), holes=0, corrupt=0, lost=0, reason="", closed=True,
    )  # fmt: skip


def rows(*spools: SpoolContents) -> list[dict[str, Any]]:
    return list(jobs_table(spools, 7).to_pylist())


def whole(rid: str, at: int = 0) -> tuple[Event, ...]:
    return (
        event(Kind.START, rid, at + 1, at + 3, at + 4),
        event(Kind.END, rid, at + 9),
        event(Kind.ACK, rid, at + 10, at + 11),
    )


def test_a_jobs_whole_life_becomes_one_row() -> None:
    (row,) = rows(spool("ingest-1", event(Kind.ENQ, "a", 1, 2)), spool("worker-1", *whole("a")))
    assert row == {
        "trial": 7, "job_id": "job-a", "redis_message_id": "a", "queue": "payments",
        "actor": "payments", "attempt": 0, "delivery": 1, "delayed_ns": None, "enqueued_ns": 1,
        "enqueue_done_ns": 2, "fetched_ns": 3, "started_ns": 4, "finished_ns": 9, "acked_ns": 11,
        "requeued_ns": None, "outcome": "done", "error": None, "worker": "worker-1",
    }  # fmt: skip


def test_a_message_that_no_worker_took_is_a_row_too() -> None:
    (row,) = rows(spool("ingest-1", event(Kind.ENQ, "a", 1, 2)))
    assert (row["outcome"], row["delivery"], row["worker"]) == ("enqueued", 0, None)


def test_a_job_whose_producer_was_not_recorded_keeps_the_stamp_it_carried() -> None:
    (row,) = rows(spool("worker-1", *whole("a")))
    assert (row["enqueued_ns"], row["enqueue_done_ns"]) == (1, None)


def test_a_redelivery_is_a_second_row_of_the_same_redis_id() -> None:
    dead = spool("worker-1", event(Kind.START, "a", 1, 3, 4))
    first, second = rows(dead, spool("worker-2", *whole("a", at=100)))
    assert [first["delivery"], second["delivery"]] == [1, 2]
    assert [first["outcome"], second["outcome"]] == ["running", "done"]


def test_a_redelivery_to_the_same_worker_is_told_apart() -> None:
    found = rows(spool("worker-1", *whole("a"), *whole("a", at=100)))
    assert [row["finished_ns"] for row in found] == [9, 109]


def test_deliveries_are_numbered_in_the_order_of_their_starts() -> None:
    late, early = spool("worker-1", *whole("a", at=100)), spool("worker-2", *whole("a"))
    assert [row["started_ns"] for row in rows(late, early)] == [4, 104]


def test_a_message_that_was_put_twice_into_its_list_has_two_whole_deliveries() -> None:
    one, other = (
        [each._replace(thread_id=thread) for each in whole("a", at=at)]
        for thread, at in ((11, 0), (12, 100))
    )
    at_once = [each for pair in zip(one, other, strict=True) for each in pair]
    found = rows(spool("worker-1", *at_once))
    assert [(row["delivery"], row["finished_ns"], row["acked_ns"]) for row in found] == [
        (1, 9, 11),
        (2, 109, 111),
    ]


def test_a_message_that_was_given_back_keeps_its_row_beside_the_delivery_elsewhere() -> None:
    stopped = spool("worker-1", event(Kind.REQUEUE, "a", 1, 3, 50))
    back, done = sorted(rows(stopped, spool("worker-2", *whole("a", at=100))), key=_requeued_last)[
        ::-1
    ]
    assert (back["outcome"], back["worker"], back["delivery"]) == ("requeued", "worker-1", 0)
    assert (back["enqueued_ns"], back["fetched_ns"], back["requeued_ns"]) == (1, 3, 50)
    assert (done["outcome"], done["worker"], done["delivery"]) == ("done", "worker-2", 1)
    assert (back["started_ns"], done["requeued_ns"]) == (None, None)


def _requeued_last(row: dict[str, Any]) -> bool:
    return row["outcome"] == "requeued"


def test_what_a_worker_gives_back_after_having_run_it_once_is_told_from_that() -> None:
    ran, back = rows(spool("worker-1", *whole("a"), event(Kind.REQUEUE, "a", 1, 103, 150)))
    assert (ran["outcome"], ran["acked_ns"], ran["requeued_ns"]) == ("done", 11, None)
    assert (back["outcome"], back["fetched_ns"], back["requeued_ns"]) == ("requeued", 103, 150)


def test_a_skip_of_a_redelivery_does_not_touch_the_delivery_before() -> None:
    again = (event(Kind.SKIP, "a", 100), event(Kind.ACK, "a", 101, 102))
    ran, skipped = rows(spool("worker-1", *whole("a"), *again))
    assert (ran["outcome"], ran["acked_ns"]) == ("done", 11)
    assert (skipped["outcome"], skipped["acked_ns"], skipped["delivery"]) == ("skipped", 102, 0)


def test_an_ack_whose_start_was_lost_says_that_the_message_was_fetched() -> None:
    (row,) = rows(spool("worker-1", event(Kind.ACK, "a", 10, 11)))
    assert (row["outcome"], row["acked_ns"], row["worker"]) == ("fetched", 11, "worker-1")


def test_a_hop_says_when_its_message_was_put_aside() -> None:
    aside = event(Kind.DELAY, "a.dq", 1, 2, 3, delayed=True)
    hop, ack = event(Kind.ENQ, "a", 100, 101), event(Kind.ACK, "a.dq", 102, 103, delayed=True)
    other = event(Kind.ENQ, "b", 104, 105)
    consumer = spool("worker-1", aside, hop, ack, other)
    found = rows(consumer, spool("worker-2", *whole("a", at=200)))
    assert {row["redis_message_id"]: row["delayed_ns"] for row in found} == {"a": 3, "b": None}


def test_a_failed_attempt_and_its_retry_are_two_rows_of_one_job() -> None:
    failed = (
        event(Kind.START, "a", 1, 3, 4),
        event(Kind.END, "a", 9, error="GatewayError"),
        event(Kind.ENQ, "a.dq", 10, 11, delayed=True, attempt=1),
        event(Kind.ACK, "a", 12, 13),
    )
    retry = [each._replace(attempt=1) for each in whole("a.2", at=100)]
    hop = event(Kind.ENQ, "a.2", 101, 102, attempt=1)
    ack = event(Kind.ACK, "a.dq", 102, 103, delayed=True, attempt=1)
    found = rows(spool("worker-1", *failed, hop, ack, *retry))
    assert [(row["job_id"], row["attempt"], row["outcome"]) for row in found] == [
        ("job-a", 1, "done"),
        ("job-a", 0, "failed"),
    ]
    assert found[1]["error"] == "GatewayError"


def test_a_dead_letter_and_a_skip_have_their_outcomes() -> None:
    dead = (
        event(Kind.START, "a", 1, 3, 4),
        event(Kind.END, "a", 9, error="ValueError"),
        event(Kind.NACK, "a", 10, 11),
    )
    skipped = (event(Kind.SKIP, "b", 5), event(Kind.ACK, "b", 6, 7))
    found = {row["redis_message_id"]: row for row in rows(spool("worker-1", *dead, *skipped))}
    assert (found["a"]["outcome"], found["a"]["acked_ns"]) == ("dead", 11)
    assert (found["b"]["outcome"], found["b"]["delivery"]) == ("skipped", 0)


def test_a_job_killed_in_the_middle_has_no_end() -> None:
    (row,) = rows(spool("worker-1", event(Kind.START, "a", 1, 3, 4)))
    assert (row["outcome"], row["finished_ns"], row["acked_ns"]) == ("running", None, None)


def oracle(spools: list[SpoolContents]) -> list[tuple[Any, ...]]:
    """Slow and obvious: walk each process' events once per message."""
    found = []
    rids = {e.redis_message_id for s in spools for e in s.events if not e.delayed}
    for rid in rids:
        starts = []
        for each in spools:
            mine = [e for e in each.events if e.redis_message_id == rid and e.kind != Kind.ENQ]
            for number, start in enumerate(mine):
                if start.kind is not Kind.START:
                    continue
                rest = []
                for later in mine[number + 1 :]:
                    if later.kind is Kind.START:
                        break
                    rest.append(later)
                end = next((e.t1_ns for e in rest if e.kind is Kind.END), None)
                ack = next((e.t2_ns for e in rest if e.kind in (Kind.ACK, Kind.NACK)), None)
                starts.append((start.t3_ns, end, ack, each.name))
        for number, start_row in enumerate(sorted(starts, key=lambda s: s[0] or 0), 1):
            found.append((rid, number, *start_row))
        if not starts:
            found.append((rid, 0, None, None, None, None))
    return sorted(found, key=repr)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_join_agrees_with_the_slow_oracle(seed: int) -> None:
    rng = random.Random(seed)
    clock = iter(range(1, 100_000))
    workers: list[list[Event]] = [[], [], []]
    producer: list[Event] = []
    for number in range(rng.randint(1, 12)):
        rid = f"m{number}"
        if rng.random() < 0.8:
            producer.append(event(Kind.ENQ, rid, next(clock), next(clock)))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            life = list(whole(rid, at=next(clock)))
            life = [e._replace(t1_ns=next(clock), t2_ns=next(clock)) for e in life]
            life[0] = life[0]._replace(t3_ns=next(clock))
            rng.choice(workers).extend(life[: rng.randint(1, 3)])
    spools = [
        spool("ingest-1", *producer),
        *(spool(f"worker-{i}", *events) for i, events in enumerate(workers)),
    ]
    table = jobs_table(spools, 0).to_pylist()
    ours = [
        (r["redis_message_id"], r["delivery"], r["started_ns"], r["finished_ns"], r["acked_ns"],
         r["worker"])
        for r in table
    ]  # fmt: skip
    assert sorted(ours, key=repr) == oracle(spools)


def test_a_torn_last_line_of_the_gateways_log_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    head = "key,queue,attempt,received_ns,answered_ns,delay_ns,status,charged,job_id\n"
    log.write_text(f"{head}1/0,payments,0,10,20,9,200,1,j\n1/1,payments,0,30,4")
    assert calls_table(log, 3).to_pylist() == [
        {"trial": 3, "key": "1/0", "queue": "payments", "attempt": 0, "received_ns": 10,
         "answered_ns": 20, "delay_ns": 9, "status": 200, "charged": True}
    ]  # fmt: skip


def test_a_trial_that_left_nothing_gives_empty_tables_of_the_right_shape(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    tables, facts = collect(tmp_path, 0)
    assert {name: table.num_rows for name, table in tables.items()} == {
        "requests": 0, "jobs": 0, "samples": 0, "calls": 0, "leftovers": 0,
    }  # fmt: skip
    assert facts.document()["events"] == 0


def test_a_worker_that_was_ready_and_left_no_spool_counts_as_lost(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "worker-1.ready").write_text("{}")
    document = collect(tmp_path, 0)[1].document()
    assert (document["missing"], document["lost"]) == (["worker-1"], 1)
