"""The few lines a person wants to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfkit import verdict
from tests.courses import Phase, phased
from tests.examples import example
from tests.sealed import Sketch, left, sample, seal, waiting
from tests.verdict.test_sustaining import queue_of, wavering


def _sized(workers: int, rate: float = 120, **facts: Any) -> Sketch:
    sketch = queue_of(rate, 49, 4 * workers)
    pools = [{"name": "worker", "workers": workers, "threads": 4}]
    sketch.facts = {
        "offered_per_s": rate,
        "label": f"workers={workers}",
        "axes": {"stack.workers": workers},
        "settings": {"pools": pools},
    } | facts
    return sketch


def test_a_sweep_over_workers_says_how_many_carry_the_load(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1), _sized(2), _sized(4)))
    assert said.status == "PASS"
    assert said.sentence == "PASS: no thresholds, observed, not inferred"
    assert (
        said.lines[0] == "2 workers carried 120/s; 1 worker did not sustain 120/s and did 80.0/s."
    )
    assert said.lines[1].startswith(
        "workers=2: offered 120/s, came due 120/s, 120/s done; latency from the intended time P50"
    )
    assert said.lines[2].startswith("workers=1: the worker slots are used up (100 %")
    assert said.lines[2].endswith("More workers than free cores: workers=4 (4 on 2).")


def test_when_the_cores_are_used_up_that_is_said(tmp_path: Path) -> None:
    busy = _sized(1)
    busy.samples = [sample(k, "host.cpu_busy_ns", 1.95e9 * k) for k in range(15)]
    said = verdict.headline(seal(tmp_path, busy))
    assert said.lines[0] == "1 worker did not sustain 120/s and did 80.0/s."
    assert said.lines[2].startswith("workers=1: the cores are used up (1.9 of 2 in use")


def test_when_nothing_is_used_up_the_nearest_limit_and_the_longest_stage_are_named(
    tmp_path: Path,
) -> None:
    sketch = _sized(2, rate=40)
    said = verdict.headline(seal(tmp_path / "slots", sketch))
    assert said.lines[0] == "2 workers carried 40.0/s."
    assert said.lines[1].startswith("Over the window: offered 40.0/s, came due 40.0/s, 40.0/s done")
    assert "nearest to its limit: slots, 25 % in use (cores not sampled)" in said.lines[2]
    assert "most of a job's time is service" in said.lines[2]
    sketch.samples = [sample(k, "host.cpu_busy_ns", 1.72e9 * k) for k in range(15)]
    said = verdict.headline(seal(tmp_path / "cores", sketch))
    assert "nearest to its limit: cores, 86 % busy (slots 25 %)" in said.lines[2]


def test_a_load_that_is_carried_with_no_core_left_is_no_load_with_room(tmp_path: Path) -> None:
    sketch = _sized(2, rate=40)
    sketch.samples = [sample(k, "host.cpu_busy_ns", 1.9e9 * k) for k in range(15)]
    assert "the cores are used up" in verdict.headline(seal(tmp_path, sketch)).lines[2]


def test_when_no_number_of_workers_is_enough_that_is_said(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1, rate=300), _sized(2, rate=300)))
    assert said.lines[0].startswith("No number of workers tried carried the load: 2 workers")


def test_trials_that_differ_in_something_else_are_told_apart(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1), _sized(1, rate=40), _sized(2)))
    assert said.lines[0] == (
        "2 workers carried 120/s; 1 worker did not sustain 120/s and did 80.0/s; "
        "1 worker carried 40.0/s."
    )


def test_many_variants_are_counted(tmp_path: Path) -> None:
    rates = (20, 30, 40, 120)
    run = seal(tmp_path, *(_sized(1, rate=rate, label=f"rate={rate}") for rate in rates))
    said = verdict.headline(run).lines[0]
    assert said == "3 of 4 trials carried their load; saturated: rate=120."


def test_a_number_of_workers_carries_only_if_it_did_in_every_repeat(tmp_path: Path) -> None:
    lucky = queue_of(40, 49, 4)  # the same load is asked for; this time less came
    unlucky = [_sized(1, repetition=1), _sized(1, repetition=2)]
    first = _sized(1)
    first.requests, first.jobs, first.calls = lucky.requests, lucky.jobs, lucky.calls
    first.leftovers = []
    said = verdict.headline(seal(tmp_path, first, *unlucky))
    assert said.lines[0] == "1 worker did not sustain 120/s in 2 of 3 repeats and did 80.0/s."
    assert "(the middle of 3 repeats by P95)" in said.lines[1]


def test_each_scenario_has_its_clause(tmp_path: Path) -> None:
    first, light = _sized(1, scenario="first"), _sized(1, rate=40, scenario="light")
    said = verdict.headline(seal(tmp_path, first, light))
    worst, good = said.lines
    assert worst.startswith("first: 1 worker did not sustain 120/s and did 80.0/s; P50 ")
    assert worst.endswith("; the worker slots are used up.")
    assert good == (
        "light: 1 worker carried 40.0/s; P50 55.0 ms and P95 55.0 ms; slots 50 % in use."
    )


def test_what_is_cut_short_or_invalid_carries_nothing(tmp_path: Path) -> None:
    cut = _sized(1, rate=40, outcome="partial")
    wrong = _sized(2, rate=40, recorder={"lost": 3})
    said = verdict.headline(seal(tmp_path / "some", cut, wrong, _sized(3, rate=40)))
    assert said.status == "INVALID"
    assert said.lines[0] == "3 workers carried 40.0/s. 1 of 3 planned trials count."
    assert "workers=1" not in said.lines[1]
    none = verdict.headline(seal(tmp_path / "none", cut, wrong))
    assert none.lines[0] == "No load was carried to its end."


def test_what_is_not_decided_is_not_said_to_carry(tmp_path: Path) -> None:
    sketch = wavering(_sized(2, rate=40))
    said = verdict.headline(seal(tmp_path, sketch))
    assert said.lines[0] == (
        "Whether 2 workers can carry 40.0/s is not decided: lengthen the window."
    )


def test_a_closed_model_says_its_users_and_what_that_means(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(2, rate=40, model="closed", users=100)))
    assert said.lines[0] == (
        "2 workers carried 100 users (at most 40.0/s). "
        "Closed model: a slow reply delays the requests after it."
    )
    assert "closed model, offered 100 users (at most 40.0/s), came due 40.0/s" in said.lines[1]


def test_without_load_there_is_nothing_to_say(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"offered_per_s": 0.0}
    for number, trials in enumerate(([], [Sketch(facts=empty)])):
        said = verdict.headline(seal(tmp_path / str(number), *trials))
        assert said.lines[0] == "No load was carried to its end."
        assert len(said.lines) == 3


def test_the_example_runs_are_judged_as_they_were_made() -> None:
    good = verdict.headline(example("good").stored)
    assert good.status == "PASS"
    assert good.sentence.endswith("(simulated data)")
    assert good.lines[0].startswith("2 workers carried 90.0/s; 1 worker did not sustain 90.0/s")
    bad = verdict.judge(example("bad").stored)
    assert bad.status == "FAIL"
    assert [each.status for each in bad.trials] == ["FAIL", "FAIL", "INCONCLUSIVE", "FAIL", "FAIL"]


def _suite(*rates: float, **more: Any) -> list[Sketch]:
    return [
        _sized(1, rate=rate, scenario=f"s{number}", label="", axes={}, **more)
        for number, rate in enumerate(rates)
    ]


def test_a_suite_has_a_sentence_for_each_scenario_the_worst_first(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, *_suite(40, 120, 30)))
    assert [line.partition(":")[0] for line in said.lines] == ["s1", "s0", "s2"]
    assert all(line.count(". ") == 0 for line in said.lines)


def test_what_goes_beyond_the_sixth_line_of_a_suite_is_counted(tmp_path: Path) -> None:
    sketches = _suite(40, 120, 30, 20, 120, 30, 40, 20, 30, 40, 120, 10)
    said = verdict.headline(seal(tmp_path, *sketches))
    assert len(said.lines) == 6
    assert [line.partition(":")[0] for line in said.lines[:5]] == ["s1", "s4", "s10", "s0", "s2"]
    assert said.lines[5] == "7 more scenarios: 7 carried."


def test_a_scenario_without_a_sound_trial_says_why(tmp_path: Path) -> None:
    good, wrong, cut = _suite(40, 30, 20)
    wrong.facts = {**wrong.facts, "recorder": {"lost": 3}}
    cut.facts = {**cut.facts, "outcome": "partial", "reason": "interrupted"}
    said = verdict.headline(seal(tmp_path, good, wrong, cut))
    assert said.lines[0] == "s1: INVALID, lost rows: the recorder lost 3 events."
    assert said.lines[1] == "s2: INCONCLUSIVE, cut short: interrupted."
    assert said.lines[2].startswith("s0: 1 worker carried 40.0/s")
    assert said.lines[3] == "1 of 3 planned trials count."
    assert "in 1 of 3 trials" in said.sentence


def test_a_suite_says_in_how_many_trials_a_threshold_failed(tmp_path: Path) -> None:
    document = {"threshold": [{"metric": "throughput", "expr": "avg>35/s"}]}
    said = verdict.headline(seal(tmp_path, *_suite(40, 30, 20, document=document)))
    assert said.sentence.startswith(
        "FAIL: a threshold does not hold, in 2 of 3 trials (s1: throughput avg>35/s does not hold"
    )


STEPS = [Phase(str(number), 6, 20.0 * number) for number in (1, 2, 3, 5, 6)]
SPIKE = [Phase("calm", 10, 40), Phase("spike", 10, 120), Phase("after", 30, 40)]


def test_a_load_in_steps_says_the_highest_level_it_carried(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, phased(*STEPS, users=10, drain_s=10)))
    assert said.lines[0] == (
        "1 worker carried 600 users; at 1\u202f000 users it did not. "
        "Closed model: a slow reply delays the requests after it."
    )
    assert "offered up to 1\u202f200 users, came due 6" in said.lines[1]


def test_a_spike_says_how_soon_it_was_over(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, phased(*SPIKE)))
    # 400 more came than were done; at 40/s they go in 10 s.
    assert said.lines[0] == (
        "1 worker carried 40.0/s; at 120/s it did not; recovered 10.0 s after the peak."
    )


def test_a_spike_that_is_not_over_at_the_end_says_so(tmp_path: Path) -> None:
    short = [*SPIKE[:2], Phase("after", 6, 40)]
    said = verdict.headline(seal(tmp_path, phased(*short, drain_s=1)))
    assert said.lines[0] == (
        "1 worker carried 40.0/s; at 120/s it did not; "
        "the backlog of the peak was not gone at the end."
    )


def test_a_load_with_phases_that_was_carried_says_up_to_where(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, phased(*SPIKE, slots=12)))
    assert said.lines[0] == "1 worker carried up to 120/s."


def test_workers_that_came_and_went_are_told_as_a_range(tmp_path: Path) -> None:
    second = 1_000_000_000
    lives = [
        {"name": f"w-{number}", "pool": "worker", "started_ns": at, "ready_ns": at,
         "stop_ns": None, "ended_ns": None}
        for number, at in enumerate((8 * second, 16 * second, 16 * second))
    ]  # fmt: skip
    said = verdict.headline(seal(tmp_path, _sized(1, rate=40, worker_lives=lives)))
    assert said.lines[0] == "1 to 3 workers carried 40.0/s."
    assert said.lines[2].endswith("More workers than free cores: workers=1 (3 on 2).")


def test_a_latency_among_unfinished_jobs_is_at_least_what_they_waited(tmp_path: Path) -> None:
    sketch = _sized(2, rate=40)
    half = len(sketch.requests) // 2
    sketch.jobs = [*sketch.jobs[:half], *map(waiting, sketch.requests[half:])]
    sketch.calls = sketch.calls[:half]
    sketch.leftovers = [left(row, "list") for row in sketch.requests[half:]]
    said = verdict.headline(seal(tmp_path, sketch))
    # Four seconds of drain after the window.
    assert "P95 at least 4.00 s, P99 at least 4.00 s" in said.lines[1]
