"""Every trial of a run beside the others: small multiples and one name a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from perfkit.figures.chart import Span

__all__ = ["PANELS", "across", "each", "highest", "inside", "lowest", "span", "titles", "windows"]

PANELS: Final = 12
"""More trials than this are not drawn side by side; their figures are in the tables."""


def titles(trials: pd.DataFrame) -> dict[int, str]:
    """A name for each trial of ``run.trials()``: its axes, with scenario or repeat where needed."""
    several = trials["scenario"].nunique() > 1
    repeated = bool((trials["repetition"] > 0).any())
    named: dict[int, str] = {}
    for row in trials.itertuples():
        scenario, label = str(row.scenario), str(row.label)
        words = f"{scenario} {label}" if several and label != scenario else label or scenario
        if repeated:
            words += f", repeat {int(str(row.repetition)) + 1}"
        named[int(str(row.trial))] = words
    return named


def across(trials: pd.DataFrame, read: Callable[[int], pd.DataFrame]) -> pd.DataFrame:
    """One frame of every trial: ``across(run.trials(), run.timeline)``.

    Columns are those of ``read(trial)`` after ``trial`` and ``title``; trials without
    rows add none.
    """
    named = titles(trials)
    parts = []
    for trial in trials["trial"]:
        part = read(int(trial))
        if len(part):
            rest = part.drop(columns=["trial", "label", "title"], errors="ignore")
            rest.insert(0, "title", named[int(trial)])
            rest.insert(0, "trial", int(trial))
            parts.append(rest)
    if not parts:
        return pd.DataFrame(columns=["trial", "title"])
    return pd.concat(parts, ignore_index=True)


def windows(trials: pd.DataFrame, facts: Callable[[int], Mapping[str, Any]]) -> pd.DataFrame:
    """Where the measured window lies: ``windows(run.trials(), run.trial_facts)``.

    Columns: trial, start_s, end_s; seconds since load began. A trial that never got
    there is absent.
    """
    rows = []
    for trial in trials["trial"]:
        instants = facts(int(trial)).get("instants_ns") or {}
        began, start, end = (
            instants.get(name) for name in ("load_start", "window_start", "window_end")
        )
        if began is not None and start is not None and end is not None:
            rows.append((int(trial), (start - began) / 1e9, (end - began) / 1e9))
    return pd.DataFrame(rows, columns=["trial", "start_s", "end_s"])


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one trial."""

    trial: int
    title: str
    rows: pd.DataFrame


def each(frame: pd.DataFrame) -> Iterator[Part]:
    """The trials of a frame made by `across`, in order, at most `PANELS` of them."""
    for trial, rows in list(frame.groupby("trial", sort=True))[:PANELS]:
        yield Part(int(str(trial)), str(rows["title"].iloc[0]), rows)


def highest(frame: pd.DataFrame, column: str) -> pd.Series:
    """The row with the largest value of a column that has one."""
    return frame.iloc[int(np.nanargmax(frame[column].to_numpy(dtype=float)))]


def lowest(frame: pd.DataFrame, column: str) -> pd.Series:
    """The row with the smallest value of a column that has one."""
    return frame.iloc[int(np.nanargmin(frame[column].to_numpy(dtype=float)))]


def inside(frame: pd.DataFrame, shaded: pd.DataFrame | None) -> pd.DataFrame:
    """The rows whose ``at_s`` lies in the window of their trial; all where none does."""
    if shaded is None or shaded.empty:
        return frame
    limits = shaded.set_index("trial")
    start, end = (frame["trial"].map(limits[name]) for name in ("start_s", "end_s"))
    kept = frame[(frame["at_s"] >= start) & (frame["at_s"] <= end)]
    return kept if len(kept) else frame


def span(shaded: pd.DataFrame | None, trial: int) -> tuple[Span, ...]:
    """The window of a trial as a mark, where it is known."""
    if shaded is None or shaded.empty:
        return ()
    mine = shaded[shaded["trial"] == trial]
    return tuple(
        Span(start=float(start), end=float(end), label="measured window")
        for start, end in zip(mine["start_s"], mine["end_s"], strict=True)
    )
