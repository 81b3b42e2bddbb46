"""Workers that come and go."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit import frames
from perfkit.store.facts import TrialFacts
from tests.courses import START, Phase, phased
from tests.sealed import SECOND, Row, Sketch, delivery, facts, request, seal


def at(seconds: float) -> int:
    """An instant, from the start of load."""
    return START + round(seconds * SECOND)


def life(name: str, **given: float | None) -> Row:
    """A worker that was there from before the load, and stays, unless told otherwise."""
    row: dict[str, float | None] = {"started": -3, "ready": -2, "stop": None, "ended": None}
    return {"name": name, "pool": "worker"} | {
        f"{key}_ns": None if value is None else at(value) for key, value in (row | given).items()
    }


ONE = life("worker-1")
LATER = life("worker-2", started=4, ready=5, stop=8, ended=9)


def event(**given: Any) -> Row:
    row = {
        "at_ns": at(4),
        "pool": None,
        "from_workers": 1,
        "to_workers": 2,
        "reason": "planned",
        "done_ns": at(5.5),
        "error": None,
    }
    return row | given


def test_a_change_tells_when_why_and_how_long_it_took(tmp_path: Path) -> None:
    late = event(at_ns=at(2), done_ns=None, error="it did not start", reason="stack scale")
    run = seal(tmp_path, Sketch(facts={"scale_events": [event(), late]}), Sketch())
    table = frames.scale_events(run)
    assert table["at_s"].tolist() == [2.0, 4.0]
    assert table["took_s"].tolist() == pytest.approx([math.nan, 1.5], nan_ok=True)
    assert table["reason"].tolist() == ["stack scale", "planned"]
    assert table["error"].isna().tolist() == [False, True]
    assert table["error"].iloc[0] == "it did not start"
    assert table["pool"].tolist() == ["", ""]
    assert (table["from_workers"].tolist(), table["to_workers"].tolist()) == ([1, 1], [2, 2])


def test_without_changes_there_are_no_rows_but_the_columns(tmp_path: Path) -> None:
    table = frames.scale_events(seal(tmp_path, Sketch()))
    assert table.empty
    assert table.columns.tolist()[:4] == ["trial", "label", "at_s", "pool"]


def test_workers_that_take_jobs_are_a_step_function_by_pool(tmp_path: Path) -> None:
    never = life("worker-3", started=6, ready=None)
    other = life("mail-1") | {"pool": "mail"}
    run = seal(tmp_path, Sketch(facts={"worker_lives": [ONE, LATER, never, other]}))
    table = frames.workers_over_time(run, 0)
    mine = table[table["pool"] == "worker"]
    assert list(zip(mine["at_s"], mine["workers"], strict=True)) == [
        (0.0, 1),
        (5.0, 2),
        (8.0, 1),
        (15.0, 1),
    ]
    assert table[table["pool"] == "mail"]["workers"].tolist() == [1, 1]


def test_workers_of_a_run_that_knows_no_lives_stay_as_many(tmp_path: Path) -> None:
    table = frames.workers_over_time(seal(tmp_path, Sketch()), 0)
    assert table.to_dict("list") == {"at_s": [0.0, 15.0], "pool": ["worker"] * 2, "workers": [1, 1]}


def test_a_worker_costs_from_its_start_to_its_end_in_the_window(tmp_path: Path) -> None:
    gone = life("worker-3", stop=0, ended=0.5)
    run = seal(tmp_path, Sketch(facts={"worker_lives": [ONE, LATER, gone]}), Sketch())
    table = frames.worker_time(run)
    assert table["worker_s"].tolist() == [15.0, 10.0]
    assert table["mean_workers"].tolist() == [1.5, 1.0]
    assert table["least_workers"].tolist() == [1, 1]
    assert table["most_workers"].tolist() == [2, 1]
    assert table["recovery_s"].isna().all()


@given(
    st.lists(
        st.tuples(st.integers(-30, 200), st.integers(0, 100), st.booleans()), min_size=1, max_size=8
    )
)
def test_worker_seconds_are_the_area_below_the_number_of_workers(
    lives: list[tuple[int, int, bool]],
) -> None:
    rows = [
        life(f"w-{index}", started=since / 10, ended=None if stays else (since + lasted) / 10)
        for index, (since, lasted, stays) in enumerate(lives)
    ]
    found = frames.force(TrialFacts.parse(facts(worker_lives=rows)))
    # The window is from 1 s to 11 s; everything happens at whole tenths of a second.
    alive = [
        sum(since <= tick and (stays or tick < since + lasted) for since, lasted, stays in lives)
        for tick in range(10, 110)
    ]
    assert found.mean == pytest.approx(sum(alive) / 100)
    assert (found.least, found.most) == (min(alive), max(alive))


def test_slots_count_as_long_as_their_worker_was_ready(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(10)]
    jobs = [
        delivery(row, started_ns=at(5), finished_ns=at(8), acked_ns=at(8), enqueued_ns=at(2))
        for row in rows[:6]
    ]
    lives = {"worker_lives": [ONE, LATER]}
    run = seal(tmp_path, Sketch(rows, jobs, facts=lives), Sketch(rows, jobs))
    # 4 slots for 10 s, and 4 more for 4 s.
    assert frames.slot_use(run, 0) == pytest.approx(6 * 3 / (40 + 16))
    assert frames.slot_use(run, 1) == pytest.approx(6 * 3 / 40)
    assert frames.trials(run)["slots"].tolist() == [6, 4]


def test_efficiency_is_of_the_workers_there_were_on_average(tmp_path: Path) -> None:
    def trial(workers: int, **more: Any) -> Sketch:
        rows = [request(seq, 12 * SECOND + seq) for seq in range(12)]
        pools = {"pools": [{"name": "worker", "workers": workers, "threads": 4}]}
        axes = {"stack.workers": workers}
        return Sketch(
            rows, [delivery(r) for r in rows], facts={"settings": pools, "axes": axes} | more
        )

    run = seal(tmp_path, trial(1), trial(2, worker_lives=[ONE, LATER]))
    assert frames.trials(run)["efficiency"].tolist() == pytest.approx([1.0, 1 / 1.5])


CALM, SPIKE, AFTER = Phase("calm", 6, 40), Phase("spike", 6, 120), Phase("after", 20, 40)


def test_recovery_is_from_the_end_of_the_highest_phase_until_few_wait_again(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER))
    # 4 slots do 80/s: 240 are left when 720 came in 6 s; at 40/s they go in 6 s.
    assert frames.worker_time(run)["recovery_s"].iloc[0] == pytest.approx(6, abs=0.3)


def test_a_peak_that_was_carried_needs_no_recovery(tmp_path: Path) -> None:
    run = seal(tmp_path, phased(CALM, SPIKE, AFTER, slots=12))
    assert frames.worker_time(run)["recovery_s"].tolist() == [0.0]


def test_what_still_waits_at_the_end_has_not_recovered(tmp_path: Path) -> None:
    long = Phase("spike", 30, 160)
    run = seal(tmp_path, phased(CALM, long, Phase("after", 6, 40), drain_s=2))
    assert math.isnan(frames.worker_time(run)["recovery_s"].iloc[0])
    assert frames.recovery_s(run, 0) == math.inf


@pytest.mark.parametrize("course", [(CALM, SPIKE), (SPIKE, AFTER), (CALM,)])
def test_a_peak_at_either_end_has_no_recovery(tmp_path: Path, course: tuple[Phase, ...]) -> None:
    assert frames.recovery_s(seal(tmp_path, phased(*course)), 0) is None
