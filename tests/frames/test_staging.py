"""Stages telescope to the latency."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from perfkit import frames
from tests.frames import oracle
from tests.frames.histories import histories
from tests.sealed import MS, SECOND, Sketch, delivery, request, seal


def _means(run: Any, queue: str = "all") -> dict[str, float]:
    found = frames.stages(run)
    chosen = found[found["queue"] == queue]
    return dict(zip(chosen["stage"], chosen["mean_ns"] / MS, strict=True))


@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_stages_add_up_to_the_latency_and_none_is_negative(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        found = frames.stages(run)
    known = [oracle.job(row, jobs, calls) for row in requests]
    latencies = [
        job["latency_ns"] for job in known if job["in_window"] and job["outcome"] == "done"
    ]
    if not latencies:
        assert found.empty
        return
    whole = found[found["queue"] == "all"]
    assert whole["stage"].tolist() == list(frames.STAGES)
    assert whole["n"].eq(len(latencies)).all()
    assert whole["mean_ns"].sum() == pytest.approx(sum(latencies) / len(latencies), abs=1000)
    assert found["mean_ns"].ge(0).all()
    assert found["residual_ns"].le(1000).all()


def test_one_job_is_cut_at_its_stamps(tmp_path: Path) -> None:
    row = request(0)
    assert _means(seal(tmp_path, Sketch([row], [delivery(row)]))) == {
        "client lag": 1,
        "blocked": 0,
        "ingest": 1,
        "broker dwell": 3,
        "prefetch wait": 1,
        "service": 35,
        "retry backoff": 0,
    }


def test_the_wait_for_a_connection_is_not_the_clients_lag(tmp_path: Path) -> None:
    at = 12 * SECOND
    row = request(0, at, sent_ns=at + 10 * MS, blocked_ns=8 * MS)
    job = delivery(row, enqueued_ns=at + 11 * MS, fetched_ns=at + 12 * MS, started_ns=at + 13 * MS)
    run = seal(tmp_path, Sketch([row], [job]))
    assert _means(run) == {
        "client lag": 2,
        "blocked": 8,
        "ingest": 1,
        "broker dwell": 1,
        "prefetch wait": 1,
        "service": 28,
        "retry backoff": 0,
    }
    assert frames.stages(run)["residual_ns"].eq(0).all()


def _retried() -> Sketch:
    row = request(0)
    at = row["intended_ns"]
    again = delivery(
        row,
        redis_message_id="again",
        attempt=1,
        enqueued_ns=at + 1041 * MS,
        fetched_ns=at + 1045 * MS,
        started_ns=at + 1050 * MS,
        finished_ns=at + 1060 * MS,
    )
    return Sketch([row], [delivery(row, outcome="failed"), again])


def test_the_pause_before_a_retry_is_backoff(tmp_path: Path) -> None:
    assert _means(seal(tmp_path, _retried())) == {
        "client lag": 1,
        "blocked": 0,
        "ingest": 1,
        "broker dwell": 3 + 4,
        "prefetch wait": 1 + 5,
        "service": 35 + 10,
        "retry backoff": 1000,
    }


def test_a_redelivered_job_dwells_in_the_broker_until_its_last_fetch(tmp_path: Path) -> None:
    row = request(0)
    at = row["intended_ns"]
    died = delivery(row, finished_ns=None, acked_ns=None, outcome="running")
    again = delivery(
        row,
        delivery=2,
        fetched_ns=at + 3 * SECOND,
        started_ns=at + 3 * SECOND + MS,
        finished_ns=at + 3 * SECOND + 36 * MS,
    )
    means = _means(seal(tmp_path, Sketch([row], [died, again])))
    assert means["broker dwell"] == 3000 - 2
    assert sum(means.values()) == 3036


def test_of_a_message_that_ended_twice_the_end_that_did_the_job_counts(tmp_path: Path) -> None:
    row = request(0)
    late = dict.fromkeys(("finished_ns", "acked_ns"), row["intended_ns"] + SECOND)
    twice = [delivery(row, outcome="failed"), delivery(row, delivery=2, **late)]
    means = _means(seal(tmp_path, Sketch([row], twice)))
    assert sum(means.values()) == 1000
    assert means["retry backoff"] == 0


def test_an_enqueueing_before_the_send_was_noted_makes_no_negative_stage(tmp_path: Path) -> None:
    row = request(0)
    early = delivery(row, enqueued_ns=row["sent_ns"] - MS // 2)
    run = seal(tmp_path, Sketch([row], [early]))
    means = _means(run)
    assert means["ingest"] == 0
    assert means["broker dwell"] == 4
    assert frames.stages(run)["residual_ns"].eq(0).all()


def test_a_clock_error_shows_as_a_residual(tmp_path: Path) -> None:
    row = request(0)
    wrong = delivery(row, started_ns=row["intended_ns"] + SECOND)
    found = frames.stages(seal(tmp_path, Sketch([row], [wrong])))
    assert found["residual_ns"].eq(SECOND - 41 * MS).all()


def test_shares_add_up_and_queues_are_apart(tmp_path: Path) -> None:
    rows = [request(0), request(1, queue="webhooks")]
    found = frames.stages(seal(tmp_path, Sketch(rows, [delivery(row) for row in rows])))
    assert found["queue"].drop_duplicates().tolist() == ["payments", "webhooks", "all"]
    assert found.groupby("queue")["share"].sum().tolist() == pytest.approx([1, 1, 1])


def test_jobs_that_were_not_done_have_no_stages(tmp_path: Path) -> None:
    row = request(0)
    assert frames.stages(seal(tmp_path, Sketch([row], [delivery(row, outcome="dead")]))).empty
