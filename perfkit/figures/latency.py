"""Latency by percentile, on an axis of nines: 90 %, 99 % and 99.9 % lie equally far apart."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import (
    Axis,
    Chart,
    Dash,
    Line,
    Mark,
    Note,
    Panel,
    numbers,
    time_ticks,
)
from perfkit.figures.multiples import PANELS, at_least, drawn, highest, lowest
from perfkit.figures.naming import words_of
from perfkit.figures.style import COLOURS, trial_colours
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["by_percentile", "intended_and_sent"]

_DASHES: Final[tuple[Dash, ...]] = ("solid", "dash", "dot")
_TICKS: Final = (
    (0.0, "0"),
    (-math.log10(0.5), "50 %"),
    (1.0, "90 %"),
    (2.0, "99 %"),
    (3.0, "99.9 %"),
    (4.0, "99.99 %"),
    (5.0, "99.999 %"),
)


def by_percentile(
    curve: pd.DataFrame,
    percentiles: pd.DataFrame,
    names: dict[int, str],
    windows: pd.DataFrame | None = None,
) -> Chart:
    """Latency from the intended time, a panel a queue, a line a trial.

    A line that ends because the rest of the jobs was never done says so.

    Args:
        curve: ``run.curve(by=("trial", "queue"))``.
        percentiles: ``run.percentiles()``.
        names: ``titles(trials)``.
        windows: ``windows(trials, run.trial_facts)``; it bounds what is infinite.
    """
    curve = curve[curve["trial"].isin(list(names))]
    words = words_of(percentiles)
    reading = (
        f"Each step right leaves a tenth as many {words.things}; lines end where fewer than ten"
        f" {words.things} are left; the scale of time is logarithmic."
    )
    if not _finite(curve):
        return Chart(title=words.none, reading=reading, empty=words.mend)
    styles = {
        trial: (colour, _DASHES[place // COLOURS % len(_DASHES)])
        for place, (trial, colour) in enumerate(zip(names, trial_colours(len(names)), strict=True))
    }
    panels = []
    for queue in curve["queue"].astype(str).unique():
        mine = curve[curve["queue"].astype(str) == queue]
        shares = _undone(percentiles[percentiles["queue"].astype(str) == queue])
        marks: list[Mark] = []
        for trial in names:
            if len(rows := mine[mine["trial"] == trial]):
                line = _line(names[trial], rows, *styles[trial])
                share = shares.get(trial, math.nan)
                part = (
                    "the rest"
                    if math.isnan(share)
                    else format_percent(share, 0 if share >= 0.01 else 1)
                )
                marks += [line, *_end(line, f"{part} {words.never}", curve)]
        panels.append(_panel(queue, tuple(marks), curve))
    return Chart(
        title=_finding(percentiles, names, curve, windows), reading=reading, panels=tuple(panels)
    )


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
    words = words_of(latency)
    if not _finite(latency):
        return Chart(title=words.none, reading=reading, empty=words.mend)
    if response.empty:
        return Chart(
            title="When requests were due is not known",
            reading="",
            empty="Latency counts from the time of sending: what waited before that is not in it.",
        )
    shown = [trial for trial in names if (latency["trial"] == trial).any()]
    panels = []
    for trial in shown[:PANELS]:
        mine, sent = latency[latency["trial"] == trial], response[response["trial"] == trial]
        line = _line("from intended", mine, "blue")
        end = _end(line, f"the rest {words.never}", latency)
        marks: tuple[Mark, ...] = (line, _line("from sent", sent, "orange", "dash"), *end)
        panels.append(_panel(names[trial], marks, latency))
    return Chart(
        title=_gap(latency, response), reading=reading + drawn(len(shown)), panels=tuple(panels)
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


def _undone(percentiles: pd.DataFrame) -> dict[int, float]:
    """Share of a queue's jobs that were never done, by trial."""
    return {
        int(trial): float(unfinished) / float(n)
        for trial, n, unfinished in zip(
            percentiles["trial"], percentiles["n"], percentiles["unfinished"], strict=True
        )
        if n > 0
    }


def _nines(quantile: float) -> float:
    return -math.log10(max(1e-9, 1 - quantile))


def _line(name: str, rows: pd.DataFrame, colour: str, dash: Dash = "solid") -> Line:
    return Line(
        name=name,
        x=tuple(_nines(float(q)) for q in rows["quantile"]),
        y=numbers(rows["value_ns"], 1e-6),
        colour=colour,
        dash=dash,
    )


def _end(line: Line, why: str, curve: pd.DataFrame) -> tuple[Note, ...]:
    """Why a line ends early, at its last value; nothing where it goes as far as the grid."""
    known = [place for place, value in enumerate(line.y) if value is not None]
    if not known or known[-1] == len(line.y) - 1:
        return ()
    x, y = line.x[known[-1]], line.y[known[-1]] or 0.0
    middle = _nines(float(curve["quantile"].max())) / 2
    return (Note(x=x, y=y, text=why, colour=line.colour, left=x > middle),)


def _panel(title: str, marks: tuple[Mark, ...], curve: pd.DataFrame) -> Panel:
    last = _nines(float(curve["quantile"].max()))
    return Panel(
        title=title,
        x=Axis(
            title=f"share of {words_of(curve).things} at or below",
            ticks=tuple(tick for tick in _TICKS if tick[0] <= last + 0.05),
        ),
        y=Axis(title="latency", scale="log", ticks=time_ticks(numbers(curve["value_ns"], 1e-6))),
        marks=marks,
    )


def _finding(
    percentiles: pd.DataFrame,
    names: dict[int, str],
    curve: pd.DataFrame,
    windows: pd.DataFrame | None,
) -> str:
    known = percentiles[percentiles["trial"].isin(list(names)) & percentiles["p95_ns"].notna()]
    if known.empty:
        return f"Too few {words_of(percentiles).things} for a percentile"
    slow, fast = highest(known, "p95_ns"), lowest(known, "p95_ns")

    def words(row: pd.Series) -> str:
        trial = int(row["trial"])
        same = curve[(curve["trial"] == trial) & (curve["queue"].astype(str) == str(row["queue"]))]
        seen = same["value_ns"][same["value_ns"].map(math.isfinite)].max()
        shown = at_least(
            float(row["p95_ns"]), trial, windows, 0.0 if math.isnan(seen) else float(seen)
        )
        where = f", {names[trial]}" if len(names) > 1 else ""
        return f"{shown} ({row['queue']}{where}, n {format_count(float(row['n']))})"

    return f"P95 is {words(slow)}" if len(known) == 1 else f"P95 is {words(fast)} to {words(slow)}"
