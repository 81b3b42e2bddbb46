"""Latency by percentile, on an axis of nines: 90 %, 99 % and 99.9 % lie equally far apart."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, numbers, time_ticks
from perfkit.figures.multiples import PANELS, highest, lowest
from perfkit.figures.style import trial_colours
from perfkit.units import format_duration

__all__ = ["by_percentile", "intended_and_sent"]

_READING: Final = (
    "Each step right leaves a tenth as many jobs; lines end where fewer than ten jobs are left"
)
_TICKS: Final = (
    (0.0, "0"),
    (-math.log10(0.5), "50 %"),
    (1.0, "90 %"),
    (2.0, "99 %"),
    (3.0, "99.9 %"),
    (4.0, "99.99 %"),
    (5.0, "99.999 %"),
)


def by_percentile(curve: pd.DataFrame, percentiles: pd.DataFrame, names: dict[int, str]) -> Chart:
    """Latency from the intended time, a panel a queue, a line a trial.

    Args:
        curve: ``run.curve(by=("trial", "queue"))``.
        percentiles: ``run.percentiles()``.
        names: ``titles(trials)``.
    """
    curve = curve[curve["trial"].isin(list(names))]
    reading = f"{_READING}; the scale of time is logarithmic."
    if not _finite(curve):
        return Chart(
            title="No job of the window finished",
            reading=reading,
            empty="Latency needs finished jobs; the accounting below says where they are.",
        )
    colours = dict(zip(names, trial_colours(len(names)), strict=True))
    panels = []
    for queue in curve["queue"].astype(str).unique():
        mine = curve[curve["queue"].astype(str) == queue]
        lines = tuple(
            _line(names[trial], mine[mine["trial"] == trial], colours[trial])
            for trial in names
            if (mine["trial"] == trial).any()
        )
        panels.append(_panel(queue, lines, curve))
    return Chart(title=_finding(percentiles, names), reading=reading, panels=tuple(panels))


def intended_and_sent(
    latency: pd.DataFrame, response: pd.DataFrame, names: dict[int, str]
) -> Chart:
    """Latency from the intended time and from the time of sending, a panel a trial.

    Args:
        latency: ``run.curve(value="latency_ns")``.
        response: ``run.curve(value="response_ns")``.
        names: ``titles(trials)``.
    """
    reading = (
        "From intended is what a user waits. Where it rises above from sent, requests left late"
        " and only the solid line tells it."
    )
    if not _finite(latency):
        return Chart(
            title="No job of the window finished",
            reading=reading,
            empty="Latency needs finished jobs; the accounting below says where they are.",
        )
    panels = []
    for trial, name in names.items():
        mine, sent = latency[latency["trial"] == trial], response[response["trial"] == trial]
        if len(mine):
            lines = (
                _line("from intended", mine, "blue"),
                _line("from sent", sent, "orange", dashed=True),
            )
            panels.append(_panel(name, lines, latency))
    return Chart(
        title=_gap(latency, response),
        reading=reading,
        panels=tuple(panels[:PANELS]),
    )


def _gap(latency: pd.DataFrame, response: pd.DataFrame) -> str:
    """The largest difference of the two lines at a quantile of 0.95 or below, over all trials."""
    both = latency.merge(response, on=["trial", "quantile"], suffixes=("", "_sent"))
    both = both[(both["quantile"] <= 0.951) & both["value_ns"].map(math.isfinite)]
    if both.empty:
        return "Latency from the intended time, beside latency from sending"
    both = both.assign(gap=both["value_ns"] - both["value_ns_sent"])
    most = highest(both, "gap")
    gap = format_duration(max(0.0, float(most["gap"])))
    if float(most["gap"]) <= 0.05 * float(most["value_ns"]):
        return f"Requests left on time: counting from sending would hide at most {gap}"
    return f"Counting from sending would hide {gap} of latency"


def _finite(curve: pd.DataFrame) -> bool:
    return not curve.empty and any(math.isfinite(value) for value in curve["value_ns"])


def _line(name: str, rows: pd.DataFrame, colour: str, *, dashed: bool = False) -> Line:
    return Line(
        name=name,
        x=tuple(-math.log10(max(1e-9, 1 - float(q))) for q in rows["quantile"]),
        y=numbers(rows["value_ns"], 1e-6),
        colour=colour,
        dash="dash" if dashed else "solid",
    )


def _panel(title: str, lines: tuple[Line, ...], curve: pd.DataFrame) -> Panel:
    last = -math.log10(max(1e-9, 1 - float(curve["quantile"].max())))
    return Panel(
        title=title,
        x=Axis(
            title="share of jobs at or below",
            ticks=tuple(tick for tick in _TICKS if tick[0] <= last + 0.05),
        ),
        y=Axis(title="latency", scale="log", ticks=time_ticks(numbers(curve["value_ns"], 1e-6))),
        marks=lines,
    )


def _finding(percentiles: pd.DataFrame, names: dict[int, str]) -> str:
    known = percentiles[percentiles["trial"].isin(list(names)) & percentiles["p95_ns"].notna()]
    if known.empty:
        return "Too few jobs finished for a percentile"
    slow, fast = highest(known, "p95_ns"), lowest(known, "p95_ns")

    def words(row: pd.Series) -> str:
        trial = f", {names[int(row['trial'])]}" if len(names) > 1 else ""
        value = float(row["p95_ns"])
        shown = format_duration(value) if math.isfinite(value) else "beyond the end of the trial"
        return f"{shown} ({row['queue']}{trial})"

    return f"P95 is {words(slow)}" if len(known) == 1 else f"P95 is {words(fast)} to {words(slow)}"
