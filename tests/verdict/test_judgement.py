"""The verdict of trials and of the run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from perfkit import verdict
from tests.sealed import SECOND, Sketch, call, delivery, dropped, request, seal

LATENCY = {"threshold": [{"metric": "latency", "expr": "p(50)<50ms"}]}
ROW = request(0)


def _good(**facts: Any) -> Sketch:
    return Sketch([ROW], [delivery(ROW)], calls=[call(ROW)], facts=facts)


def _slow(**facts: Any) -> Sketch:
    at = ROW["intended_ns"]
    job = delivery(ROW, finished_ns=at + 60_000_000, acked_ns=at + 61_000_000)
    return Sketch([ROW], [job], calls=[call(ROW)], facts=facts)


def test_without_thresholds_a_sound_run_passes_and_says_what_that_means(tmp_path: Path) -> None:
    judged = verdict.judge(seal(tmp_path, _good(), _good()))
    assert judged.status == "PASS"
    assert judged.reasons == ("no thresholds: observed, not inferred",)
    assert [each.reasons for each in judged.trials] == [(), ()]
    assert math.isnan(judged.trials[0].capacity_per_s)


def test_thresholds_that_hold_pass(tmp_path: Path) -> None:
    judged = verdict.judge(seal(tmp_path, _good(), document=LATENCY))
    assert judged.status == "PASS"
    assert judged.reasons == ("every threshold holds: observed, not inferred",)


def test_one_threshold_that_does_not_hold_fails_the_run(tmp_path: Path) -> None:
    judged = verdict.judge(seal(tmp_path, _good(), _slow(label="slow"), document=LATENCY))
    assert judged.status == "FAIL"
    assert judged.reasons[0] == "slow: latency p(50)<50ms does not hold: 60.0 ms"
    assert [each.status for each in judged.trials] == ["PASS", "FAIL"]


def test_unexplained_jobs_make_the_run_invalid_whatever_else_holds(tmp_path: Path) -> None:
    stray = Sketch([ROW, request(1)], [delivery(ROW)], calls=[call(ROW)])
    judged = verdict.judge(seal(tmp_path, _slow(), stray, document=LATENCY))
    assert judged.status == "INVALID"
    assert judged.reasons[0] == "trial 1: 1 accepted jobs are unexplained, such as job-1"


def test_what_was_cut_short_is_inconclusive_and_its_jobs_no_evidence(tmp_path: Path) -> None:
    cut = Sketch([ROW], facts={"outcome": "partial", "reason": "interrupted"})
    judged = verdict.judge(seal(tmp_path, _good(), cut, status="partial", document=LATENCY))
    assert judged.status == "INCONCLUSIVE"
    assert [each.status for each in judged.trials] == ["PASS", "INCONCLUSIVE"]
    assert "trial 1: cut short: interrupted" in judged.reasons


def test_a_job_whose_stages_miss_its_latency_makes_the_run_invalid(tmp_path: Path) -> None:
    at = ROW["intended_ns"]
    wrong = delivery(ROW, enqueued_ns=at + 42 * 1_000_000)
    judged = verdict.judge(seal(tmp_path, Sketch([ROW], [wrong], calls=[call(ROW)])))
    assert judged.status == "INVALID"
    assert "clock or join error: the stages of a job miss its latency by 1.00 ms" in judged.reasons


def test_reasons_of_different_trials_stay_apart(tmp_path: Path) -> None:
    facts = {"label": "workers=1"}
    run = seal(tmp_path, _slow(**facts), _slow(**facts, repetition=1), document=LATENCY)
    assert verdict.judge(run).reasons == (
        "workers=1 #1: latency p(50)<50ms does not hold: 60.0 ms",
        "workers=1 #2: latency p(50)<50ms does not hold: 60.0 ms",
    )


def test_a_run_without_trials_is_inconclusive(tmp_path: Path) -> None:
    judged = verdict.judge(seal(tmp_path, status="partial"))
    assert judged.status == "INCONCLUSIVE"
    assert "no trial was measured" in judged.reasons


def test_a_run_is_judged_once(tmp_path: Path) -> None:
    run = seal(tmp_path, _good())
    assert verdict.judge(run) is verdict.judge(run)


def test_a_system_that_did_nothing_fails_even_without_thresholds(tmp_path: Path) -> None:
    refused = [request(seq, status=404) for seq in range(3)]
    judged = verdict.judge(seal(tmp_path, Sketch(refused, [])))
    assert judged.status == "FAIL"
    assert "no job was done: of 3 planned 3 were refused" in judged.reasons[0]


def test_a_count_that_its_rows_contradict_is_said_once(tmp_path: Path) -> None:
    sketch = _good(generator={"planned": 5, "sent": 5, "accepted": 5})
    reasons = verdict.judge(seal(tmp_path, sketch)).reasons
    assert [each for each in reasons if "planned" in each] == [
        "lost rows: the generator counted 5 planned, its rows say 1"
    ]


def _of(scenario: str, kind: Sketch) -> Sketch:
    kind.facts = {**kind.facts, "scenario": scenario, "label": ""}
    return kind


def test_of_several_scenarios_each_trial_has_one_sentence_the_worst_first(tmp_path: Path) -> None:
    two = {"threshold": [*LATENCY["threshold"], {"metric": "service", "expr": "max<1ms"}]}
    good, slow = _of("light", _good()), _of("heavy", _slow())
    slow.facts = {**slow.facts, "document": two}
    good.facts = {**good.facts, "document": LATENCY}
    judged = verdict.judge(seal(tmp_path, good, slow))
    assert judged.reasons == ("heavy: latency p(50)<50ms does not hold: 60.0 ms (and 1 more)",)
    assert len(judged.trials[1].reasons) == 2


def test_beyond_six_the_sentences_of_a_suite_are_counted(tmp_path: Path) -> None:
    kinds = [_slow() if number < 8 else _good() for number in range(12)]
    trials = [_of(f"scenario-{number}", kind) for number, kind in enumerate(kinds)]
    for each in trials:
        each.facts = {**each.facts, "document": LATENCY}
    judged = verdict.judge(seal(tmp_path, *trials))
    assert len(judged.reasons) == 6
    assert judged.reasons[0] == "scenario-0: latency p(50)<50ms does not hold: 60.0 ms"
    assert judged.reasons[-1] == "and 3 more; of 12 trials 8 FAIL, 4 PASS"


def test_a_saturated_trial_of_a_suite_has_its_sentence_although_it_passes(tmp_path: Path) -> None:
    full = Sketch([ROW, dropped(1, 13 * SECOND)], [delivery(ROW)], calls=[call(ROW)])
    judged = verdict.judge(seal(tmp_path, _of("light", _good()), _of("heavy", full)))
    assert judged.status == "PASS"
    assert judged.reasons[0].startswith("heavy: SATURATED: it does not sustain the offered 10.0/s")
    assert judged.reasons[1] == "no thresholds: observed, not inferred"
