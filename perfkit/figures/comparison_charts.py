"""A comparison drawn: effects beside their margins, quantiles, and trials in time."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import (
    Axis,
    Box,
    Chart,
    Instant,
    Intervals,
    Note,
    Panel,
    Points,
    Rule,
    Table,
    numbers,
)
from perfkit.figures.comparison import plain, probability, signed, value
from perfkit.units import format_ms

__all__ = ["forest", "shift", "trials_in_time"]

_UNPROVED: Final = "not proved to matter"  # slightly so, or no difference found
_GROUPS: Final = {"worse": "bad", "better": "good", "equivalent": "blue", _UNPROVED: "unsure"}
_PANELS: Final = 6


def forest(effects: pd.DataFrame) -> Chart:
    """Every effect with its interval and its margin, the worst on top.

    Args:
        effects: ``compared.effects()``.
    """
    reading = (
        "Dot: B against A; whisker: its interval; shaded: the margin within which a change does not"
        " matter. Right of zero is more: worse, but for throughput."
    )
    ratios = effects[effects["scale"] == "ratio"] if len(effects) else effects
    known = ratios[ratios["point"].map(math.isfinite)] if len(ratios) else ratios
    if known.empty:
        return Chart(
            title="No effect is known", reading=reading, empty="Too few pairs, or none is valid."
        )
    count = len(ratios)
    places = {metric: float(count - 1 - row) for row, metric in enumerate(ratios["metric"])}
    boxes = tuple(
        Box(
            left=-100 * row["margin"],
            right=100 * row["margin"],
            bottom=places[row["metric"]] - 0.36,
            top=places[row["metric"]] + 0.36,
        )
        for row in ratios.to_dict("records")
    )
    groups = known["outcome"].map(_group)
    dots = tuple(
        Intervals(
            name=name,
            x=tuple(100 * float(point) for point in mine["point"]),
            y=tuple(places[metric] for metric in mine["metric"]),
            low=numbers(mine["low"], 100),
            high=numbers(mine["high"], 100),
            colour=colour,
            across=True,
        )
        for name, colour in _GROUPS.items()
        for mine in (known[groups == name],)
        if len(mine)
    )
    unknown = tuple(
        Note(x=0.0, y=places[metric], text="not known, or infinite")
        for metric in ratios["metric"]
        if metric not in set(known["metric"])
    )
    panel = Panel(
        x=Axis(title="B against A, %"),
        y=Axis(title="", ticks=tuple((place, name) for name, place in places.items())),
        marks=(*boxes, Instant(x=0.0, label=""), *dots, *unknown),
    )
    rows = tuple(
        (
            str(row["metric"]),
            str(row["outcome"]),
            signed(row["point"], "ratio"),
            f"{signed(row['low'], 'ratio')} … {signed(row['high'], 'ratio')}",
            f"±{plain(row['margin'], 'ratio')}",
        )
        for row in ratios.to_dict("records")
    )
    return Chart(
        title=_told(effects),
        reading=reading,
        panels=(panel,),
        table=Table(columns=("metric", "outcome", "effect", "interval", "margin"), rows=rows),
        summary="; ".join(f"{row[0]} {row[2]}, {row[3]}, {row[1]}" for row in rows),
        height=max(110, 30 * count + 20),
        shared=False,
    )


def _group(said: str) -> str:
    if said.startswith("worse"):
        return "worse"
    if said.startswith("better"):
        return "better"
    return said if said == "equivalent" else _UNPROVED


def _told(effects: pd.DataFrame) -> str:
    """Which metrics are worse, else better, else how many are equivalent."""
    for word in ("worse", "slightly worse", "better", "slightly better"):
        named = [
            str(metric)
            for metric, said in zip(effects["metric"], effects["outcome"], strict=True)
            if said == word or said.startswith(f"{word}:")
        ]
        if named:
            verb = "is" if len(named) == 1 else "are"
            return f"{len(named)} of {len(effects)} metrics {verb} {word}: {', '.join(named)}"
    same = int((effects["outcome"] == "equivalent").sum())
    return f"No metric is proved to have changed; {same} of {len(effects)} are equivalent"


def shift(frame: pd.DataFrame) -> Chart:
    """How every percentile of the latency moved, a panel a queue.

    Args:
        frame: ``compared.shift()``.
    """
    reading = (
        "Above 0 % jobs at this percentile take longer in B. Whisker: its interval over the pairs;"
        " coloured: proved, the percentiles of a queue taken together."
    )
    known = frame[frame["point"].map(math.isfinite)] if len(frame) else frame
    if known.empty:
        return Chart(
            title="No percentile is known in pairs of both arms",
            reading=reading,
            empty="Too few pairs, or none is valid.",
        )
    every = [float(each) for each in sorted(known["quantile"].unique())]
    place = {quantile: float(number) for number, quantile in enumerate(every)}
    panels = []
    for queue in list(dict.fromkeys(known["queue"]))[:_PANELS]:
        rows = known[known["queue"] == queue]
        dots = tuple(
            Intervals(
                name=name,
                x=tuple(place[float(each)] for each in mine["quantile"]),
                y=numbers(mine["point"], 100),
                low=numbers(mine["low"], 100),
                high=numbers(mine["high"], 100),
                colour=colour,
            )
            for name, colour, moved in (("moved", "vermilion", True), ("not proved", "grey", False))
            for mine in (rows[rows["moved"] == moved],)
            if len(mine)
        )
        panels.append(
            Panel(
                title=str(queue),
                x=Axis(
                    title="percentile of the latency",
                    ticks=tuple((at, f"P{100 * q:g}") for q, at in place.items()),
                ),
                y=Axis(title="B against A, %"),
                marks=(Rule(y=0.0, label=""), *dots),
            )
        )
    table = Table(
        columns=("queue", "percentile", "A ms", "B ms", "change ms", "change", "interval",
                 "p, together"),
        rows=tuple(
            (
                str(row["queue"]),
                f"P{100 * row['quantile']:g}",
                format_ms(row["baseline_ns"]),
                format_ms(row["candidate_ns"]),
                format_ms(row["change_ns"]),
                signed(row["point"], "ratio"),
                f"{signed(row['low'], 'ratio')} … {signed(row['high'], 'ratio')}",
                probability(row["p_adjusted"]),
            )
            for row in frame.to_dict("records")
        ),
        note="A, B: medians of the trials. Change: 20 % trimmed mean over pairs, with Yuen's"
        " interval; p by Hochberg over the percentiles of a queue.",
    )  # fmt: skip
    return Chart(
        title="; ".join(_moved(queue, rows) for queue, rows in known.groupby("queue", sort=False)),
        reading=reading,
        panels=tuple(panels),
        table=table,
        summary="; ".join(" ".join((*row[:2], row[5])) for row in table.rows),
    )


def _moved(queue: object, rows: pd.DataFrame) -> str:
    moved = rows[rows["moved"]]
    if moved.empty:
        return f"{queue}: no percentile is proved to have moved"
    first, last = moved.iloc[0], moved.iloc[-1]
    names = [f"P{100 * each['quantile']:g} {signed(each['point'], 'ratio')}"
             for each in (first, last)]  # fmt: skip
    how = f"all {len(rows)}" if len(moved) == len(rows) else f"{len(moved)} of {len(rows)}"
    return f"{queue}: {how} percentiles moved, {' to '.join(dict.fromkeys(names))}"


def trials_in_time(trials: pd.DataFrame, effects: pd.DataFrame, drift: pd.DataFrame) -> Chart:
    """The trials in the order in which they were measured: does the machine drift?

    Args:
        trials: ``compared.trials()``.
        effects: ``compared.effects()``: the first four metrics with a ratio are drawn.
        drift: ``compared.drift()``.
    """
    reading = (
        "One dot a trial, A and B in random order inside each pair. A slope of both arms together"
        " is the machine's, or that of the draws, and is in no effect."
    )
    counted = trials[trials["valid"]] if len(trials) else trials
    ratios = effects[effects["scale"] == "ratio"] if len(effects) else effects
    if counted.empty or ratios.empty:
        return Chart(
            title="No valid trial to draw", reading=reading, empty="No trial of either arm counts."
        )
    panels = []
    for row in ratios.head(4).to_dict("records"):
        scale = 1e-6 if row["unit"] == "ns" else 1.0
        unit = {"ns": "ms", "per_s": "per second"}.get(str(row["unit"]), str(row["unit"]))
        panels.append(
            Panel(
                title=str(row["metric"]),
                x=Axis(title="minutes since the first trial began"),
                y=Axis(title=unit),
                marks=tuple(
                    Points(
                        name=arm,
                        x=tuple(float(at) / 60 for at in mine["at_s"]),
                        y=numbers(mine[row["metric"]], scale),
                        colour=colour,
                    )
                    for arm, colour in (("A", "blue"), ("B", "orange"))
                    for mine in (counted[counted["arm"] == arm],)
                ),
            )
        )
    return Chart(
        title=_drifted(drift, float(counted["at_s"].max() - counted["at_s"].min()) / 60),
        reading=reading,
        panels=tuple(panels),
        table=_trial_table(counted, ratios),
        height=180,
        shared=False,
        beside=2,
    )


def _drifted(drift: pd.DataFrame, minutes: float) -> str:
    within = f"within the {minutes:.0f} minutes of this comparison"
    known = drift[drift["low"].map(math.isfinite)] if len(drift) else drift
    if known.empty:
        return f"Whether the machine drifted {within} is not known: too few pairs"
    beyond = known[(known["low"] > 0) | (known["high"] < 0)]
    if beyond.empty:
        narrow = min(known.to_dict("records"), key=lambda row: row["high"] - row["low"])
        ends = f"{signed(narrow['low'], 'ratio')} … {signed(narrow['high'], 'ratio')}"
        return f"No drift stands out {within}; {narrow['metric']}, known best, changed by {ends}"
    named = ", ".join(
        f"{row['metric']} {signed(row['point'], 'ratio')}" for row in beyond.to_dict("records")
    )
    return f"Both arms drifted together {within}: {named}; interleaving keeps it out of the effects"


def _trial_table(counted: pd.DataFrame, ratios: pd.DataFrame) -> Table:
    metrics = list(zip(ratios["metric"], ratios["unit"], strict=True))
    return Table(
        columns=("trial", "pair", "arm", "minute", *(str(metric) for metric, _ in metrics)),
        rows=tuple(
            (
                str(row["trial"]),
                str(row["pair"] + 1),
                str(row["arm"]),
                f"{row['at_s'] / 60:.1f}",
                *(value(row[metric], str(unit)) for metric, unit in metrics),
            )
            for row in counted.to_dict("records")
        ),
    )
