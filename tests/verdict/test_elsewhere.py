"""A server that is not ours: whether it keeps up is told by requests that have no answer yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit import figures, frames, verdict
from perfkit.figures.naming import words_of
from perfkit.store import StoredRun
from tests.sealed import MS, SECOND, Row, Sketch, request, sample, seal

ALONE: dict[str, Any] = {"jobs_recorded": False, "settings": {}, "offered_per_s": 40.0}
GAP = 25 * MS


def answered_by(slots: int, service_ms: float, **facts: Any) -> Sketch:
    """Constant arrivals at a server with so many slots; what has no answer in time is abandoned."""
    free = [10 * SECOND] * slots
    rows: list[Row] = []
    for seq, at in enumerate(range(10 * SECOND, 21 * SECOND, GAP)):
        slot = min(range(slots), key=free.__getitem__)
        done = max(at + MS, free[slot]) + round(service_ms * MS)
        free[slot] = done
        row = request(seq, at, job_id=None, queue="GET /", first_byte_ns=done, done_ns=done)
        if done > 25 * SECOND:
            row |= {"first_byte_ns": None, "done_ns": None, "status": None, "error": "abandoned"}
        rows.append(row)
    return Sketch(rows, facts=ALONE | facts)


def line(run: StoredRun) -> str:
    return verdict.headline(run).lines[0]


def test_a_server_with_room_keeps_up(tmp_path: Path) -> None:
    run = seal(tmp_path, answered_by(4, 50))
    found = verdict.saturation(run, 0)
    assert found.state == "carried"
    assert found.throughput_per_s == pytest.approx(40, abs=0.5)
    assert line(run) == "The server keeps up with the 40.0/s that came due."
    assert verdict.judge(run).status == "PASS"


def test_one_that_falls_behind_is_saturated_at_its_capacity(tmp_path: Path) -> None:
    run = seal(tmp_path, answered_by(1, 50))
    found = verdict.saturation(run, 0)
    assert found.state == "saturated"
    assert found.capacity_per_s == pytest.approx(20, abs=1)
    reasons = " ".join(found.reasons)
    assert "the backlog grew by" in reasons
    assert "jobs" not in reasons
    assert line(run).startswith("The server does not sustain the offered load: ")


def test_refusals_that_come_at_once_do_not_wait(tmp_path: Path) -> None:
    sketch = answered_by(4, 5)
    for row in sketch.requests[::2]:
        row |= {"first_byte_ns": None, "done_ns": None, "status": None, "error": "connect"}
    found = verdict.saturation(seal(tmp_path, sketch), 0)
    assert found.state == "carried"


def test_an_import_is_not_judged_so(tmp_path: Path) -> None:
    run = seal(tmp_path, answered_by(4, 50, omission="closed loop: unknown when due"))
    assert verdict.saturation(run, 0).state == "undecided"
    assert line(run) == "Only requests were recorded: whether the load was carried is not known."


def test_captions_say_what_was_counted_and_since_when(tmp_path: Path) -> None:
    own = frames.percentiles(seal(tmp_path / "own", answered_by(4, 50)))
    foreign = frames.percentiles(seal(tmp_path / "k6", answered_by(4, 50, omission="closed loop")))
    page = figures.percentiles(own, {0: "orders"}).html
    assert "Requests intended inside the window, from the intended time" in page
    assert "not accepted" in page
    page = figures.percentiles(foreign, {0: "k6"}).html
    assert "from the time of sending to the whole answer" in page
    assert "intended" not in page
    assert words_of(frames.curve(seal(tmp_path / "jobs", Sketch([request(0)])))).things == "jobs"


def test_own_values_are_judged_in_their_own_unit(tmp_path: Path) -> None:
    samples = [sample(2.0 + place / 10, "own.basket", value, "EUR") for place, value in
               enumerate((10.0, 12.5, 60.0))]  # fmt: skip
    samples.append(sample(0.5, "own.basket", 900.0, "EUR"))  # before the window
    rows = [
        {"metric": "own.basket", "expr": expr}
        for expr in ("med<=12.5", "max<50", "count==3", "avg in 27..28")
    ]
    rows.append({"metric": "own.nothing", "expr": "max<1"})
    sketch = answered_by(4, 50)
    sketch.samples = samples
    run = seal(tmp_path, sketch, document={"threshold": rows})
    med, most, count, mean, nothing = verdict.evaluate_thresholds(run)
    assert (med.observed, med.n, med.holds, med.unit) == (12.5, 3, True, "number")
    assert med.note == "in EUR"
    assert (most.observed, most.holds) == (60.0, False)
    assert (count.observed, count.holds) == (3.0, True)
    assert mean.observed == pytest.approx(27.5)
    assert not nothing.holds
    assert nothing.note == "user code kept no value of this name"
    assert "12.5" in figures.scoreboard(verdict.evaluate_thresholds(run), {0: "orders"}).html
