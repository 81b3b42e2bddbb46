"""Exact laws are gates; the pathwise oracle gives back the starts of a truth that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit import verdict
from perfkit.stats import simulate_queue
from tests.sealed import INSTANTS, MS, SECOND, Row, Sketch, call, delivery, request, seal

BEGIN = INSTANTS["load_start"]


def _worked(seed: int, threads: int, jitter_ns: int = 0) -> list[tuple[Row, Row]]:
    """Jobs of one worker: the next in line starts 0.4 ms after its fetch, 0.1 ms after an ack."""
    random = np.random.default_rng(seed)
    came = BEGIN + np.cumsum(random.exponential(20e6, 400)).astype(np.int64)
    took = random.exponential(60e6, 400).astype(np.int64)
    # What lies between an ack and the next start keeps the thread.
    starts = simulate_queue(came + 400_000, took + 100_000, threads).starts
    late = random.integers(0, jitter_ns + 1, 400)
    pairs = []
    for seq, (at, begun, service, extra) in enumerate(zip(came, starts, took, late, strict=True)):
        row = request(seq, int(at) - 5 * MS)
        started, end = int(begun + extra), int(begun + service + extra)
        job = delivery(
            row, enqueued_ns=int(at) - MS, fetched_ns=int(at), started_ns=started, finished_ns=end,
            acked_ns=end,
        )  # fmt: skip
        pairs.append((row, job))
    return pairs


def _run(folder: Path, pairs: list[tuple[Row, Row]], threads: int = 4, **facts: Any) -> Any:
    rows, jobs = [row for row, _ in pairs], [job for _, job in pairs]
    settings = {"pools": [{"name": "worker", "workers": 1, "threads": threads}]}
    drawn = [call(row) for row in rows]
    return seal(folder, Sketch(rows, jobs, calls=drawn, facts={"settings": settings} | facts))


def test_starts_of_the_next_free_thread_are_given_back(tmp_path: Path) -> None:
    found = verdict.pathwise(_run(tmp_path, _worked(1, 4)), 0)
    assert found.not_applicable is None
    assert found.within == 1.0
    assert found.holds
    assert found.after_fetch_ns == pytest.approx(400_000)
    assert found.after_ack_ns == pytest.approx(100_000)


def test_another_number_of_threads_is_found_out(tmp_path: Path) -> None:
    found = verdict.pathwise(_run(tmp_path, _worked(1, 4), threads=6), 0)
    assert not found.holds
    assert found.within < 0.9


def test_threads_that_wait_for_more_than_their_turn_differ(tmp_path: Path) -> None:
    run = _run(tmp_path, _worked(2, 4, jitter_ns=20 * MS))
    assert not verdict.pathwise(run, 0).holds
    states = verdict.laws(run).set_index("law")["state"]
    assert states["pathwise oracle"] == "differs"
    assert verdict.judge(run).status != "INVALID"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"recorder": {"holes": 3}}, "3 records are missing"),
        ({"deaths": [{"name": "worker-1", "at_ns": BEGIN, "status": 9}]}, "came and went"),
        ({"outcome": "partial"}, "cut short"),
    ],
)
def test_the_oracle_is_not_asked_where_something_is_missing(
    tmp_path: Path, facts: dict[str, Any], why: str
) -> None:
    found = verdict.pathwise(_run(tmp_path, _worked(3, 4), **facts), 0)
    assert found.not_applicable is not None
    assert why in found.not_applicable
    assert not found.holds


def test_stage_sums_and_littles_law_hold_exactly_of_sound_records(tmp_path: Path) -> None:
    laws = verdict.laws(_run(tmp_path, _worked(4, 4))).set_index("law")
    assert laws.loc["stage sums", "state"] == "holds"
    assert laws.loc["Little's law", "state"] == "holds"
    assert laws.loc["Little's law", "n"] == 400


def test_one_nanosecond_that_stages_miss_makes_the_trial_invalid(tmp_path: Path) -> None:
    row = request(0)
    job = delivery(row, started_ns=row["intended_ns"] + 41 * MS + 1)
    judged = verdict.judge(seal(tmp_path, Sketch([row], [job], calls=[call(row)])))
    assert judged.status == "INVALID"
    assert "clock or join error: the stages of a job miss its latency by 1 ns" in judged.reasons


def test_a_job_that_left_before_it_came_breaks_littles_law(tmp_path: Path) -> None:
    rows = [request(seq, 12 * SECOND + seq * MS) for seq in range(20)]
    jobs = [delivery(row) for row in rows]
    at = rows[3]["intended_ns"] - MS
    stamps = ("enqueued_ns", "fetched_ns", "started_ns", "finished_ns", "acked_ns")
    jobs[3] = delivery(rows[3], **dict.fromkeys(stamps, at))
    run = seal(tmp_path, Sketch(rows, jobs, calls=[call(row) for row in rows]))
    judged = verdict.judge(run)
    assert judged.status == "INVALID"
    assert any("Little's law does not hold" in reason for reason in judged.reasons)
    assert verdict.laws(run).set_index("law").loc["Little's law", "state"] == "broken"


def test_of_no_job_no_law_is_asked(tmp_path: Path) -> None:
    laws = verdict.laws(seal(tmp_path, Sketch()))
    assert laws["state"].eq("not applicable").all()
