"""What the stages contribute to P50 and P99: bars that add up to it, and intervals in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from perfkit.figures.chart import Axis, Bars, Chart, Panel, Table, numbers
from perfkit.figures.multiples import PANELS, drawn, highest
from perfkit.figures.style import STAGES, palette
from perfkit.units import format_duration, format_ms, format_percent

__all__ = ["contributions"]

_GROUPS = ("queue", "actor")


def contributions(frame: pd.DataFrame, names: Mapping[int, str]) -> Chart:
    """Parts of P50 and of P99, two bars a queue (or actor), a panel an arm.

    Args:
        frame: ``run.contributions()``.
        names: ``titles(trials)``.
    """
    reading = (
        "Mean time in each stage of the jobs near the percentile; the parts add up to it. Intervals"
        " (95 %) are in the table: between trials where they were repeated, else between blocks of"
        " one trial, which say nothing of the next one."
    )
    shown = frame[frame["trial"].isin(list(names)) & frame["ns"].notna()]
    if shown.empty:
        return Chart(
            title="Too few jobs finished to tell what a percentile is made of",
            reading=reading,
            empty=_why(frame),
        )
    group = next(name for name in _GROUPS if name in frame.columns)
    trials = [int(trial) for trial in shown["trial"].unique()]
    # A stage that took no time anywhere has no bar.
    known = [str(stage) for stage in shown["stage"].unique()]
    order = [each for each in known if shown.loc[shown["stage"] == each, "ns"].max() > 0]
    free = iter(palette(len(order)))
    colours = {stage: STAGES.get(stage) or next(free) for stage in order}
    panels = []
    for trial in trials[:PANELS]:
        mine = shown[shown["trial"] == trial]
        mine = mine.assign(bar=mine[group] + " " + mine["statistic"].str.upper())
        marks = tuple(
            Bars(
                name=stage,
                x=tuple(rows["bar"]),
                y=numbers(rows["ns"], 1e-6),
                colour=colours[stage],
            )
            for stage, rows in ((stage, mine[mine["stage"] == stage]) for stage in order)
        )
        panels.append(
            Panel(
                title=_arm(mine, names),
                x=Axis(title="", scale="category"),
                y=Axis(title="ms", zero=True),
                marks=marks,
                bars="stack",
                horizontal=True,
            )
        )
    return Chart(
        title=_finding(shown, group, names),
        reading=reading + drawn(len(trials), "arms"),
        panels=tuple(panels),
        height=220,
        shared=False,
        table=_table(frame, group, names),
    )


def _why(frame: pd.DataFrame) -> str:
    notes = [note for note in frame["note"].unique() if note] if len(frame) else []
    return notes[0] if notes else "The stages of a job are known when it has finished."


def _arm(rows: pd.DataFrame, names: Mapping[int, str]) -> str:
    trial, several = int(rows["trial"].iloc[0]), int(rows["trials"].iloc[0])
    name = names.get(trial, f"trial {trial}")
    return f"{name.removesuffix(' #1')}, {several} trials" if several > 1 else name


def _finding(shown: pd.DataFrame, group: str, names: Mapping[int, str]) -> str:
    """The largest part of the tail where it is longest."""
    alone = shown[shown[group] != "all"]
    alone = alone if len(alone) else shown
    tail = alone[alone["statistic"] == "p99"]
    rows = tail if len(tail) else alone
    # Of one trial cut short or without a tail only the medians are known.
    worst = highest(rows, "total_ns")
    mine = rows[(rows["trial"] == worst["trial"]) & (rows[group] == worst[group])]
    largest = highest(mine, "ns")
    share = float(largest["ns"]) / float(largest["total_ns"]) if largest["total_ns"] else math.nan
    where = f" at {_arm(mine, names)}" if shown["trial"].nunique() > 1 else ""
    return (
        f"{str(largest['stage']).capitalize()} is {format_percent(share, 0)} of the "
        f"{str(largest['statistic']).upper()} of {largest[group]}{where}: "
        f"{format_duration(float(largest['ns']))} of {format_duration(float(largest['total_ns']))}"
    )


def _table(frame: pd.DataFrame, group: str, names: Mapping[int, str]) -> Table:
    """A row per arm, queue and percentile; a part as ``ms (low to high)``."""
    order = [str(stage) for stage in frame["stage"].unique()]
    rows = []
    kept = frame[frame["trial"].isin(list(names))]
    for _, mine in kept.groupby(["trial", group, "statistic"], sort=False, observed=True):
        first = mine.iloc[0]
        parts = mine.set_index("stage")
        rows.append(
            (
                _arm(mine, names),
                str(first[group]),
                str(first["statistic"]).upper(),
                f"{int(first['n'])}",
                _ms(first["total_ns"], first["total_low_ns"], first["total_high_ns"]),
                *(_part(parts, stage) for stage in order),
                str(first["note"]),
            )
        )
    return Table(
        columns=("arm", group, "of", "jobs", "whole, ms", *(f"{each}, ms" for each in order), ""),
        rows=tuple(rows),
        note="95 % intervals in brackets, where there is evidence for one.",
    )


def _part(parts: pd.DataFrame, stage: str) -> str:
    values = parts.loc[[stage], ["ns", "low_ns", "high_ns"]].to_numpy(dtype=float)[0]
    return _ms(*map(float, values))


def _ms(point: float, low: float, high: float) -> str:
    if math.isnan(point):
        return "n/a"
    if math.isnan(low):
        return format_ms(point)
    return f"{format_ms(point)} ({format_ms(max(low, 0.0))} to {format_ms(high)})"
