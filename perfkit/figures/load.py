"""Load: what was offered, and what came of it."""

from __future__ import annotations

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, numbers
from perfkit.figures.multiples import each, span
from perfkit.figures.style import FLOWS
from perfkit.units import format_rate

__all__ = ["throughput"]

_FLOWS = (
    ("offered", "intended_per_s", "dash"),
    ("done", "done_per_s", "solid"),
    ("failed", "failed_per_s", "dot"),
)
TIME = Axis(title="seconds since load began")


def throughput(
    timeline: pd.DataFrame, trials: pd.DataFrame, windows: pd.DataFrame | None = None
) -> Chart:
    """Jobs offered and done in each second, a panel a trial.

    Args:
        timeline: ``across(trials, run.timeline)``.
        trials: ``run.trials()``.
        windows: the stretches to shade.
    """
    title = _finding(trials)
    reading = "Where the green line follows the dashed one, the stack keeps up with what is asked."
    if timeline.empty:
        return Chart(
            title=title, reading=reading, empty="No request came due, so there is no rate."
        )
    panels = []
    for part in each(timeline):
        lines = tuple(
            Line(
                name=name,
                x=tuple(part.rows["at_s"].astype(float)),
                y=numbers(part.rows[column]),
                colour=FLOWS[name],
                dash="dash" if dash == "dash" else "dot" if dash == "dot" else "solid",
            )
            for name, column, dash in _FLOWS
            if name != "failed" or part.rows[column].fillna(0).gt(0).any()
        )
        panels.append(
            Panel(
                title=part.title,
                x=TIME,
                y=Axis(title="jobs per second", zero=True),
                marks=(*span(windows, part.trial), *lines),
            )
        )
    return Chart(title=title, reading=reading, panels=tuple(panels))


def _finding(trials: pd.DataFrame) -> str:
    if trials.empty:
        return "No trial was measured"
    trials = trials[trials["offered_per_s"] > 0]
    if trials.empty:
        return "No load was offered"
    short = trials[trials["saturated"].astype(bool)]
    row = (short if len(short) else trials).sort_values("throughput_per_s").iloc[0]
    done, offered = format_rate(row["throughput_per_s"]), format_rate(row["offered_per_s"])
    if len(short) == 0:
        which = "Every trial keeps" if len(trials) > 1 else "The stack keeps"
        least, most = trials["offered_per_s"].min(), trials["offered_per_s"].max()
        loads = offered if least == most else f"{format_rate(least)} to {format_rate(most)}"
        return f"{which} up with the offered load of {loads}"
    who = f"{row['label']} finishes" if len(trials) > 1 else "The stack finishes"
    rest = len(trials) - len(short)
    more = f"; {rest} of {len(trials)} trials keep up" if rest else ""
    return f"{who} {done} of the {offered} offered{more}"
