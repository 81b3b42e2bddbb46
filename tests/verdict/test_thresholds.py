"""Targets against what was observed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit import verdict
from perfkit.scenario import METRICS, TELEMETRY
from perfkit.verdict import ThresholdResult
from tests.courses import Phase, phased
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


def test_every_recorded_metric_is_observed(tmp_path: Path) -> None:
    targets = _targets(*((metric, expr) for metric, expr, _ in OBSERVED))
    found = verdict.evaluate_thresholds(seal(tmp_path, _steady(), document=targets))
    of_user_code = {"journey", "raised", "checks"}
    assert {each.metric for each in found} == set(METRICS) - TELEMETRY - of_user_code
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


def _sampled(metric: str, *values: float, subject: str = "", begins_s: float = 2.0) -> list[Any]:
    return [
        sample(begins_s + place / 5, metric, value, subject) for place, value in enumerate(values)
    ]


SAMPLES = [
    *_sampled("queue.waiting", 1, 5, 3, 7, subject="payments"),
    *_sampled("queue.in_flight", 4, 4, 4, 4, subject="payments"),
    *_sampled("queue.delayed", 0, 1, 0, 0, subject="payments"),
    *_sampled("queue.dead", 0, 0, 2, 2, subject="payments"),
    *_sampled("queue.stalled", 0, 3, 3, 0, subject="payments"),
    *_sampled("queue.oldest_age_ns", 0, 20 * MS, 10 * MS, 0, subject="payments"),
    *_sampled("redis.memory_bytes", 20, 30, 40, 10),
    *_sampled("redis.memory_limit_bytes", 80, 80, 80, 80),
    *_sampled("redis.clients", 7, 8, 9, 8),
    *_sampled("redis.evicted", 5, 5, 6, 9),
    *_sampled("redis.round_trip_ns", MS, 2 * MS, 3 * MS, 4 * MS),
    *_sampled("redis.cpu_ns", 0, 20e6, 40e6, 60e6),
    *_sampled("host.cpu_busy_ns", 0, 200e6, 400e6, 600e6),
    *_sampled("process.cpu_ns", 0, 100e6, 200e6, 240e6, subject="worker-1"),
    *_sampled("process.cpu_ns", 0, 20e6, 40e6, 60e6, subject="ingest-1"),
    *_sampled("process.cpu_ns", 0, 40e6, 80e6, 120e6, subject="generator"),
    *_sampled("process.rss_anon_bytes", 100, 110, 120, 110, subject="worker-1"),
]

SAMPLED = [
    ("queue.backlog", "max<11", 11.0, False),
    ("queue.backlog", "p(50)<=8.5", 8.5, True),
    ("queue.waiting", "avg<4", 4.0, False),
    ("queue.delayed", "med==0", 0.0, True),
    ("queue.dead", "max==2", 2.0, True),
    ("queue.age", "max<=20ms", 20 * MS, True),
    ("redis.memory", "max<40B", 40.0, False),
    ("redis.memory.used_ratio", "max<80%", 0.5, True),
    ("redis.clients", "min>=7", 7.0, True),
    ("redis.evicted", "max<=4", 4.0, True),
    ("redis.round_trip", "p(100)<5ms", 4 * MS, True),
    ("redis.cpu", "avg<20%", 0.1, True),
    ("host.cpu", "avg in 49%..51%", 0.5, True),
    ("workers.cpu", "avg in 60%..75%", 0.4, False),
    ("workers.cpu", "max<=50.1%", 0.5, True),
    ("workers.memory", "max<1KiB", 120.0, True),
    ("ingest.cpu", "avg<=10.1%", 0.1, True),
    ("generator.cpu", "avg<=20.1%", 0.2, True),
    ("queue.stalled", "max<3", 3.0, False),
]


def test_every_telemetry_metric_is_observed_and_judged(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.samples = SAMPLES
    targets = _targets(*((metric, expr) for metric, expr, *_ in SAMPLED))
    run = seal(tmp_path, sketch, document=targets)
    found = verdict.evaluate_thresholds(run)
    assert {each.metric for each in found} == TELEMETRY
    for result, (metric, expr, observed, holds) in zip(found, SAMPLED, strict=True):
        assert (result.metric, result.expr) == (metric, expr)
        assert result.observed == pytest.approx(observed), metric
        assert result.holds is holds, metric
        assert result.unit == METRICS[metric]
        assert result.n in (3, 4), metric  # CPU is over the intervals between readings
    assert found[7].note == "of Redis' maxmemory"
    assert verdict.judge(run).status == "FAIL"


def test_a_queue_narrows_telemetry_too(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.samples = [*SAMPLES, *_sampled("queue.waiting", 9, 9, 9, 9, subject="webhooks")]
    assert _one(tmp_path, sketch, "queue.waiting", "max<1", "payments").observed == 7
    assert _one(tmp_path, sketch, "queue.waiting", "max<1").observed == 16


def test_telemetry_that_was_not_sampled_in_the_window_is_nothing_to_observe(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.samples = _sampled("queue.waiting", 5, 5, subject="payments", begins_s=11.5)
    found = _one(tmp_path, sketch, "queue.waiting", "max<10")
    assert (found.holds, found.n, found.note) == (False, 0, "there was nothing to observe")
    assert math.isnan(found.observed)


@pytest.mark.parametrize(
    ("expr", "holds", "margin"),
    [
        ("avg in 80ms..100ms", True, 9.5 / 100),
        ("avg 90.5ms..181ms", True, 0.0),
        ("avg in 0..90.5ms", True, 0.0),
        ("avg in 100ms..200ms", False, -9.5 / 100),
        ("avg in 10ms..50ms", False, -40.5 / 50),
    ],
)
def test_a_range_holds_at_both_its_ends_and_its_margin_is_to_the_nearer(
    tmp_path: Path, expr: str, holds: bool, margin: float
) -> None:
    found = _one(tmp_path, _steady(), "latency", expr)
    assert found.holds is holds
    assert found.margin == pytest.approx(margin)
    assert found.limit_high is not None
    assert found.limit < found.limit_high


def _asked(**entry: Any) -> dict[str, Any]:
    return {"threshold": [{"metric": "throughput", "expr": "avg>150/s", **entry}]}


def test_what_needs_more_load_than_was_offered_is_shown_and_not_judged(tmp_path: Path) -> None:
    run = seal(tmp_path, _steady(), document=_asked(needs_offered="150/s", claimed="210/s"))
    (found,) = verdict.evaluate_thresholds(run)
    assert (found.applicable, found.holds) == (False, True)
    assert found.observed == 10.0
    assert found.claimed == "210/s"
    assert found.note == ("not applicable at this load (offered 10.0/s, needs more than 150/s)")
    judged = verdict.judge(run)
    assert judged.status == "PASS"
    assert judged.reasons == ("no thresholds applied: observed, not inferred",)
    said = verdict.headline(run).sentence
    assert said == "PASS: no thresholds applied, observed, not inferred"


def test_what_applies_and_fails_fails_whatever_does_not_apply(tmp_path: Path) -> None:
    document = _asked(needs_offered="150/s")
    document["threshold"] += _targets(("latency", "p(50)<1ms"))["threshold"]
    assert verdict.judge(seal(tmp_path, _steady(), document=document)).status == "FAIL"


def test_where_some_apply_the_others_are_counted(tmp_path: Path) -> None:
    document = _asked(needs_offered="150/s")
    document["threshold"] += _targets(("latency", "p(50)<1s"))["threshold"]
    run = seal(tmp_path, _steady(), document=document)
    assert verdict.judge(run).reasons == (
        "every threshold that applies holds: observed, not inferred; 1 not applicable at this load",
    )
    assert "all thresholds that apply hold" in verdict.headline(run).sentence


def test_at_a_load_above_the_need_it_is_judged(tmp_path: Path) -> None:
    sketch = _steady()
    sketch.facts = {"offered_per_s": 151.0}
    (found,) = verdict.evaluate_thresholds(
        seal(tmp_path, sketch, document=_asked(needs_offered="150/s"))
    )
    assert (found.applicable, found.holds) == (True, False)


CALM, SPIKE, AFTER = Phase("calm", 10, 20), Phase("spike", 10, 120, ramp=4), Phase("after", 20, 20)


@pytest.mark.parametrize(
    ("over", "intended"), [("window", 1600), ("steady", 200 + 720 + 400), ("spike", 1000)]
)
def test_a_part_of_the_window_has_its_own_jobs(tmp_path: Path, over: str, intended: int) -> None:
    document = {
        "threshold": [
            {"metric": "latency", "expr": "p(95)<1s", "over": over},
            {"metric": "errors", "expr": "rate<1%", "over": over},
            {"metric": "dropped", "expr": "count==0", "over": over},
        ]
    }
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=20), document=document)
    latency, errors, dropped_ones = verdict.evaluate_thresholds(run)
    assert (latency.n, latency.over, latency.holds) == (intended, over, True)
    assert errors.n == intended
    # Counts of the whole window are of the whole trial, with its warm-up.
    assert dropped_ones.n == intended + (20 if over == "window" else 0)


def test_throughput_over_a_phase_is_what_was_done_in_it(tmp_path: Path) -> None:
    document = {"threshold": [{"metric": "throughput", "expr": "avg>1/s", "over": "after"}]}
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=20), document=document)
    assert verdict.evaluate_thresholds(run)[0].observed == pytest.approx(20, abs=0.5)


def test_only_the_phase_that_was_not_sustained_has_no_steady_state(tmp_path: Path) -> None:
    long = Phase("spike", 10, 120)
    document = {
        "threshold": [
            {"metric": "latency", "expr": "p(50)<100s", "over": over}
            for over in ("calm", "spike", "window")
        ]
    }
    run = seal(tmp_path, phased(CALM, long, AFTER), document=document)
    assert [each.holds for each in verdict.evaluate_thresholds(run)] == [True, False, False]


def test_telemetry_over_a_phase_is_what_was_sampled_in_it(tmp_path: Path) -> None:
    sketch = phased(CALM, SPIKE, AFTER, slots=20)
    sketch.samples = [
        sample(at_s, "queue.waiting", float(at_s), "payments") for at_s in range(1, 41)
    ]
    document = {
        "threshold": [
            {"metric": "queue.waiting", "expr": "max<1", "over": over}
            for over in ("calm", "spike", "steady")
        ]
    }
    found = verdict.evaluate_thresholds(seal(tmp_path, sketch, document=document))
    assert [(each.observed, each.n) for each in found] == [(10, 10), (20, 10), (40, 36)]


def test_the_threshold_that_stopped_a_trial_fails_it(tmp_path: Path) -> None:
    sketch = _steady()
    text = "queue.backlog max<5 failed 3.0 s into the window: 9 observed"
    sketch.facts = {
        "outcome": "partial",
        "reason": f"aborted: {text}",
        "aborted": {
            "at_ns": 14 * SECOND,
            "threshold": "queue.backlog max<5",
            "observed": 9.0,
            "text": text,
        },
    }
    run = seal(
        tmp_path, sketch, document=_targets(("queue.backlog", "max<5"), ("errors", "rate<1"))
    )
    stopped, other = verdict.evaluate_thresholds(run)
    assert (stopped.holds, stopped.observed, stopped.note) == (False, 9.0, "it stopped the trial")
    assert other.note == "the trial was cut short: not judged"
    judged = verdict.judge(run)
    assert judged.status == "FAIL"
    assert judged.reasons[0] == f"stopped: {text}"
