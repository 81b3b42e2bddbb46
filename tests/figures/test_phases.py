"""A load in phases, followed phase by phase."""

from __future__ import annotations

import math

import pandas as pd

from perfkit import figures
from perfkit.figures import Block, Chart, Instant, Span


def phases(
    trial: int = 0, states: tuple[str, ...] = ("carried", "saturated", "carried")
) -> pd.DataFrame:
    """Three phases of a spike."""
    rows = [
        {
            "trial": trial,
            "label": "spike",
            "phase": index,
            "name": name,
            "begin_s": 2.0 + 10 * index,
            "end_s": 12.0 + 10 * index,
            "level_start": 100.0,
            "level_end": level,
            "unit": "users",
            "offered_per_s": level / 2,
            "done_per_s": min(level / 2, 300.0),
            "p50_ns": 4e7,
            "p95_ns": math.inf if state == "saturated" else 2e8,
            "p99_ns": math.inf if state == "saturated" else 4e8,
            "backlog_begin": 3.0,
            "backlog_end": 700.0 if state == "saturated" else 2.0,
            "state": state,
        }
        for index, (name, level, state) in enumerate(
            zip(("calm", "spike", "after"), (100.0, 2000.0, 100.0), states, strict=True)
        )
    ]
    return pd.DataFrame(rows)


def drawn(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Chart:
    """The chart of a load that has phases."""
    chart = figures.phases(frame, names)
    assert isinstance(chart, Chart)
    return chart


def test_the_first_phase_that_falls_behind_is_the_finding() -> None:
    chart = drawn(phases(), {0: "spike"})
    assert chart.title == (
        "The stack first falls behind in phase spike (2\u202f000 users), 300/s of 1000/s"
    )
    assert [panel.y.title for panel in chart.panels] == ["jobs/s", "latency"]
    assert chart.panels[0].x.ticks == (
        (0.0, "100 users"),
        (1.0, "2\u202f000 users"),
        (2.0, "100 users"),
    )


def test_every_trial_has_its_say() -> None:
    both = pd.concat([phases(0), phases(1)])
    title = drawn(both, {0: "a", 1: "b"}).title
    assert "in a: phase spike" in title
    assert "; b: phase spike" in title


def test_a_load_that_was_carried_throughout_is_said_so() -> None:
    title = drawn(phases(states=("carried", "carried", "undecided"))).title
    assert title == ("No phase is seen to ask for more than the stack carries; 1 of 3 undecided")


def test_the_table_has_every_phase_with_its_backlog() -> None:
    page = drawn(phases()).html()
    assert "<td class=num>3 → 700</td><td>saturated</td>" in page
    assert "<td class=num>2.00 s to 12.0 s</td>" in page


def test_one_phase_is_one_line() -> None:
    for frame in (phases().iloc[:1], phases().iloc[:0]):
        shown = figures.phases(frame)
        assert isinstance(shown, Block)
        assert shown.plain == (
            "Every trial asked for one level of load throughout: it has no phases."
        )


def test_phases_that_are_many_are_not_all_drawn() -> None:
    many = pd.concat([phases(trial) for trial in range(9)])
    chart = drawn(many)
    assert len(chart.panels) == 12
    assert "6 of 9 trials are drawn" in chart.reading


def stretch(name: str, begin_s: float, end_s: float, phase: int | None) -> dict[str, object]:
    """A piece of load as a trial's facts have it."""
    return {
        "name": name, "begin_ns": round(begin_s * 1e9), "end_ns": round(end_s * 1e9),
        "level_start": 1.0, "level_end": 1.0, "phase": phase,
    }  # fmt: skip


FACTS = {
    "instants_ns": {"load_start": 0, "window_start": 10**9, "window_end": 11 * 10**9},
    "stretches": [
        stretch("warm-up", 0, 1, None),
        stretch("calm", 1, 4, 0),
        stretch("spike", 4, 5, 1),
        stretch("spike", 5, 8, 1),
        stretch("after", 8, 11, 2),
    ],
    "scale_events": [
        {"at_ns": 5 * 10**9, "pool": "payments", "from_workers": 1, "to_workers": 3},
        {"at_ns": 5 * 10**9 + 10**8, "pool": None, "from_workers": 3, "to_workers": 4},
        {"at_ns": 9 * 10**9, "pool": None, "from_workers": 4, "to_workers": 1},
    ],
}
TRIALS = pd.DataFrame({"trial": [0], "title": ["spike"], "state": ["carried"]})


def marks_of(facts: dict[str, object]) -> tuple[object, ...]:
    """What a time chart of a trial with these facts is marked with."""
    from perfkit.figures.multiples import span

    return span(figures.windows(TRIALS, lambda _: facts), 0)


def test_phases_and_changes_of_workers_are_marks_on_every_time_chart() -> None:
    shade, *instants = marks_of(FACTS)
    assert isinstance(shade, Span)
    assert shade.label == ""  # the first phase's name stands there
    assert [(mark.x, mark.label) for mark in instants if isinstance(mark, Instant)] == [
        (1.0, "calm"),
        (4.0, "spike"),
        (8.0, "after"),
        (5.0, "payments 1→3"),
        (5.1, ""),  # its label would lie on the one before
        (9.0, "4→1"),
    ]


def test_a_load_of_one_phase_keeps_the_words_of_its_window() -> None:
    facts = FACTS | {"stretches": [stretch("window", 1, 11, 0)], "scale_events": []}
    [shade] = marks_of(facts)
    assert isinstance(shade, Span)
    assert shade.label == "measured window"
