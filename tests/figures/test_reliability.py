"""Faults of a run: what they cost, and marks on every chart over time."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from perfkit.figures import Chart, Instant, across, recovery, stalled, waiting, windows
from tests.figures import examples


def faults(**changed: Any) -> pd.DataFrame:
    """A killed worker, as ``run.recovery()`` tells it."""
    row = {
        "trial": 0,
        "label": "workers=2",
        "fault": 0,
        "action": "kill",
        "target": "worker",
        "victim": "worker-2 (pid 4711)",
        "at_s": 6.0,
        "done_s": 6.001,
        "ended_s": math.nan,
        "time_to_first_redelivery_s": 2.3,
        "backlog_recovered_s": 4.5,
        "redelivered": 9.0,
        "lost": 0.0,
        "stranded": 0.0,
        "duplicated": 7.0,
        "dead": 0.0,
        "p99_before_ns": 2e8,
        "p99_during_ns": 3.1e9,
        "p99_after_ns": 2.1e8,
        "ingest_availability": 1.0,
        "error": None,
    }
    return pd.DataFrame([row | changed])


def waits(most: int) -> pd.DataFrame:
    """Jobs that wait for recovery from 6 s to 8.3 s."""
    steps = pd.DataFrame(
        {"at_s": [0.0, 6.0, 8.3, 26.0], "queue": "payments", "stalled": [0, most, 0, 0]}
    )
    return across(examples.trials(), lambda trial: steps if trial == 0 else steps.assign(stalled=0))


def broken(trial: int) -> dict[str, Any]:
    """Facts with a worker stopped at 6 s, waked at 11 s, and a fault that was not carried out."""
    stopped = {"action": "stop", "target": "worker", "at_ns": 6_000_001_000}
    return dict(examples.facts(trial)) | {
        "faults": [
            stopped | {"done_ns": 6_000_001_000, "ended_ns": 11_000_001_000},
            stopped | {"action": "cut", "done_ns": None, "ended_ns": None},
        ]
    }


def test_a_fault_is_a_row_with_what_it_cost() -> None:
    block = recovery(faults(), {0: "two workers"})
    finding, head, row = block.plain.splitlines()
    assert finding == (
        "1 fault: no job lost, 7 run twice, 9 redelivered; the backlog was back after 4.50 s at the"
        " latest"
    )
    assert "first redelivery after" in head
    assert row.startswith("two workers  kill worker  worker-2 (pid 4711)  6.00 s  n/a  2.30 s")
    assert "200 ms → 3.10 s → 210 ms" in row
    assert row.endswith("100.0 %")


def test_lost_jobs_are_told_first_and_marked() -> None:
    block = recovery(faults(lost=3.0))
    assert block.plain.startswith("1 fault: 3 lost, 7 run twice")
    assert "<tr class=bad>" in block.html


def test_a_backlog_that_stays_is_not_called_recovered() -> None:
    block = recovery(faults(backlog_recovered_s=math.inf, p99_during_ns=math.inf))
    assert "the backlog did not come back in workers=2" in block.plain
    assert "not in this trial" in block.plain
    assert "200 ms → ∞" in block.plain


def test_a_fault_that_was_not_carried_out_says_why() -> None:
    nothing = dict.fromkeys(
        ("done_s", "ended_s", "redelivered", "lost", "duplicated", "backlog_recovered_s",
         "time_to_first_redelivery_s", "stranded", "dead", "p99_before_ns", "p99_during_ns",
         "p99_after_ns", "ingest_availability"), math.nan,
    )  # fmt: skip
    block = recovery(faults(**nothing, victim=None, error="no worker <b>lives</b>"))
    assert "1 fault, 1 of them not carried out" in block.plain
    assert "kill worker: no worker &lt;b&gt;lives&lt;/b&gt;" in block.html
    assert "<tr class=broken>" in block.html


def test_a_run_without_faults_is_one_line() -> None:
    none = faults().iloc[:0]
    assert recovery(none).plain == "Nothing was broken on purpose."
    calm = recovery(none, {}, waits(0))
    assert calm.plain == "Nothing was broken on purpose, and no job waited for recovery."
    assert stalled(waits(0)).plain == ""  # type: ignore[union-attr]


def test_jobs_that_wait_without_a_fault_are_not_called_calm() -> None:
    said = recovery(faults().iloc[:0], {}, waits(4)).plain
    assert said == "Nothing was broken on purpose, yet jobs waited for recovery."


def test_only_trials_in_which_jobs_wait_for_recovery_are_drawn() -> None:
    chart = stalled(waits(12))
    assert isinstance(chart, Chart)
    assert "At most 12 jobs of payments wait for recovery" in chart.title
    assert "in 1 of 3 trials" in chart.title
    assert [panel.title for panel in chart.panels] == ["workers=1"]
    assert "<svg" in chart.svg()


def test_faults_are_marked_where_they_were_done_and_mended_on_charts_over_time() -> None:
    trials = examples.trials()
    shaded = windows(trials, broken)
    chart = waiting(across(trials, examples.backlog), shaded)
    for panel in chart.panels:
        marks = [mark for mark in panel.marks if isinstance(mark, Instant)]
        assert [(mark.x, mark.label) for mark in marks] == [(6.0, "stop worker"), (11.0, "mended")]
        assert {mark.colour for mark in marks} == {"bad"}
    assert "stop worker at 6" in chart.alt


def test_marks_that_would_lie_on_each_other_keep_one_label() -> None:
    def close(trial: int) -> dict[str, Any]:
        facts = broken(trial)
        facts["faults"][0]["ended_ns"] = 6_500_001_000
        return facts

    [*_, marks] = windows(examples.trials(), close)["instants"]
    assert [mark.label for mark in marks] == ["stop worker", ""]
