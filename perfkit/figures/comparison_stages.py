"""Stages of a comparison: where the time of a job goes in either arm, and which stage changed."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import Axis, Bars, Chart, Instant, Intervals, Panel, Table, numbers
from perfkit.figures.comparison import probability
from perfkit.figures.style import STAGES, palette
from perfkit.units import format_duration, format_ms

__all__ = ["arms_by_stage", "changes_by_stage"]

_STATISTICS: Final = {"mean": "mean", "p50": "P50", "p99": "P99"}
_PANELS: Final = 6
_LEAST_NS: Final = 1_000.0
_LEVEL: Final = 0.05


def changes_by_stage(stages: pd.DataFrame) -> Chart:
    """What each stage of an actor's jobs takes more or less in B, on average, a panel an actor.

    Args:
        stages: ``compared.stages()``.
    """
    reading = (
        "Right of zero a stage takes longer in B. Whisker: its interval over the pairs; coloured:"
        " proved, all stages taken together. Stages add up to the mean latency."
    )
    known = _of(stages, "mean")
    if known.empty:
        return Chart(
            title="In which stage it changed is not known",
            reading=reading,
            empty="No job of a valid pair has stages.",
        )
    panels = []
    for actor, rows in list(known.groupby("actor", sort=False))[:_PANELS]:
        places = {str(stage): float(len(rows) - 1 - row) for row, stage in enumerate(rows["stage"])}
        proved = rows["p_adjusted"] <= _LEVEL
        dots = tuple(
            Intervals(
                name=name,
                x=tuple(float(each) / 1e6 for each in mine["change_ns"]),
                y=tuple(places[str(stage)] for stage in mine["stage"]),
                low=numbers(mine["low_ns"], 1e-6),
                high=numbers(mine["high_ns"], 1e-6),
                colour=colour,
                across=True,
            )
            for name, colour, mine in (
                ("changed", "vermilion", rows[proved]),
                ("not proved", "grey", rows[~proved]),
            )
            if len(mine)
        )
        panels.append(
            Panel(
                title=str(actor),
                x=Axis(title="B less A, mean ms of a job"),
                y=Axis(title="", ticks=tuple((place, name) for name, place in places.items())),
                marks=(Instant(x=0.0, label=""), *dots),
            )
        )
    largest = max(known.to_dict("records"), key=lambda row: abs(row["change_ns"]))
    sure = float(largest["p_adjusted"]) <= _LEVEL
    change = f"{'+' if largest['change_ns'] > 0 else ''}{format_duration(largest['change_ns'])}"
    return Chart(
        title=f"{str(largest['stage']).capitalize()} of {largest['actor']} changed most: {change} a"
        f" job{'' if sure else ', which is not proved'}",
        reading=reading,
        panels=tuple(panels),
        table=_stage_table(known),
        summary="; ".join(
            f"{row['stage']} of {row['actor']} {format_duration(row['change_ns'])}"
            for row in known.to_dict("records")
        ),
        height=150,
        shared=False,
        beside=2,
    )


def arms_by_stage(stages: pd.DataFrame) -> Chart:
    """Where the time of a job goes in either arm: of the mean, of P50 and of P99.

    Args:
        stages: ``compared.stages()``.
    """
    reading = (
        "Stages add up: the mean latency of the finished jobs, and what stages contribute to P50"
        " and P99 where enough jobs are near them."
    )
    panels, told = [], []
    rows = stages[stages["baseline_ns"].map(math.isfinite)] if len(stages) else stages
    for actor, mine in list(rows.groupby("actor", sort=False))[:_PANELS]:
        marks = _stacks(mine)
        if not marks:
            continue
        panels.append(
            Panel(
                title=str(actor),
                x=Axis(title="", scale="category"),
                y=Axis(title="ms of a job", zero=True),
                marks=marks,
                bars="stack",
                horizontal=True,
            )
        )
        means = mine[mine["of"] == "mean"][["baseline_ns", "candidate_ns"]].sum()
        told.append(
            f"{actor} {format_duration(means['baseline_ns'])} in A, "
            f"{format_duration(means['candidate_ns'])} in B"
        )
    if not panels:
        return Chart(
            title="Where the time goes is not known",
            reading=reading,
            empty="No job of a valid pair has stages.",
        )
    return Chart(
        title=f"A job takes on average: {'; '.join(told)}",
        reading=reading,
        panels=tuple(panels),
        height=170,
        shared=False,
        beside=2,
    )


def _stacks(rows: pd.DataFrame) -> tuple[Bars, ...]:
    """One series a stage over the bars "mean, A", "mean, B", and so on."""
    free = iter(palette(rows["stage"].nunique()))
    marks = []
    for stage, mine in rows.groupby("stage", sort=False):
        if (mine[["baseline_ns", "candidate_ns"]] < _LEAST_NS).all(axis=None):
            continue
        bars = [
            (f"{_STATISTICS[row['of']]}, {arm}", row[key])
            for row in mine.to_dict("records")
            for arm, key in (("A", "baseline_ns"), ("B", "candidate_ns"))
        ]
        marks.append(
            Bars(
                name=str(stage),
                x=tuple(name for name, _ in bars),
                y=numbers((size for _, size in bars), 1e-6),
                colour=STAGES.get(str(stage)) or next(free),
            )
        )
    return tuple(marks)


def _of(stages: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Rows of one statistic that are known, without stages that are empty in both arms."""
    if stages.empty:
        return stages
    mine = stages[(stages["of"] == statistic) & stages["change_ns"].map(math.isfinite)]
    return mine[(mine["baseline_ns"] >= _LEAST_NS) | (mine["candidate_ns"] >= _LEAST_NS)]


def _stage_table(known: pd.DataFrame) -> Table:
    return Table(
        columns=("actor", "stage", "A ms", "B ms", "change ms", "interval ms", "p, together"),
        rows=tuple(
            (
                str(row["actor"]),
                str(row["stage"]),
                *(format_ms(row[key]) for key in ("baseline_ns", "candidate_ns", "change_ns")),
                f"{format_ms(row['low_ns'])} … {format_ms(row['high_ns'])}",
                probability(row["p_adjusted"]),
            )
            for row in known.to_dict("records")
        ),
    )
