"""The least that laws are checked by says the same as the whole."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from perfkit import frames
from tests.frames import oracle
from tests.frames.histories import histories
from tests.sealed import INSTANTS, MS, SECOND, Sketch, delivery, dropped, request, seal


@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_without_a_stamp_out_of_order_no_job_misses_its_latency(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        assert frames.disordered(run, 0) == 0
        assert frames.stages(run)["residual_ns"].eq(0).all()


@pytest.mark.parametrize("late", ["enqueued_ns", "fetched_ns", "started_ns"])
def test_a_stamp_after_the_end_is_out_of_order_and_makes_a_residual(
    tmp_path: Path, late: str
) -> None:
    row = request(0)
    wrong = delivery(row, **{late: row["intended_ns"] + SECOND})
    run = seal(tmp_path, Sketch([row, request(1)], [wrong, delivery(request(1))]))
    assert frames.disordered(run, 0) == 1
    assert frames.stages(run)["residual_ns"].max() > 0


def test_a_job_that_ended_before_it_was_intended_is_out_of_order(tmp_path: Path) -> None:
    row = request(0)
    stamps = ("enqueued_ns", "fetched_ns", "started_ns", "finished_ns", "acked_ns")
    early = delivery(row, **dict.fromkeys(stamps, row["intended_ns"] - MS))
    run = seal(tmp_path, Sketch([row], [early]))
    assert frames.disordered(run, 0) == 1


@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_the_stages_of_each_job_add_up_to_its_latency(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        found = frames.job_stages(run, 0)
    known = [oracle.job(row, jobs, calls) for row in requests]
    expected = sorted(each["latency_ns"] for each in known if each["in_window"])
    assert sorted(found["latency_ns"]) == expected
    times = found[list(frames.STAGES)].to_numpy(dtype=np.float64)
    assert (times >= 0).all()
    assert np.array_equal(times.sum(axis=1), found["latency_ns"].to_numpy(dtype=np.float64))


def test_a_job_that_nobody_took_has_the_only_actor_of_its_queue(tmp_path: Path) -> None:
    rows = [request(0), dropped(1), dropped(2, queue="webhooks")]
    run = seal(tmp_path, Sketch(rows, [delivery(rows[0], actor="charge")]))
    assert frames.job_stages(run, 0)["actor"].tolist() == ["charge", "charge", "webhooks"]


def test_who_never_came_in_is_not_there_and_who_stayed_is_to_the_end(tmp_path: Path) -> None:
    rows = [request(0), request(1, status=503), dropped(2), request(3), request(4, status=None)]
    jobs = [delivery(rows[0]), delivery(rows[4])]
    there = frames.stays(seal(tmp_path, Sketch(rows, jobs)), 0).sort_values("left_ns")
    at = rows[0]["intended_ns"]
    assert there["came_ns"].tolist() == [at] * 3
    assert there["left_ns"].tolist() == [at + 41 * MS, at + 41 * MS, INSTANTS["drain_end"]]
