"""Loads with phases: each is judged, and the trial by the worst."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit import verdict
from perfkit.store import StoredRun
from tests.courses import START, Phase, phased
from tests.sealed import SECOND, Sketch, dropped, seal

# Four slots of 50 ms do 80 jobs a second.
CALM, SPIKE, AFTER = Phase("calm", 10, 40), Phase("spike", 10, 120, ramp=2), Phase("after", 20, 40)
STEPS = [Phase(str(number), 6, 20.0 * number) for number in range(1, 7)]


def states(run: StoredRun) -> list[str]:
    return [str(each) for each in verdict.phases(run)["state"]]


def test_a_spike_above_what_the_slots_can_do_is_not_sustained(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER))
    assert states(run) == ["carried", "saturated", "carried"]
    found = verdict.saturation(run, 0)
    assert found.state == "saturated"
    assert found.trend is None
    assert found.capacity_per_s == pytest.approx(80, abs=1)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(
        "the phase spike (120/s) was not sustained: the backlog grew by 40"
    )


def test_the_reason_of_a_closed_model_names_its_users(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, users=20))
    assert (
        "the phase spike (2\u202f400 users) was not sustained"
        in (verdict.saturation(run, 0).reasons[0])
    )


def test_the_verdict_says_the_phase_and_the_capacity(tmp_path: Path) -> None:
    judged = verdict.judge(seal(tmp_path, phased(CALM, SPIKE, AFTER)))
    assert judged.status == "PASS"
    assert judged.reasons[-2].startswith("SATURATED: the phase spike (120/s) was not sustained")
    assert "its capacity is 80" in judged.reasons[-2]


def test_a_load_with_phases_that_all_hold_is_carried(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=8))
    assert states(run) == ["carried"] * 3
    found = verdict.saturation(run, 0)
    assert (found.state, found.reasons) == ("carried", ())
    assert math.isnan(found.capacity_per_s)


def test_steps_are_carried_up_to_the_capacity(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(*STEPS, drain_s=10))
    assert states(run)[:3] == ["carried"] * 3
    assert states(run)[4:] == ["saturated"] * 2


def test_what_rises_in_a_ramp_is_no_growth(tmp_path: Path) -> None:
    # The ramp overshoots nothing: at its end all slots are full, and the level holds.
    steep = Phase("steep", 16, 79, ramp=8)
    run = seal(tmp_path, phased(Phase("calm", 10, 10), steep))
    assert states(run) == ["carried", "carried"]


@pytest.mark.parametrize(("rate", "state"), [(60, "carried"), (160, "saturated")])
def test_a_phase_too_short_for_a_trend_is_judged_by_its_ends(
    tmp_path: Path, rate: float, state: str
) -> None:
    run = seal(tmp_path, phased(CALM, Phase("burst", 3, rate), AFTER))
    assert states(run) == ["carried", state, "carried"]
    if state == "saturated":
        assert "the backlog grew by 2" in verdict.saturation(run, 0).reasons[0]
        assert "jobs in 3.0 s (480 came due)" in verdict.saturation(run, 0).reasons[0]


def test_a_phase_that_is_all_ramp_is_judged_as_a_whole(tmp_path: Path) -> None:
    climb = Phase("climb", 4, 300, ramp=4)
    assert states(seal(tmp_path, phased(CALM, climb, AFTER)))[1] == "saturated"


def test_what_was_dropped_belongs_to_its_phase(tmp_path: Path) -> None:
    sketch = phased(CALM, SPIKE, AFTER, slots=8)
    extra = [dropped(9_000 + k, START + 15 * SECOND + k) for k in range(3)]
    sketch.requests = [*sketch.requests, *extra]
    run = seal(tmp_path, sketch)
    assert states(run) == ["carried", "saturated", "carried"]
    assert "the in-flight cap filled: 3 of" in verdict.saturation(run, 0).reasons[0]


def test_a_phase_without_load_asks_for_nothing(tmp_path: Path) -> None:
    pause = Phase("pause", 6, 0)
    run = seal(tmp_path, phased(CALM, pause, AFTER))
    assert states(run) == ["carried"] * 3
    assert verdict.phases(run)["offered_per_s"].tolist()[1] == 0


def test_a_phase_in_which_the_trial_was_cut_short_is_undecided(tmp_path: Path) -> None:
    sketch = phased(CALM, SPIKE, AFTER, slots=8)
    cut = dict(sketch.facts["instants_ns"]) | dict.fromkeys(
        ("window_end", "load_end", "drain_end"), START + 19 * SECOND
    )
    sketch.facts = {**sketch.facts, "instants_ns": cut, "outcome": "partial"}
    run = seal(tmp_path, sketch)
    assert states(run) == ["carried", "undecided"]
    assert verdict.saturation(run, 0).state == "partial"


def test_a_load_without_phases_has_the_state_of_its_trial(tmp_path: Path) -> None:
    run = seal(
        tmp_path,
        phased(Phase("window", 10, 40)),
        phased(Phase("window", 10, 120)),
        Sketch(),
    )
    assert states(run) == ["carried", "saturated", "undecided"]


def test_where_one_phase_is_not_decided_neither_is_the_trial(tmp_path: Path) -> None:
    sketch = phased(CALM, Phase("swing", 10, 40), AFTER, slots=8, service_ms=20)
    for job in sketch.jobs:
        at = job["enqueued_ns"]
        inside = START + 11 * SECOND <= at < START + 21 * SECOND
        later = (
            (at // (4 * SECOND) + 1) * 4 * SECOND - at if inside and at // (2 * SECOND) % 2 else 0
        )
        for name in ("fetched_ns", "started_ns", "finished_ns", "acked_ns"):
            job[name] += later
    found = verdict.saturation(seal(tmp_path, sketch), 0)
    assert [each.state for each in found.phases] == ["carried", "undecided", "carried"]
    assert found.state == "undecided"
    assert found.reasons[0].startswith(
        "it is not decided whether the phase swing (40.0/s) was carried: lengthen it"
    )


def test_one_queue_that_grows_in_one_phase_is_named(tmp_path: Path) -> None:
    sketch = phased(CALM, Phase("busy", 10, 60), AFTER, slots=12)
    spared = {"fetched_ns": None, "started_ns": None, "finished_ns": None, "acked_ns": None}
    for row, job in zip(sketch.requests, sketch.jobs, strict=True):
        busy = START + 11 * SECOND <= row["intended_ns"] < START + 21 * SECOND
        if row["seq"] % 10 == 0:
            row["queue"] = job["queue"] = "rare"
            if busy:
                job.update(spared | {"outcome": "enqueued", "delivery": 0, "worker": None})
    run = seal(tmp_path, sketch)
    assert states(run)[1] == "saturated"
    assert "the backlog of rare grew by 6.0" in verdict.saturation(run, 0).reasons[0]


@settings(max_examples=12, deadline=None)
@given(st.floats(0.3, 1.9), st.integers(1, 3))
def test_a_constant_load_is_carried_below_the_capacity_and_not_above(
    tmp_path_factory: pytest.TempPathFactory, use: float, place: int
) -> None:
    if abs(use - 1) < 0.1:
        return  # too near to tell in a window so short
    phases: list[Any] = [CALM, CALM, CALM]
    phases.insert(place, Phase("tried", 8, round(80 * use)))
    run = seal(tmp_path_factory.mktemp("use"), phased(*phases, drain_s=12))
    assert states(run)[place] == ("saturated" if use > 1 else "carried")
