"""The phases of a load, and what came of each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit import frames
from perfkit.scenario import parse
from tests.courses import START, Phase, phased
from tests.sealed import SECOND, Sketch, delivery, request, seal, waiting

CALM, SPIKE, AFTER = Phase("calm", 10, 20), Phase("spike", 10, 120, ramp=4), Phase("after", 10, 20)


def test_a_load_without_phases_has_one(tmp_path: Path) -> None:
    row = request(0)
    run = seal(tmp_path, Sketch([row], [delivery(row)], facts={"offered_per_s": 7.0}))
    (found,) = frames.phases(run).to_dict("records")
    assert (found["name"], found["phase"], found["unit"]) == ("window", 0, "jobs/s")
    assert (found["begin_s"], found["end_s"]) == (1.0, 11.0)
    assert (found["level_start"], found["level_end"]) == (7.0, 7.0)
    assert found["offered_per_s"] == found["done_per_s"] == 0.1
    assert found["p50_ns"] == found["p99_ns"] == 41e6


def test_users_are_the_level_of_a_closed_load_without_phases(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch(facts={"model": "closed", "users": 100}))
    (found,) = frames.phases(run).to_dict("records")
    assert (found["level_end"], found["unit"]) == (100.0, "users")


def test_each_phase_has_its_own_rates_levels_and_latency(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=100))
    table = frames.phases(run)
    assert table["name"].tolist() == ["calm", "spike", "after"]
    assert table["phase"].tolist() == [0, 1, 2]
    assert table["begin_s"].tolist() == [1.0, 11.0, 21.0]
    assert table["end_s"].tolist() == [11.0, 21.0, 31.0]
    assert table["level_start"].tolist() == [20.0, 20.0, 20.0]
    assert table["level_end"].tolist() == [20.0, 120.0, 20.0]
    # In the ramp from 20 to 120 in 4 s 280 come due, in the 6 s after it 720.
    assert table["offered_per_s"].tolist() == pytest.approx([20.0, 100.0, 20.0])
    assert table["done_per_s"].tolist() == pytest.approx([20.0, 100.0, 20.0], abs=1.0)
    assert table["p99_ns"].tolist() == pytest.approx([55e6] * 3)
    assert table["trial"].dtype == "int64"


def test_the_phases_share_out_the_jobs_of_the_window(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=3))
    table = frames.phases(run)
    jobs = frames.jobs(run)
    length = table["end_s"] - table["begin_s"]
    assert (table["offered_per_s"] * length).sum() == pytest.approx(jobs["in_window"].sum())
    for row in table.to_dict("records"):
        at_s = (jobs["intended_ns"] - START) / 1e9
        mine = jobs[(at_s >= row["begin_s"]) & (at_s < row["end_s"])]["latency_ns"]
        assert row["p95_ns"] == pytest.approx(np.quantile(mine.to_numpy(), 0.95))


def test_the_backlog_of_a_phase_is_what_waited_at_its_ends(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER))
    table = frames.phases(run)
    assert table["backlog_begin"].tolist()[1:] == table["backlog_end"].tolist()[:2]
    assert table["backlog_end"].iloc[1] == pytest.approx(1000 - 80 * 10 + 80 * 0.6, abs=45)


def test_unfinished_jobs_of_a_phase_are_infinite(tmp_path: Path) -> None:
    sketch = phased(Phase("first", 5, 10), Phase("second", 5, 10))
    last = sketch.requests[-1]
    sketch.jobs = [*sketch.jobs[:-1], waiting(last)]
    table = frames.phases(seal(tmp_path, sketch))
    assert math.isfinite(table["p99_ns"].iloc[0])
    assert math.isinf(table["p99_ns"].iloc[1])


def test_a_phase_that_a_trial_never_reached_has_no_row_and_one_it_broke_off_ends_there(
    tmp_path: Path,
) -> None:
    sketch = phased(CALM, SPIKE, AFTER)
    cut = dict(sketch.facts["instants_ns"]) | dict.fromkeys(
        ("window_end", "load_end", "drain_end"), START + 16 * SECOND
    )
    sketch.facts = {**sketch.facts, "instants_ns": cut, "outcome": "partial"}
    run = seal(tmp_path, sketch)
    assert frames.phases(run)["end_s"].tolist() == [11.0, 16.0]
    assert [each.whole for each in frames.phases_of(run.facts(0))] == [True, False]
    assert frames.spans_of(run.facts(0), "after") == ()


def test_the_time_of_a_threshold_is_the_window_its_steady_parts_or_a_phase(tmp_path: Path) -> None:
    facts = seal(tmp_path, phased(CALM, SPIKE, AFTER)).facts(0)

    def spans(over: str) -> list[tuple[float, float]]:
        return [((a - START) / 1e9, (b - START) / 1e9) for a, b in frames.spans_of(facts, over)]

    assert spans("window") == [(1, 31)]
    assert spans("steady") == [(1, 11), (15, 31)]
    assert spans("spike") == [(11, 21)]
    assert spans("nowhere") == []


def test_a_run_without_trials_has_the_columns(tmp_path: Path) -> None:
    table = frames.phases(seal(tmp_path, status="partial"))
    assert table.empty
    assert "backlog_end" in table


def test_the_phases_are_those_of_the_scenario(tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "name": "test",
        "load": {
            "model": "closed",
            "ramp": "1s",
            "phase": [
                {"name": "calm", "duration": "10s", "users": 20},
                {"duration": "10s", "users": 120, "ramp": "4s"},
            ],
        },
        "window": {"warmup": "2s"},
        "job": [{"queue": "payments"}],
        "gateway": {"payments": {"median": "40ms"}},
    }
    scenario = parse(document, "a test")
    course = [
        {name: getattr(each, name) for name in type(each).__dataclass_fields__}
        for each in scenario.stretches
    ]
    start = START + scenario.window_start_ns
    instants = {
        "load_start": START,
        "window_start": start,
        **dict.fromkeys(("window_end", "load_end", "drain_end"), start + scenario.window_ns),
    }
    facts = {"stretches": course, "model": "closed", "instants_ns": instants}
    calm, second = frames.phases_of(seal(tmp_path, Sketch(facts=facts)).facts(0))
    assert (calm.name, calm.begin_ns, calm.end_ns) == ("calm", start, start + 10 * SECOND)
    assert (calm.level, second.level, second.level_start) == (20.0, 120.0, 20.0)
    assert (second.name, second.steady_ns) == ("2", start + 14 * SECOND)
