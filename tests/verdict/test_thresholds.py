"""Targets against what was observed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from perfkit.scenario import METRICS
from perfkit.verdict import ThresholdResult
from tests.sealed import (
    MS,
    SECOND,
    Sketch,
    call,
    delivery,
    dropped,
    left,
    request,
    seal,
    waiting,
)


def _targets(*entries: tuple[str, str] | tuple[str, str, str]) -> dict[str, Any]:
    return {
        "threshold": [
            {"metric": each[0], "expr": each[1]} | ({"queue": each[2]} if len(each) > 2 else {})
            for each in entries
        ]
    }


def _steady(n: int = 100) -> Sketch:
    """Jobs of 41, 42, ... ms, 11 ms of it not the gateway's."""
    rows = [
        request(seq, 12 * SECOND + seq * 50 * MS, queue="webhooks" if seq % 2 else "payments")
        for seq in range(n)
    ]
    jobs, calls = [], []
    for row in rows:
        more = row["seq"] * MS
        done = delivery(row)
        jobs.append(
            done | {"finished_ns": done["finished_ns"] + more, "acked_ns": done["acked_ns"] + more}
        )
        calls.append(call(row, delay_ns=30 * MS + more))
    return Sketch(rows, jobs, calls=calls)


def _one(tmp_path: Path, sketch: Sketch, *target: str) -> ThresholdResult:
    run = seal(tmp_path, sketch, document=_targets(target))  # type: ignore[arg-type]
    return verdict.evaluate_thresholds(run)[0]


OBSERVED = [
    ("latency", "p(50)<100ms", 90.5 * MS),
    ("latency", "p(95)<1s", 135.05 * MS),
    ("latency", "med<1s", 90.5 * MS),
    ("latency", "avg<1s", 90.5 * MS),
    ("latency", "min<1s", 41 * MS),
    ("latency", "max<1s", 140 * MS),
    ("response", "min<1s", 40 * MS),
    ("queue_wait", "max<1s", 4 * MS),
    ("service", "min<1s", 35 * MS),
    ("added", "p(99)<1s", 11 * MS),
    ("request", "p(99)<1s", 2 * MS),
    ("send_lag", "max<5ms", MS),
    ("throughput", "avg>9/s", 10.0),
    ("errors", "rate<0.05", 0.0),
    ("dropped", "count==0", 0.0),
    ("lost", "count==0", 0.0),
    ("dead", "count==0", 0.0),
    ("duplicated", "count==0", 0.0),
]


def test_every_metric_is_observed(tmp_path: Path) -> None:
    targets = _targets(*((metric, expr) for metric, expr, _ in OBSERVED))
    found = verdict.evaluate_thresholds(seal(tmp_path, _steady(), document=targets))
    assert {each.metric for each in found} == set(METRICS)
    for result, (metric, expr, observed) in zip(found, OBSERVED, strict=True):
        assert (result.metric, result.expr) == (metric, expr)
        assert result.observed == pytest.approx(observed), metric
        assert result.holds
        assert result.n == 100
        assert result.note == "observed, not inferred"


def test_a_queue_narrows_it(tmp_path: Path) -> None:
    found = _one(tmp_path, _steady(), "latency", "min<1s", "webhooks")
    assert found.observed == 42 * MS
    assert found.n == 50
    assert _one(tmp_path, _steady(), "throughput", "avg>1/s", "webhooks").observed == 5.0
    assert _one(tmp_path, _steady(), "lost", "count==0", "webhooks").n == 50


def test_the_margin_is_the_share_of_the_limit_that_is_left(tmp_path: Path) -> None:
    exprs = ("avg<181ms", "avg<90.5ms", "avg<45.25ms", "avg>45.25ms")
    targets = _targets(*(("latency", expr) for expr in exprs))
    found = verdict.evaluate_thresholds(seal(tmp_path, _steady(), document=targets))
    assert [each.margin for each in found] == pytest.approx([0.5, 0.0, -1.0, 1.0])


def test_a_limit_of_nought_has_its_margin_as_a_difference(tmp_path: Path) -> None:
    row = request(0)
    found = _one(tmp_path, Sketch([row], leftovers=[left(row, "nowhere")]), "lost", "count==0")
    assert (found.observed, found.margin, found.holds) == (1.0, -1.0, False)
    assert math.copysign(1, _one(tmp_path, _steady(), "lost", "count==0").margin) == 1


def test_unfinished_jobs_are_infinite(tmp_path: Path) -> None:
    sketch = _steady(20)
    sketch.jobs = [*sketch.jobs[:-1], waiting(sketch.requests[-1])]
    sketch.leftovers = [left(sketch.requests[-1], "list")]
    found = _one(tmp_path, sketch, "latency", "p(99)<1s")
    assert found.observed == math.inf
    assert found.margin == -math.inf
    assert _one(tmp_path, sketch, "queue_wait", "max<1s").observed == math.inf


def test_errors_are_what_was_sent_in_the_window_and_not_done_by_the_end(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(8)]
    rows[1] = request(1, status=503)
    rows[2] = request(2, status=None)
    rows[4] = dropped(4)
    rows[5] = request(5, 10 * SECOND, status=503)  # warm-up
    jobs = [delivery(rows[0]), delivery(rows[3], outcome="dead"), waiting(rows[6]),
            delivery(rows[7])]  # fmt: skip
    leftovers = [left(rows[3], "dead"), left(rows[6], "list")]
    found = _one(tmp_path, Sketch(rows, jobs, leftovers=leftovers), "errors", "rate<0.05")
    assert found.n == 6
    assert found.observed == pytest.approx(4 / 6)


def test_a_stranded_job_is_an_error_and_a_phantom_that_was_done_is_none(tmp_path: Path) -> None:
    rows = [request(0), request(1, status=None, error="timeout"), request(2)]
    held = [left(rows[0], "acks", owner="w", owner_alive=False)]
    sketch = Sketch(rows, [delivery(rows[1]), delivery(rows[2])], leftovers=held)
    assert _one(tmp_path, sketch, "errors", "rate<0.5").observed == pytest.approx(1 / 3)


def test_nothing_to_observe_is_no_success_and_no_failure(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch(), document=_targets(("latency", "p(95)<1s")))
    found = verdict.evaluate_thresholds(run)[0]
    assert math.isnan(found.observed)
    assert not found.holds
    assert verdict.judge(run).status == "INCONCLUSIVE"


def test_steady_state_thresholds_fail_on_a_saturated_trial(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.requests = [*sketch.requests, dropped(100)]
    targets = _targets(("latency", "p(50)<10s"), ("throughput", "avg>1/s"))
    run = seal(tmp_path, sketch, document=targets)
    latency, throughput = verdict.evaluate_thresholds(run)
    assert not latency.holds
    assert "no steady state" in latency.note
    assert throughput.holds
    assert verdict.judge(run).status == "FAIL"


def test_the_axes_of_a_trial_reach_its_thresholds(tmp_path: Path) -> None:
    strict, loose = _steady(), _steady()
    strict.facts = {"axes": {"threshold.0.expr": "p(50)<1ms"}}
    run = seal(tmp_path, strict, loose, document=_targets(("latency", "p(50)<1s")))
    assert [each.holds for each in verdict.evaluate_thresholds(run)] == [False, True]
    assert [each.trial for each in verdict.evaluate_thresholds(run, 1)] == [1]


def test_thresholds_that_were_set_by_hand_are_those_of_the_trial(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.facts = {"document": _targets(("latency", "p(50)<1ms"))}
    run = seal(tmp_path, sketch, document=_targets(("latency", "p(50)<1s")))
    assert [each.expr for each in verdict.evaluate_thresholds(run)] == ["p(50)<1ms"]
    assert verdict.judge(run).status == "FAIL"


def test_a_trial_that_was_cut_short_is_shown_and_not_judged(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.facts = {"outcome": "partial", "reason": "interrupted"}
    run = seal(tmp_path, sketch, document=_targets(("latency", "p(50)<1ms")))
    assert "not judged" in verdict.evaluate_thresholds(run)[0].note
    assert verdict.judge(run).trials[0].status == "INCONCLUSIVE"
