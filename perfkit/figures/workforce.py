"""Workers while running: when their number changed, how long that took, and what it cost."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, Table, numbers
from perfkit.figures.load import TIME
from perfkit.figures.markup import Block, sentence, table
from perfkit.figures.multiples import drawn, each, span
from perfkit.figures.style import palette
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["scale_events", "worker_time", "workers_over_time"]

_OPEN: Final = 6  # rows of a table that always stand open
_SHARED: Final = "worker"  # the name of the one pool of a stack without pools, for people


def scale_events(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Block:
    """A row a change: when, which pool, from and to, why, and the time to the new level.

    Args:
        frame: ``run.scale_events()``.
        names: ``titles(trials)``; else the frame's labels.
    """
    if frame.empty:
        return sentence("The number of workers was not changed while running.")
    names = names or {}
    rows, marks = [], []
    for _, row in frame.sort_values(["trial", "at_s"]).iterrows():
        error = row["error"]
        wrong = isinstance(error, str) and error
        took = float(row["took_s"])
        rows.append(
            (
                names.get(int(row["trial"]), str(row["label"])),
                format_duration(1e9 * float(row["at_s"])),
                _pool(row["pool"]),
                " → ".join(format_count(float(row[f"{way}_workers"])) for way in ("from", "to")),
                str(row["reason"]),
                "not reached" if math.isnan(took) else format_duration(1e9 * took),
                str(error) if wrong else "",
            )
        )
        marks.append("bad" if wrong else "unsure" if math.isnan(took) else "")
    shown = Table(
        columns=("trial", "at", "pool", "workers", "why", "time to the new level", "error"),
        rows=tuple(rows),
        note="At: since load began. Time to the new level: until the last new worker was ready, or"
        " the last one told to stop had ended.",
    )
    return _found(_changes(frame), shown, marks)


def workers_over_time(frame: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart | Block:
    """Workers ready for jobs, by pool, over time; a panel a trial in which they changed.

    Args:
        frame: ``across(trials, run.workers_over_time)``.
        windows: the stretches to shade.
    """
    reading = (
        "A step up is a worker that became ready, a step down one that was told to stop or died."
    )
    moving = list(each(_changing(frame)))
    if not moving:
        return sentence("Every trial kept the workers it was started with.")
    pools = sorted({_pool(pool) for part in moving for pool in part.rows["pool"]})
    colours = dict(zip(pools, palette(len(pools)), strict=True))
    panels = []
    for part in moving:
        lines = tuple(
            Line(
                name=_pool(pool),
                x=tuple(rows["at_s"].astype(float)),
                y=numbers(rows["workers"]),
                colour=colours[_pool(pool)],
                step=True,
            )
            for pool, rows in part.rows.groupby("pool", sort=True, dropna=False)
        )
        panels.append(
            Panel(
                title=part.title,
                x=TIME,
                y=Axis(title="workers", zero=True),
                marks=(*span(windows, part.trial), *lines),
            )
        )
    all_moving = _changing(frame)
    reading += drawn(all_moving["trial"].nunique())
    low, high = float(all_moving["workers"].min()), float(all_moving["workers"].max())
    count, whole = all_moving["trial"].nunique(), frame["trial"].nunique()
    where = f" in {count} of {whole} trials" if whole > 1 else ""
    return Chart(
        title=f"Workers go between {format_count(low)} and {format_count(high)}{where}",
        reading=reading,
        panels=tuple(panels),
        height=180,
    )


def worker_time(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Block:
    """What the workers cost, and how soon the backlog of the highest phase was gone.

    Args:
        frame: ``run.worker_time()``.
        names: ``titles(trials)``; else the frame's labels.
    """
    fixed = frame["least_workers"].eq(frame["most_workers"]).all()
    if frame.empty or (fixed and frame["recovery_s"].isna().all()):
        return sentence(
            "Worker-seconds are workers times the window: their number did not change, and no"
            " phase of the load stands out to recover from."
        )
    names = names or {}
    # Trials whose workers came and went, or whose load had a peak, stand before the others.
    telling = frame["least_workers"].ne(frame["most_workers"]) | frame["recovery_s"].notna()
    rows = []
    for _, row in pd.concat([frame[telling], frame[~telling]]).iterrows():
        recovery = float(row["recovery_s"])
        rows.append(
            (
                names.get(int(row["trial"]), str(row["label"])),
                format_count(float(row["worker_s"])),
                f"{float(row['mean_workers']):.2f}",
                " to ".join(format_count(float(row[f"{of}_workers"])) for of in ("least", "most")),
                "n/a" if math.isnan(recovery) else format_duration(1e9 * recovery),
            )
        )
    shown = Table(
        columns=("trial", "worker-seconds", "mean workers", "least to most", "time to recover"),
        rows=tuple(rows),
        note="In the window. Time to recover: from the end of the highest phase until as few jobs"
        " waited as before it; n/a where that did not happen, or there is no such phase.",
    )
    return _found(_cost(frame, names), shown, [], fold=max(_OPEN, int(telling.sum())))


def _found(finding: str, shown: Table, marks: list[str], fold: int = _OPEN) -> Block:
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    head = sentence(finding, strong=True)
    return Block(html=head.html + table(shown, marks=marks, fold=fold), plain=f"{finding}\n{plain}")


def _changes(frame: pd.DataFrame) -> str:
    count = len(frame)
    said = f"{count} change{'' if count == 1 else 's'} of the number of workers"
    took = frame["took_s"].dropna()
    if len(took):
        low, high = (format_duration(1e9 * float(took.agg(of))) for of in ("min", "max"))
        said += f"; the new level took {low if low == high else f'{low} to {high}'}"
    missed = count - len(took)
    return said + (f"; {missed} never reached it" if missed else "")


def _cost(frame: pd.DataFrame, names: dict[int, str]) -> str:
    known = frame[frame["recovery_s"].notna()].sort_values("recovery_s")
    if known.empty:
        low, high = (format_count(float(frame["worker_s"].agg(of))) for of in ("min", "max"))
        return f"Workers cost {low if low == high else f'{low} to {high}'} worker-seconds a trial"

    def words(row: pd.Series) -> str:
        name = names.get(int(row["trial"]), str(row["label"]))
        return (
            f"{name} recovers in {format_duration(1e9 * float(row['recovery_s']))}"
            f" for {format_count(float(row['worker_s']))} worker-seconds"
        )

    first, last = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        return words(first)
    less = 1 - float(first["recovery_s"]) / float(last["recovery_s"])
    sooner = f" ({format_percent(less, 0)} sooner)" if less > 0 else ""
    return f"{words(first)}{sooner}, {words(last)}"


def _changing(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials in which some pool has more than one level."""
    if frame.empty:
        return frame
    levels = frame.groupby(["trial", "pool"], dropna=False)["workers"].transform("nunique")
    moving = frame.assign(moves=levels > 1).groupby("trial")["moves"].transform("any")
    return frame[moving]


def _pool(name: object) -> str:
    return str(name) if isinstance(name, str) and name else _SHARED
