"""Stages: where the time of a job goes."""

from __future__ import annotations

import pandas as pd

from perfkit.figures.chart import Axis, Bars, Chart, Panel, numbers
from perfkit.figures.multiples import PANELS, drawn, highest
from perfkit.figures.style import STAGES, palette
from perfkit.units import format_duration, format_percent

__all__ = ["breakdown"]


def breakdown(stages: pd.DataFrame, names: dict[int, str]) -> Chart:
    """Mean time in each stage, a bar a queue, a panel a trial.

    Args:
        stages: ``run.stages()``.
        names: ``titles(trials)``.
    """
    reading = (
        "Stages add up to the mean latency of the finished jobs, which stands over each panel;"
        " every panel has its own scale."
    )
    stages = stages[stages["trial"].isin(list(names)) & stages["mean_ns"].notna()]
    if stages.empty:
        return Chart(
            title="No job finished, so no stage has a length",
            reading=reading,
            empty="The stages of a job are known when it has finished.",
        )
    reading += drawn(stages["trial"].nunique())
    known = [str(stage) for stage in stages["stage"].unique()]
    # A stage that took no time anywhere has no bar.
    order = [each for each in known if stages.loc[stages["stage"] == each, "mean_ns"].max() > 0]
    free = iter(palette(len(order)))
    colours = {stage: STAGES.get(stage) or next(free) for stage in order}
    panels = []
    shown = [trial for trial in names if (stages["trial"] == trial).any()]
    for trial in shown[:PANELS]:
        mine = stages[stages["trial"] == trial]
        marks = tuple(
            Bars(
                name=stage,
                x=tuple(rows["queue"].astype(str)),
                y=numbers(rows["mean_ns"], 1e-6),
                colour=colours[stage],
            )
            for stage, rows in ((stage, mine[mine["stage"] == stage]) for stage in order)
            if len(rows)
        )
        panels.append(
            Panel(
                title=f"{names[trial]}: {format_duration(_mean(mine))}",
                x=Axis(title="", scale="category"),
                y=Axis(title="mean, ms", zero=True),
                marks=marks,
                bars="stack",
                horizontal=True,
            )
        )
    return Chart(
        title=_finding(stages, names),
        reading=reading,
        panels=tuple(panels),
        height=150,
        shared=False,
    )


def _mean(mine: pd.DataFrame) -> float:
    """Mean latency over all queues, as the sum of its stages."""
    whole = mine[mine["queue"].astype(str) == "all"]
    return float(whole["mean_ns"].sum()) if len(whole) else float("nan")


def _finding(stages: pd.DataFrame, names: dict[int, str]) -> str:
    whole = stages[stages["queue"].astype(str) == "all"]
    rows = whole if len(whole) else stages
    totals = rows.groupby("trial")["mean_ns"].sum().reset_index()
    slowest = int(highest(totals, "mean_ns")["trial"])
    mine = rows[rows["trial"] == slowest]
    largest = highest(mine, "mean_ns")
    where = f" at {names[slowest]}" if len(names) > 1 else ""
    return (
        f"{str(largest['stage']).capitalize()} takes {format_percent(float(largest['share']), 0)}"
        f" of the time of a job{where}: {format_duration(float(largest['mean_ns']))} on average"
    )
