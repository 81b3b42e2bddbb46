"""Resources: who used the processors, and how much memory."""

from __future__ import annotations

import pandas as pd

from perfkit.figures.chart import Axis, Bars, Chart, Line, Panel, numbers
from perfkit.figures.load import TIME
from perfkit.figures.multiples import drawn, each, highest, inside, span
from perfkit.figures.style import ROLES, palette
from perfkit.units import format_count

__all__ = ["cpu", "cpu_over_time", "memory"]


def cpu(resources: pd.DataFrame, cpus: int | None = None) -> Chart:
    """Cores used during the window, stacked by role; a bar a trial.

    Args:
        resources: ``across(trials, run.resources)``.
        cpus: cores of the host, for the scale.
    """
    reading = "One core fully used is 1. Everything here shares one machine, so bars add up."
    rows = _processes(resources)
    rows = rows[rows["cpu_share"].notna()]
    whose = "All parts together use"
    if set(rows["role"].astype(str)) <= _OURS:
        reading += " What was measured is not among them: it was not ours to look into."
        whose = "perfkit itself uses"
    if rows.empty:
        return Chart(title="No process was sampled", reading=reading, empty=_NONE)
    totals = rows.groupby(["trial", "title", "role"], sort=False)["cpu_share"].sum().reset_index()
    marks = tuple(
        Bars(
            name=role,
            x=tuple(mine["title"].astype(str)),
            y=numbers(mine["cpu_share"]),
            colour=colour,
        )
        for role, colour in _colours(totals).items()
        for mine in (totals[totals["role"] == role],)
    )
    per_trial = totals.groupby("trial")["cpu_share"].sum()
    of = f" of {cpus}" if cpus else ""
    panel = Panel(
        x=Axis(title="", scale="category"),
        y=Axis(title="cores used", zero=True),
        marks=marks,
        bars="stack",
    )
    return Chart(
        title=f"{whose} {_upto(per_trial)}{of} cores",
        reading=reading,
        panels=(panel,),
        height=220,
    )


def memory(resources: pd.DataFrame) -> Chart:
    """Largest anonymous memory of a role's processes together; a bar group a trial."""
    reading = (
        "Anonymous resident memory, the largest reading of each process; what forked processes"
        " share counts in each of them."
    )
    rows = _processes(resources)
    rows = rows[rows["rss_anon_max_bytes"].notna()]
    if rows.empty:
        return Chart(title="No process was sampled", reading=reading, empty=_NONE)
    totals = (
        rows.groupby(["trial", "title", "role"], sort=False)["rss_anon_max_bytes"]
        .sum()
        .reset_index()
    )
    largest = highest(totals, "rss_anon_max_bytes")
    marks = tuple(
        Bars(
            name=role,
            x=tuple(mine["title"].astype(str)),
            y=numbers(mine["rss_anon_max_bytes"], 1 / 2**20),
            colour=colour,
        )
        for role, colour in _colours(totals).items()
        for mine in (totals[totals["role"] == role],)
    )
    where = f" at {largest['title']}" if totals["trial"].nunique() > 1 else ""
    mib = format_count(float(largest["rss_anon_max_bytes"]) / 2**20)
    panel = Panel(
        x=Axis(title="", scale="category"),
        y=Axis(title="MiB", zero=True),
        marks=marks,
    )
    return Chart(
        title=f"The largest memory is that of {largest['role']}: {mib} MiB{where}",
        reading=reading,
        panels=(panel,),
        height=200,
    )


def cpu_over_time(timeline: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart:
    """Cores used by each process over time, coloured by role; a panel a trial.

    Args:
        timeline: ``across(trials, run.resource_timeline)``.
        windows: the stretches to shade.
    """
    reading = (
        "A process at 1 fills a core, which is all that one CPython process can use; host is"
        " all cores together."
    )
    if timeline.empty:
        return Chart(title="No process was sampled", reading=reading, empty=_NONE)
    reading += drawn(timeline["trial"].nunique())
    colours = _colours(timeline)
    panels = []
    for part in each(timeline):
        lines: list[Line] = []
        for _, rows in part.rows.groupby("process", sort=True, observed=True):
            role = str(rows["role"].iloc[0])
            lines.append(
                Line(
                    name=role,
                    x=tuple(rows["at_s"].astype(float)),
                    y=numbers(rows["cpu_share"]),
                    colour=colours[role],
                    width=1.4,
                )
            )
        panels.append(
            Panel(
                title=part.title,
                x=TIME,
                y=Axis(title="cores used by each process", zero=True),
                marks=(*span(windows, part.trial), *lines),
            )
        )
    alone = inside(timeline[timeline["role"] != "host"], windows)
    if alone.empty:
        return Chart(title="Processor time of the host", reading=reading, panels=tuple(panels))
    when = "" if windows is None or windows.empty else " in the window"
    busiest = highest(alone, "cpu_share")
    return Chart(
        title=f"The busiest process is {busiest['process']}:"
        f" {float(busiest['cpu_share']):.2f} cores at its peak{when}",
        reading=reading,
        panels=tuple(panels),
    )


_OURS = {"generator", "perfkit"}
_NONE = "The sampler read no process: the trial was shorter than one of its ticks."


def _processes(resources: pd.DataFrame) -> pd.DataFrame:
    if resources.empty:
        return pd.DataFrame(
            columns=["trial", "title", "role", "process", "cpu_share", "rss_anon_max_bytes"]
        )
    return resources[resources["role"].astype(str) != "host"]


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    """Roles in the house's order, then others."""
    present = [str(role) for role in frame["role"].unique()]
    others = [role for role in present if role not in ROLES]
    free = dict(zip(others, palette(len(others)), strict=True))
    return {role: ROLES[role] for role in ROLES if role in present} | free


def _upto(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{high:.2f}" if high - low < 0.005 else f"{low:.2f} to {high:.2f}"
