"""Scaling: throughput, latency and efficiency against the number of workers.

Where every trial has as many workers, trials stand beside each other by name instead.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Mark, Panel, Points, Rule, numbers, time_ticks
from perfkit.figures.multiples import highest, lowest, titles
from perfkit.figures.style import PERCENTILES, trial_colours
from perfkit.units import format_duration, format_rate

__all__ = ["against_workers", "latency_against_workers"]

_ONE: Final = "Sweep the number of workers to see how the stack scales."


def against_workers(trials: pd.DataFrame) -> Chart:
    """Throughput and efficiency against workers, a line a scenario.

    Args:
        trials: ``run.trials()``.
    """
    reading = (
        "Throughput: jobs finished a second; dashed is the load offered. Efficiency: throughput of"
        " one worker, relative to the trial with the fewest. Where a trial keeps up, the offered"
        " load limits both, not the workers."
    )
    if len(trials) < 2:
        return Chart(title="One trial: nothing to compare", reading=reading, empty=_ONE)
    placed, x = _placed(trials)
    offered = sorted({float(value) for value in trials["offered_per_s"].dropna() if value > 0})
    rate: list[Mark] = [
        Rule(y=level, label=f"offered {format_rate(level)}") for level in offered[:3]
    ]
    efficiency: list[Mark] = []
    for scenario, colour in _scenarios(trials).items():
        mine = placed[placed["scenario"].astype(str) == scenario]
        rate += _series(mine, "throughput_per_s", scenario, colour)
        efficiency += _series(mine, "efficiency", scenario, colour, scale=100.0)
    return Chart(
        title=_finding(trials),
        reading=reading,
        panels=(
            Panel(title="throughput", x=x, y=Axis(title="jobs/s", zero=True), marks=tuple(rate)),
            Panel(title="efficiency", x=x, y=Axis(title="%", zero=True), marks=tuple(efficiency)),
        ),
        shared=False,
    )


def latency_against_workers(trials: pd.DataFrame) -> Chart:
    """P50, P95 and P99 of latency against workers, a panel a scenario; arguments as above."""
    reading = (
        "From the intended time, over all queues; the scale of time is logarithmic."
        " A saturated trial's latency grows with the length of the run."
    )
    if trials.empty:
        return Chart(title="No trial was measured", reading=reading, empty=_ONE)
    placed, x = _placed(trials)
    ticks = time_ticks(
        value for name in PERCENTILES for value in numbers(trials[f"{name}_ns"], 1e-6)
    )
    panels = []
    scenarios = _scenarios(trials)
    for scenario in scenarios:
        mine = placed[placed["scenario"].astype(str) == scenario]
        marks: list[Mark] = []
        for name, colour in PERCENTILES.items():
            marks += _series(mine, f"{name}_ns", name.upper(), colour, scale=1e-6)
        panels.append(
            Panel(
                title=scenario if len(scenarios) > 1 else "",
                x=x,
                y=Axis(title="latency", scale="log", ticks=ticks),
                marks=tuple(marks),
            )
        )
    return Chart(title=_latency_finding(trials), reading=reading, panels=tuple(panels))


def _scenarios(trials: pd.DataFrame) -> dict[str, str]:
    names = [str(name) for name in trials["scenario"].unique()]
    return dict(zip(names, trial_colours(len(names)), strict=True))


def _placed(trials: pd.DataFrame) -> tuple[pd.DataFrame, Axis]:
    """Trials with their place on the x axis, and that axis."""
    counts = sorted({int(value) for value in trials["workers"]})
    if len(counts) > 1 or len(trials) == 1:
        ticks = tuple((float(count), str(count)) for count in counts)
        axis = Axis(title="workers", ticks=ticks if len(ticks) <= 10 else ())
        return trials.assign(place=trials["workers"].astype(float)), axis
    ticks = tuple((float(place), name) for place, name in enumerate(titles(trials).values()))
    return trials.assign(place=[place for place, _ in ticks]), Axis(title="", ticks=ticks)


def _series(
    rows: pd.DataFrame, column: str, name: str, colour: str, scale: float = 1.0
) -> list[Mark]:
    """A line over numbers of workers that were measured once each, else only points."""
    ordered = rows.sort_values("place")
    marks: dict[str, Any] = {
        "name": name,
        "x": tuple(ordered["place"].astype(float)),
        "y": numbers(ordered[column], scale),
        "colour": colour,
    }
    if ordered["workers"].is_unique:
        return [Line(**marks)]
    return [Points(**marks)]


def _finding(trials: pd.DataFrame) -> str:
    loaded = trials[trials["offered_per_s"] > 0]
    if loaded.empty:
        return "No load was offered"
    keeps = loaded[~loaded["saturated"].astype(bool)]
    if keeps.empty:
        best = highest(loaded, "throughput_per_s")
        return (
            f"No trial carries its offered load; the most is"
            f" {format_rate(float(best['throughput_per_s']))} with {_workers(best)}"
        )
    if trials["workers"].nunique() == 1:
        return f"{len(keeps)} of {len(loaded)} trials carry their offered load"
    fewest = keeps.sort_values(["workers", "offered_per_s"]).iloc[0]
    of = f"{fewest['scenario']}: " if trials["scenario"].nunique() > 1 else ""
    verb = "carries" if int(fewest["workers"]) == 1 else "carry"
    return f"{of}{_workers(fewest)} {verb} {format_rate(float(fewest['offered_per_s']))}"


def _latency_finding(trials: pd.DataFrame) -> str:
    known = trials[trials["p95_ns"].notna() & (trials["p95_ns"] != float("inf"))]
    if known.empty:
        return "No trial finished enough of its jobs for a P95"
    names = titles(trials)
    alike = trials["workers"].nunique() == 1 and len(trials) > 1

    def words(row: pd.Series) -> str:
        who = f"({names[int(row['trial'])]})" if alike else f"with {_workers(row)}"
        return f"{format_duration(float(row['p95_ns']))} {who}"

    slow, fast = highest(known, "p95_ns"), lowest(known, "p95_ns")
    if len(known) == 1:
        return f"P95 is {words(slow)}"
    return f"P95 goes from {words(slow)} to {words(fast)}"


def _workers(row: pd.Series) -> str:
    count = int(row["workers"])
    return f"{count} worker" if count == 1 else f"{count} workers"
