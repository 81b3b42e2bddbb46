"""Backlog: what waits, what is in flight, and for how long."""

from __future__ import annotations

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, numbers
from perfkit.figures.load import TIME
from perfkit.figures.multiples import drawn, each, highest, span
from perfkit.figures.style import queue_colours
from perfkit.units import format_count, format_duration

__all__ = ["in_flight", "oldest", "waiting"]


def waiting(backlog: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart:
    """Jobs that no worker has fetched yet, by queue; a panel a trial.

    Args:
        backlog: ``across(trials, run.backlog)``.
        windows: the stretches to shade.
    """
    most = _largest(backlog, "waiting")
    if most is None or not most["waiting"] > 0:
        title = "No job was ever seen waiting in Redis"
    else:
        title = (
            f"At most {format_count(most['waiting'])} jobs of {most['queue']} wait in Redis"
            f"{_where(backlog, most)}"
        )
    return _over_time(
        backlog,
        windows,
        column="waiting",
        title=title,
        reading="A line that climbs without coming back means more is asked than can be carried.",
        unit="jobs waiting",
    )


def in_flight(backlog: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart:
    """Jobs fetched by a worker and not yet acknowledged, by queue; arguments as `waiting`.

    Those of them that wait for recovery have dashed lines of their own, where there are any.
    """
    most = _largest(backlog, "in_flight")
    if most is None or not most["in_flight"] > 0:
        title = "No job was ever seen in flight"
    else:
        title = (
            f"Workers hold at most {format_count(most['in_flight'])} jobs of {most['queue']}"
            f"{_where(backlog, most)}"
        )
    return _over_time(
        backlog,
        windows,
        column="in_flight",
        title=title,
        reading="Fetched and not yet acknowledged: running, or prefetched and waiting for a thread."
        " A flat top is the limit of prefetch.",
        unit="jobs in flight",
        part="stalled",
    )


def oldest(backlog: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart:
    """Age of the oldest waiting job, by queue; arguments as `waiting`."""
    most = _largest(backlog, "oldest_age_ns")
    if most is None or not most["oldest_age_ns"] > 0:
        title = "No job was old enough to be seen waiting"
    else:
        title = (
            f"The oldest waiting job reaches {format_duration(float(most['oldest_age_ns']))}"
            f" ({most['queue']}{_where(backlog, most)})"
        )
    return _over_time(
        backlog,
        windows,
        column="oldest_age_ns",
        title=title,
        reading="A stalled queue shows here at once; latency of finished jobs shows it only later.",
        unit="oldest waiting job, s",
        scale=1e-9,
    )


def _over_time(
    backlog: pd.DataFrame,
    windows: pd.DataFrame | None,
    *,
    column: str,
    title: str,
    reading: str,
    unit: str,
    scale: float = 1.0,
    part: str | None = None,
) -> Chart:
    if backlog.empty:
        return Chart(
            title=title,
            reading=reading,
            empty="No queue was sampled: the trial was shorter than one tick of the sampler.",
        )
    colours = queue_colours(str(queue) for queue in backlog["queue"].unique())
    panels = []
    for one in each(backlog):
        lines = []
        for queue, colour in colours.items():
            rows = one.rows[one.rows["queue"].astype(str) == queue]
            if rows.empty:
                continue
            at_s = tuple(rows["at_s"].astype(float))
            lines.append(Line(name=queue, x=at_s, y=numbers(rows[column], scale), colour=colour))
            if part in rows and rows[part].max() > 0:
                y, name = numbers(rows[part], scale), f"{queue} {part}"
                lines.append(Line(name=name, x=at_s, y=y, colour=colour, dash="dash"))
        panels.append(
            Panel(
                title=one.title,
                x=TIME,
                y=Axis(title=unit, zero=True),
                marks=(*span(windows, one.trial), *lines),
            )
        )
    reading += drawn(backlog["trial"].nunique())
    return Chart(title=title, reading=reading, panels=tuple(panels))


def _largest(backlog: pd.DataFrame, column: str) -> pd.Series | None:
    if backlog.empty or backlog[column].dropna().empty:
        return None
    return highest(backlog, column)


def _where(backlog: pd.DataFrame, row: pd.Series) -> str:
    return f", at {row['title']}" if backlog["trial"].nunique() > 1 else ""
