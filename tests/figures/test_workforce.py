"""Workers that come and go: marked, timed, and paid for."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from perfkit import figures
from perfkit.figures import Block, Chart, Line

NAMES = {0: "fixed", 1: "scaled"}


def events(**changed: Any) -> pd.DataFrame:
    """Two changes of one trial."""
    rows = [
        {"at_s": 12.0, "from_workers": 1, "to_workers": 3, "reason": "planned", "took_s": 1.4},
        {"at_s": 40.0, "from_workers": 3, "to_workers": 1, "reason": "planned", "took_s": 0.6},
    ]
    whole = [{"trial": 1, "label": "scaled", "pool": None, "error": None} | row for row in rows]
    return pd.DataFrame(whole).assign(**changed)


def test_changes_say_how_long_the_new_level_took() -> None:
    block = figures.scale_events(events(), NAMES)
    assert block.plain.startswith(
        "2 changes of the number of workers; the new level took 600 ms to 1.40 s"
    )
    assert "<td class=num>1 → 3</td><td>planned</td><td class=num>1.40 s</td>" in block.html


def test_a_level_that_was_never_reached_cries() -> None:
    block = figures.scale_events(events(took_s=[1.4, math.nan], error=[None, "no port"]), NAMES)
    assert "; 1 never reached it" in block.plain
    assert "<tr class=bad><td>scaled</td>" in block.html
    assert "no port" in block.html


def test_no_change_is_one_line() -> None:
    block = figures.scale_events(events().iloc[:0])
    assert block.plain == "The number of workers was not changed while running."
    assert "<table" not in block.html


def steps(levels: list[int], trial: int, pool: str | None = None) -> pd.DataFrame:
    """A step function of one pool."""
    at = [float(place) for place in range(len(levels))]
    title = NAMES.get(trial, f"t{trial}")
    return pd.DataFrame(
        {"trial": trial, "title": title, "at_s": at, "pool": pool, "workers": levels}
    )


def test_only_trials_whose_workers_change_are_drawn() -> None:
    frame = pd.concat([steps([2, 2, 2], 0), steps([1, 3, 1], 1)])
    chart = figures.workers_over_time(frame)
    assert isinstance(chart, Chart)
    assert chart.title == "Workers go between 1 and 3 in 1 of 2 trials"
    [panel] = chart.panels
    [line] = [mark for mark in panel.marks if isinstance(mark, Line)]
    assert panel.title == "scaled"
    assert line.step
    assert line.y == (1.0, 3.0, 1.0)


def test_pools_have_a_line_each() -> None:
    frame = pd.concat([steps([1, 2], 1, "payments"), steps([1, 1], 1, "webhooks")])
    chart = figures.workers_over_time(frame)
    assert isinstance(chart, Chart)
    names = [mark.name for mark in chart.panels[0].marks if isinstance(mark, Line)]
    assert names == ["payments", "webhooks"]


def test_workers_that_stay_are_one_line() -> None:
    for frame in (steps([2, 2], 0), steps([], 0)):
        shown = figures.workers_over_time(frame)
        assert isinstance(shown, Block)
        assert shown.plain == "Every trial kept the workers it was started with."


def cost(**changed: Any) -> pd.DataFrame:
    """One trial that kept its workers, one that did not."""
    rows = {
        "trial": [0, 1],
        "label": ["a", "b"],
        "worker_s": [60.0, 96.0],
        "mean_workers": [1.0, 1.6],
        "least_workers": [1, 1],
        "most_workers": [1, 3],
        "recovery_s": [80.0, 20.0],
    }
    return pd.DataFrame(rows | changed)


def test_the_price_of_recovering_sooner_is_the_finding() -> None:
    block = figures.worker_time(cost(), NAMES)
    assert block.plain.startswith(
        "scaled recovers in 20.0 s for 96 worker-seconds (75 % sooner),"
        " fixed recovers in 1 m 20 s for 60 worker-seconds"
    )
    assert "<td class=num>96</td><td class=num>1.60</td><td class=num>1 to 3</td>" in block.html


def test_what_never_recovers_is_not_called_quick() -> None:
    block = figures.worker_time(cost(recovery_s=[math.nan, 20.0]), NAMES)
    assert block.plain.startswith("scaled recovers in 20.0 s for 96 worker-seconds\n")
    never = figures.worker_time(cost(recovery_s=[math.nan, math.nan]), NAMES)
    assert never.plain.startswith("Workers cost 60 to 96 worker-seconds a trial")


def test_workers_that_stay_cost_one_line() -> None:
    plain = figures.worker_time(cost(most_workers=[1, 1], recovery_s=[math.nan] * 2)).plain
    assert plain.startswith("Worker-seconds are workers times the window")
