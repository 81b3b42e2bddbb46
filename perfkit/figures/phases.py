"""Phases: a load that changes by plan, and how far the stack followed it."""

from __future__ import annotations

from typing import Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, Table, numbers, time_ticks
from perfkit.figures.markup import Block, sentence
from perfkit.figures.multiples import PANELS
from perfkit.figures.style import FLOWS, PERCENTILES
from perfkit.units import format_count, format_duration, format_ms, format_rate

__all__ = ["phases"]

_READING: Final = (
    "Each place is a phase of the load, in order. Where done falls below offered, the stack no"
    " longer follows; latency is that of the jobs intended in the phase."
)
_TICKS: Final = 8


def phases(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Chart | Block:
    """Rates and latency by phase, two panels a trial whose load has several; a line if none has.

    Args:
        frame: ``run.phases()``.
        names: ``titles(trials)``; else the frame's labels.
    """
    phased = _phased(frame)
    if phased.empty:
        return sentence("Every trial asked for one level of load throughout: it has no phases.")
    names = names or {}
    panels: list[Panel] = []
    ticks = time_ticks(
        value for name in PERCENTILES for value in numbers(phased[f"{name}_ns"], 1e-6)
    )
    trials = list(phased.groupby("trial", sort=True))
    for trial, rows in trials[: PANELS // 2]:
        title = names.get(int(str(trial)), str(rows["label"].iloc[0]))
        panels += _panels(title, rows.sort_values("phase"), ticks)
    reading = _READING
    if len(trials) > PANELS // 2:
        reading += f" {PANELS // 2} of {len(trials)} trials are drawn; the table has all."
    return Chart(
        title=_finding(phased, names),
        reading=reading,
        panels=tuple(panels),
        shared=False,
        beside=2,
        table=_table(phased, names),
    )


def _phased(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials with more than one phase."""
    if frame.empty:
        return frame
    return frame[frame.groupby("trial")["phase"].transform("nunique") > 1]


def _panels(title: str, rows: pd.DataFrame, ticks: tuple[tuple[float, str], ...]) -> list[Panel]:
    places = tuple(float(place) for place in range(len(rows)))
    step = -(-len(rows) // _TICKS)
    labels = tuple(
        (place, _level(row)) for place, (_, row) in zip(places, rows.iterrows(), strict=True)
    )
    x = Axis(title="phase, by its level", ticks=labels[::step])
    flows = tuple(
        Line(
            name=name,
            x=places,
            y=numbers(rows[f"{name}_per_s"]),
            colour=FLOWS[name],
            dash="dash" if name == "offered" else "solid",
        )
        for name in ("offered", "done")
    )
    latency = tuple(
        Line(name=name.upper(), x=places, y=numbers(rows[f"{name}_ns"], 1e-6), colour=colour)
        for name, colour in PERCENTILES.items()
    )
    return [
        Panel(title=title, x=x, y=Axis(title="jobs/s", zero=True), marks=flows),
        Panel(title=title, x=x, y=Axis(title="latency", scale="log", ticks=ticks), marks=latency),
    ]


def _level(row: pd.Series) -> str:
    """The level a phase ends on: its steady one."""
    level = format_count(float(row["level_end"]))
    return f"{level} users" if row["unit"] == "users" else f"{level}/s"


def _finding(phased: pd.DataFrame, names: dict[int, str]) -> str:
    several = phased["trial"].nunique() > 1
    said = []
    for trial, rows in phased.groupby("trial", sort=True):
        lost = rows[rows["state"] == "saturated"].sort_values("phase")
        if lost.empty:
            continue
        first = lost.iloc[0]
        name = names.get(int(str(trial)), str(first["label"]))
        at = f"phase {first['name']} ({_level(first)})"
        done, due = (format_rate(float(first[of])) for of in ("done_per_s", "offered_per_s"))
        said.append(f"{f'{name}: ' if several else ''}{at}, {done} of {due}")
    if not said:
        undecided = int((phased["state"] == "undecided").sum())
        more = f"; {undecided} of {len(phased)} undecided" if undecided else ""
        return f"No phase is seen to ask for more than the stack carries{more}"
    more = f" and {len(said) - 3} trials more" if len(said) > 3 else ""
    return f"The stack first falls behind in {'; '.join(said[:3])}{more}"


def _table(phased: pd.DataFrame, names: dict[int, str]) -> Table:
    rows = [
        (
            names.get(int(row["trial"]), str(row["label"])),
            str(row["name"]),
            " to ".join(format_duration(1e9 * float(row[at])) for at in ("begin_s", "end_s")),
            _level(row),
            format_rate(float(row["offered_per_s"])),
            format_rate(float(row["done_per_s"])),
            *(format_ms(float(row[f"{name}_ns"])) for name in PERCENTILES),
            f"{_count(row['backlog_begin'])} → {_count(row['backlog_end'])}",
            str(row["state"]),
        )
        for _, row in phased.sort_values(["trial", "phase"]).iterrows()
    ]
    first = ("trial", "phase", "time", "level", "came due", "done")
    latency = (f"{name.upper()} ms" for name in PERCENTILES)
    return Table(columns=(*first, *latency, "backlog", "state"), rows=tuple(rows))


def _count(value: object) -> str:
    number = float(str(value))
    return "n/a" if number != number else format_count(number)
