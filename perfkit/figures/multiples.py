"""Every trial of a run beside the others: small multiples and one name a trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from perfkit.figures.chart import Instant, Span
from perfkit.units import format_duration

__all__ = [
    "PANELS",
    "across",
    "at_least",
    "drawn",
    "each",
    "highest",
    "inside",
    "lowest",
    "sound",
    "span",
    "titles",
    "windows",
]

PANELS: Final = 12
"""More trials than this are not drawn side by side; their figures are in the tables."""

_APART: Final = 0.12  # of the x axis: labels nearer to each other than this would overlap


def titles(trials: pd.DataFrame) -> dict[int, str]:
    """The name of each trial of ``run.trials()``, different for any two of them."""
    return {
        int(trial): str(title)
        for trial, title in zip(trials["trial"], trials["title"], strict=True)
    }


def sound(trials: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The trials that findings may rest on, and words for those that they may not.

    Not those that were cut short, whose figures are INVALID, or in which nothing came due. The
    words begin with "; " and are empty where all are sound.
    """
    trials = trials[trials["state"] != "idle"]
    kept = (trials["status"] != "INVALID") & (trials["state"] != "partial")
    left = len(trials) - int(kept.sum())
    of = f"; {left} of {len(trials)} trials {'is' if left == 1 else 'are'} cut short or invalid"
    return trials[kept], of if left else ""


def drawn(count: int, what: str = "trials") -> str:
    """What to add to a reading line when only some of ``count`` have a panel."""
    return f" {PANELS} of {count} {what} are drawn; the tables have all." if count > PANELS else ""


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

    Columns: trial, start_s, end_s, over_s (end of the drain); seconds since load began; and
    instants: a tuple of `Instant`, where a phase of the load begins, where workers were added or
    removed, and where something was broken and mended. A trial that never got to its window is
    absent.
    """
    rows = []
    for trial in trials["trial"]:
        known = facts(int(trial))
        instants = known.get("instants_ns") or {}
        names = ("load_start", "window_start", "window_end", "drain_end")
        began, start, end, over = (instants.get(name) for name in names)
        if began is not None and start is not None and end is not None:
            over = end if over is None else over
            places = [(place - began) / 1e9 for place in (start, end, over)]
            length = places[-1]
            marks = (
                *_phases(known),
                *_scalings(known, began, length),
                *_faults(known, began, length),
            )
            rows.append((int(trial), *places, marks))
    return pd.DataFrame(rows, columns=["trial", "start_s", "end_s", "over_s", "instants"])


def _phases(facts: Mapping[str, Any]) -> Iterator[Instant]:
    """Where each phase begins, its ramp included; nothing where the load has one phase alone."""
    stretches = [each for each in facts.get("stretches") or () if each.get("phase") is not None]
    begins: dict[int, tuple[float, str]] = {}
    for each in stretches:
        begins.setdefault(int(each["phase"]), (float(each["begin_ns"]) / 1e9, str(each["name"])))
    if len(begins) < 2:
        return
    length = max(float(each["end_ns"]) for each in stretches) / 1e9
    last = -length
    for at, name in begins.values():
        yield Instant(x=at, label=name if at - last >= length * _APART else "")
        last = at if at - last >= length * _APART else last


def _scalings(facts: Mapping[str, Any], began: float, length: float) -> Iterator[Instant]:
    """Where the number of workers was changed; labels that would lie on each other are left out."""
    last = -length
    for each in sorted(facts.get("scale_events") or (), key=lambda event: int(event["at_ns"])):
        at = (float(each["at_ns"]) - began) / 1e9
        free = at - last >= length * _APART
        pool = f"{each['pool']} " if each.get("pool") else ""
        words = f"{pool}{each.get('from_workers', '?')}→{each.get('to_workers', '?')}"
        yield Instant(x=at, label=words if free else "", colour="vermilion", row=1)
        last = at if free else last


def _faults(facts: Mapping[str, Any], began: float, length: float) -> Iterator[Instant]:
    """Where something was broken on purpose, and where it was mended; what was not done is not."""
    happened = []
    for fault in facts.get("faults") or ():
        if fault.get("done_ns") is not None:
            happened.append((float(fault["done_ns"]), f"{fault['action']} {fault['target']}"))
            if fault.get("ended_ns") is not None:
                happened.append((float(fault["ended_ns"]), "mended"))
    last = -length
    for at_ns, words in sorted(happened):
        at = (at_ns - began) / 1e9
        free = at - last >= length * _APART
        yield Instant(x=at, label=words if free else "", colour="bad", row=2)
        last = at if free else last


def at_least(value_ns: float, trial: int, shaded: pd.DataFrame | None, seen_ns: float = 0.0) -> str:
    """A latency in words; for one that is infinite, what is known of it: "≥ 12.0 s".

    A job that was never done had waited at least from the end of the window to that of the drain.

    Args:
        value_ns: a percentile of the trial, +infinity where it fell on a job that was never done.
        trial: whose it is.
        shaded: from `windows`.
        seen_ns: the largest finite latency of the same jobs; the percentile is no smaller.
    """
    if not math.isinf(value_ns):
        return format_duration(value_ns)
    bound_ns = seen_ns
    if shaded is not None and (mine := shaded[shaded["trial"] == trial]).size:
        bound_ns = max(bound_ns, 1e9 * float((mine["over_s"] - mine["end_s"]).iloc[0]))
    return f"≥ {format_duration(bound_ns)}" if bound_ns > 0 else "∞"


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


def span(shaded: pd.DataFrame | None, trial: int) -> tuple[Span | Instant, ...]:
    """The window of a trial as a mark, where it is known, and what happened in it."""
    if shaded is None or shaded.empty:
        return ()
    mine = shaded[shaded["trial"] == trial]
    instants = tuple(mark for marks in mine["instants"] for mark in marks)
    # Where phases have names, the first of them stands where the window's would.
    named = any(mark.row == 0 and mark.label for mark in instants)
    return (
        *(
            Span(start=float(start), end=float(end), label="" if named else "measured window")
            for start, end in zip(mine["start_s"], mine["end_s"], strict=True)
        ),
        *instants,
    )
