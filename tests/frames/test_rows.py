"""The join of requests and jobs, against a slow oracle."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from perfkit import frames
from perfkit.errors import NotARun
from tests.frames import oracle
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

COLUMNS = [
    "trial",
    "label",
    "seq",
    "queue",
    "job_id",
    "user",
    "intended_ns",
    "sent_ns",
    "done_ns",
    "status",
    "error",
    "accepted",
    "in_window",
    "enqueued_ns",
    "fetched_ns",
    "started_ns",
    "finished_ns",
    "acked_ns",
    "first_started_ns",
    "attempts",
    "deliveries",
    "outcome",
    "gateway_ns",
    "send_lag_ns",
    "blocked_ns",
    "response_ns",
    "latency_ns",
    "queue_wait_ns",
    "broker_dwell_ns",
    "prefetch_wait_ns",
    "service_ns",
    "added_ns",
]


def same(found: Any, expected: Any) -> bool:
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        return bool(pd.isna(found))
    return bool(found == expected)


@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_every_job_agrees_with_the_oracle(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        found = frames.jobs(run)
    assert list(found.columns) == COLUMNS
    assert list(found["seq"]) == [row["seq"] for row in requests]
    for (_, row), asked in zip(found.iterrows(), requests, strict=True):
        for name, expected in oracle.job(asked, jobs, calls).items():
            assert same(row[name], expected), (name, row[name], expected)


def test_instants_are_whole_and_durations_are_floats(tmp_path: Path) -> None:
    far = 2**53 + 1  # a float can't hold it
    early = request(0, far, sent_ns=far)
    run = seal(tmp_path, Sketch([early, dropped(1)], [delivery(early)]))
    found = frames.jobs(run)
    assert found["intended_ns"].dtype == "int64"
    assert found["finished_ns"].dtype == "Int64"
    assert found["latency_ns"].dtype == "float64"
    assert found["accepted"].dtype == "bool"
    assert int(found["sent_ns"][0]) == far
    assert found["sent_ns"].isna().tolist() == [False, True]


def test_the_first_delivery_that_does_a_job_decides_it(tmp_path: Path) -> None:
    row = request(0)
    first = delivery(row)
    again = delivery(row, delivery=2, started_ns=row["intended_ns"] + SECOND,
                     finished_ns=row["intended_ns"] + 2 * SECOND)  # fmt: skip
    found = frames.jobs(seal(tmp_path, Sketch([row], [again, first]))).iloc[0]
    assert found["latency_ns"] == 41 * MS
    assert found["deliveries"] == 2
    assert found["attempts"] == 1
    assert math.isnan(found["added_ns"])


def test_a_job_that_was_retried_keeps_its_first_enqueueing(tmp_path: Path) -> None:
    row = request(0)
    at = row["intended_ns"]
    failed = delivery(row, outcome="failed")
    retried = delivery(
        row,
        redis_message_id="message-0-retry",
        attempt=1,
        enqueued_ns=at + SECOND,
        fetched_ns=at + SECOND + 2 * MS,
        started_ns=at + SECOND + 5 * MS,
        finished_ns=at + SECOND + 30 * MS,
        acked_ns=at + SECOND + 31 * MS,
    )
    found = frames.jobs(seal(tmp_path, Sketch([row], [failed, retried]))).iloc[0]
    assert found["enqueued_ns"] == at + 2 * MS
    assert found["first_started_ns"] == at + 6 * MS
    assert found["queue_wait_ns"] == 5 * MS
    assert found["latency_ns"] == SECOND + 30 * MS
    assert found["attempts"] == 2


def test_what_was_never_done_has_infinite_latency(tmp_path: Path) -> None:
    rows = [request(0), request(1), request(2, status=503), dropped(3)]
    dead = delivery(rows[1], outcome="dead", error="ValueError")
    found = frames.jobs(seal(tmp_path, Sketch(rows, [waiting(rows[0]), dead])))
    assert found["latency_ns"].tolist() == [math.inf] * 4
    assert found["outcome"].tolist()[:2] == ["enqueued", "dead"]
    assert found["outcome"].isna().tolist() == [False, False, True, True]
    assert found["queue_wait_ns"].tolist()[0] == math.inf
    assert math.isnan(found["response_ns"][3])


def test_added_latency_is_what_the_gateway_does_not_explain(tmp_path: Path) -> None:
    row = request(0)
    found = frames.jobs(seal(tmp_path, Sketch([row], [delivery(row)], calls=[call(row)])))
    assert found["gateway_ns"][0] == 30 * MS
    assert found["added_ns"][0] == 11 * MS


def test_jobs_of_one_trial_do_not_mix_with_those_of_another(tmp_path: Path) -> None:
    row, other = request(0), request(0, job_id="job-0")
    late = delivery(other, finished_ns=other["intended_ns"] + SECOND)
    run = seal(tmp_path, Sketch([row], [delivery(row)]), Sketch([other], [late]))
    assert frames.jobs(run)["latency_ns"].tolist() == [41 * MS, SECOND]
    assert frames.jobs(run)["label"].tolist() == ["trial 0", "trial 1"]
    assert frames.jobs(run, 1)["latency_ns"].tolist() == [SECOND]


def test_the_window_is_half_open(tmp_path: Path) -> None:
    instants = [11 * SECOND - 1, 11 * SECOND, 21 * SECOND - 1, 21 * SECOND]
    rows = [request(seq, at) for seq, at in enumerate(instants)]
    found = frames.jobs(seal(tmp_path, Sketch(rows)))
    assert found["in_window"].tolist() == [False, True, True, False]


def test_an_empty_trial_has_every_column(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    assert list(frames.jobs(run).columns) == COLUMNS
    assert frames.jobs(run)["finished_ns"].dtype == "Int64"
    for frame in (frames.requests, frames.deliveries, frames.samples, frames.calls,
                  frames.leftovers):  # fmt: skip
        assert frame(run).empty
        assert frame(run).columns[-1] == "label"


def test_a_run_without_trials_has_empty_frames(tmp_path: Path) -> None:
    run = seal(tmp_path, status="partial")
    assert frames.jobs(run).empty
    assert list(frames.jobs(run).columns) == COLUMNS
    assert frames.trials(run).empty
    assert frames.percentiles(run).empty
    assert frames.curve(run).empty
    assert frames.stages(run).empty


def test_stored_rows_come_with_their_label(tmp_path: Path) -> None:
    row = request(0)
    sketch = Sketch(
        [row], [delivery(row)], [sample(1, "redis.up", 1), sample(1, "redis.clients", 4)],
        [call(row)], [left(row, "list")],
    )  # fmt: skip
    run = seal(tmp_path, sketch)
    assert frames.requests(run)["label"].tolist() == ["trial 0"]
    assert frames.deliveries(run)["worker"].tolist() == ["worker-1"]
    assert frames.samples(run, metric="redis.clients")["value"].tolist() == [4.0]
    assert len(frames.samples(run)) == 2
    assert frames.calls(run)["charged"].tolist() == [True]
    assert frames.leftovers(run)["place"].tolist() == ["list"]


def test_hostile_names_pass_through_unchanged(tmp_path: Path) -> None:
    evil = "<b>&\"' ; drop table requests; --"
    row = request(0, queue=evil, error=evil)
    run = seal(tmp_path, Sketch([row], [delivery(row, error=evil)], facts={"label": evil}))
    assert frames.jobs(run)[["queue", "error", "label"]].iloc[0].tolist() == [evil] * 3
    assert frames.percentiles(run)["queue"].tolist() == [evil]


def test_a_trial_that_is_not_there_is_refused(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    with pytest.raises(NotARun, match="no trial 4"):
        frames.jobs(run, 4)
