"""The three lines a person wants to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfkit import verdict
from perfkit.store import open_run
from tests.sealed import Sketch, sample, seal
from tests.verdict.test_saturation import queue_of

EXAMPLES = Path(__file__).resolve().parents[2] / "notebooks" / "example_data"


def _sized(workers: int, rate: float = 120) -> Sketch:
    sketch = queue_of(rate, 49, 4 * workers)
    pools = [{"name": "worker", "workers": workers, "threads": 4}]
    sketch.facts = {
        "offered_per_s": rate,
        "label": f"workers={workers}",
        "axes": {"stack.workers": workers},
        "settings": {"pools": pools},
    }
    return sketch


def test_a_sweep_over_workers_says_how_many_carry_the_load(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1), _sized(2), _sized(4)))
    assert said.status == "PASS"
    assert said.sentence == "PASS: no thresholds, observed, not inferred"
    assert (
        said.lines[0] == "2 workers carried 120/s; 1 worker did not sustain 120/s and did 80.0/s."
    )
    assert said.lines[1].startswith("workers=2: 120/s done; latency from the intended time P50")
    assert said.lines[2].startswith("workers=1: the worker slots are used up (100 %")


def test_when_the_cores_are_used_up_that_is_said(tmp_path: Path) -> None:
    busy = _sized(1)
    busy.samples = [sample(k, "host.cpu_busy_ns", 1.95e9 * k) for k in range(15)]
    said = verdict.headline(seal(tmp_path, busy))
    assert said.lines[0] == "1 worker did not sustain the offered 120/s: the capacity is 80.0/s."
    assert said.lines[2] == "workers=1: the cores are used up (1.9 of 2 in use)."


def test_when_nothing_is_used_up_the_longest_stage_is_named(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(2, rate=40)))
    assert said.lines[0] == "2 workers carried the offered 40.0/s: 40.0/s were done."
    assert said.lines[1].startswith("Over the window: 40.0/s done")
    assert "most of a job's time is service" in said.lines[2]


def test_when_no_number_of_workers_is_enough_that_is_said(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1, rate=300), _sized(2, rate=300)))
    assert said.lines[0].startswith("No number of workers tried carried the load: 2 workers")


def test_trials_that_differ_in_something_else_are_counted(tmp_path: Path) -> None:
    said = verdict.headline(seal(tmp_path, _sized(1), _sized(1, rate=40), _sized(2)))
    assert said.lines[0] == "2 of 3 trials carried their load; saturated: workers=1."


def test_without_load_there_is_nothing_to_say(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"offered_per_s": 0.0}
    for number, trials in enumerate(([], [Sketch(facts=empty)])):
        said = verdict.headline(seal(tmp_path / str(number), *trials))
        assert said.lines[0] == "No load was carried to its end."
        assert len(said.lines) == 3


def test_the_example_runs_are_judged_as_they_were_made() -> None:
    good = verdict.headline(open_run(EXAMPLES / "good"))
    assert good.status == "PASS"
    assert good.sentence.endswith("(simulated data)")
    assert good.lines[0].startswith("2 workers carried 90.0/s; 1 worker did not sustain 90.0/s")
    bad = verdict.judge(open_run(EXAMPLES / "bad"))
    assert bad.status == "FAIL"
    assert [each.status for each in bad.trials] == ["FAIL", "FAIL", "INCONCLUSIVE", "FAIL"]
