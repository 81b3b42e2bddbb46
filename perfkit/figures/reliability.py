"""What was broken on purpose in a run, what it cost, and how soon it was over."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, Table, numbers
from perfkit.figures.load import TIME
from perfkit.figures.markup import Block, sentence, table
from perfkit.figures.multiples import drawn, each, highest, span
from perfkit.figures.style import queue_colours
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["recovery", "stalled"]

_QUIET: Final = "Nothing was broken on purpose"
_COSTS: Final = ("lost", "duplicated", "redelivered", "stranded", "dead")
_WORDS: Final = {"duplicated": "run twice", "dead": "dead letters"}
_OPEN: Final = 12  # rows that stand open


def recovery(
    frame: pd.DataFrame, names: dict[int, str] | None = None, waits: pd.DataFrame | None = None
) -> Block:
    """A row a fault: when it was done and mended, what it cost, and the time to recover.

    Args:
        frame: ``run.recovery()``.
        names: ``titles(trials)``; else the frame's labels.
        waits: ``across(trials, run.stalled)``: where there are no faults, whether any job waited
            for recovery all the same.
    """
    if frame.empty:
        stuck = waits is not None and len(waits) > 0 and int(waits["stalled"].max()) > 0
        rest = "" if waits is None else ", yet jobs waited for recovery" if stuck else _CALM
        return sentence(f"{_QUIET}{rest}.")
    names = names or {}
    costs = [name for name in _COSTS if name in frame]
    rows, marks = [], []
    for _, row in frame.sort_values(["trial", "fault"]).iterrows():
        done = not math.isnan(float(row["done_s"]))
        rows.append(
            (
                names.get(int(row["trial"]), str(row["label"])),
                f"{row['action']} {row['target']}",
                _text(row["victim"]),
                _seconds(row["done_s"]) if done else "not done",
                _seconds(float(row["ended_s"]) - float(row["done_s"])),
                _seconds(row["time_to_first_redelivery_s"]),
                _back(float(row["backlog_recovered_s"])),
                *(_count(float(row[name])) for name in costs),
                " → ".join(_latency(float(row[f"p99_{at}_ns"])) for at in _STAGES),
                _share(float(row["ingest_availability"])),
            )
        )
        marks.append(_mark(row, done))
    shown = Table(
        columns=(
            "trial",
            "fault",
            "victim",
            "at",
            "mended after",
            "first redelivery after",
            "backlog back after",
            *(_WORDS.get(name, name) for name in costs),
            "P99 before → during → after",
            "ingest available",
        ),
        rows=tuple(rows),
        note="At: since load began. After: from when it was done. During: until it was mended, the"
        " backlog was back and what was taken had started again. n/a: does not apply.",
    )
    finding = _finding(frame, names)
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    head = sentence(finding, strong=True)
    return Block(
        html=f"{head.html}{_undone(frame).html}{table(shown, marks=marks, fold=_OPEN)}",
        plain=f"{finding}\n{plain}",
    )


_CALM: Final = ", and no job waited for recovery"
_STAGES: Final = ("before", "during", "after")


def stalled(frame: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart | Block:
    """Jobs that wait for recovery, by queue, over time; a panel a trial in which any did.

    Nothing at all where none did: `recovery` says so.

    Args:
        frame: ``across(trials, run.stalled)``.
        windows: the stretches to shade.
    """
    kept = _waiting(frame)
    if kept.empty:
        return Block(html="", plain="")
    colours = queue_colours(sorted(map(str, kept["queue"].unique())))
    panels = tuple(
        Panel(
            title=part.title,
            x=TIME,
            y=Axis(title="jobs waiting for recovery", zero=True),
            marks=(
                *span(windows, part.trial),
                *(
                    Line(
                        name=str(queue),
                        x=tuple(map(float, rows["at_s"])),
                        y=numbers(rows["stalled"]),
                        colour=colours[str(queue)],
                        step=True,
                    )
                    for queue, rows in part.rows.groupby("queue", sort=True)
                ),
            ),
        )
        for part in each(kept)
    )
    most = highest(kept, "stalled")
    count, whole = kept["trial"].nunique(), frame["trial"].nunique()
    where = f", in {count} of {whole} trials" if whole > 1 else ""
    return Chart(
        title=f"At most {format_count(float(most['stalled']))} jobs of {most['queue']} wait for"
        f" recovery ({most['title']}){where}",
        reading="Fetched by a worker that is dead, silent or has dropped them: nobody works on"
        f" them until Redis hands them out again.{drawn(count)}",
        panels=panels,
        height=180,
    )


def _waiting(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials in which any job waited for recovery."""
    if frame.empty:
        return frame
    return frame[frame.groupby("trial")["stalled"].transform("max") > 0]


def _finding(frame: pd.DataFrame, names: dict[int, str]) -> str:
    """How many faults, and the worst of their costs."""
    done = frame[frame["done_s"].notna()]
    count = len(frame)
    said = f"{count} fault{'' if count == 1 else 's'}"
    if len(done) < count:
        said += f", {count - len(done)} of them not carried out"
    totals = {name: int(done[name].sum()) for name in _COSTS if name in done}
    lost, twice = totals["lost"], totals["duplicated"]
    costs = [
        "no job lost" if not lost else f"{format_count(lost)} lost",
        "none run twice" if not twice else f"{format_count(twice)} run twice",
    ]
    costs += [
        f"{format_count(totals[name])} {_WORDS.get(name, name)}"
        for name in _COSTS[2:]
        if totals.get(name)
    ]
    said += f": {', '.join(costs)}"
    slow = done[done["backlog_recovered_s"].map(math.isinf)]
    known = done[done["backlog_recovered_s"].notna()]
    if len(slow):
        where = names.get(int(slow["trial"].iloc[0]), str(slow["label"].iloc[0]))
        said += f"; the backlog did not come back in {where}"
        said += f" and {len(slow) - 1} more" if len(slow) > 1 else ""
    elif len(known) and (longest := float(known["backlog_recovered_s"].max())) > 0:
        said += f"; the backlog was back after {_seconds(longest)} at the latest"
    return said


def _undone(frame: pd.DataFrame) -> Block:
    """Why what was to be done was not."""
    errors = [
        f"{row['action']} {row['target']}: {row['error']}"
        for _, row in frame.iterrows()
        if "error" in frame and isinstance(row["error"], str) and row["error"]
    ]
    return sentence("; ".join(errors)) if errors else Block("", "")


def _mark(row: pd.Series, done: bool) -> str:
    if not done:
        return "broken"
    if float(row["lost"]) > 0:
        return "bad"
    return "unsure" if math.isinf(float(row["backlog_recovered_s"])) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else "–"


def _seconds(value: float) -> str:
    return "n/a" if math.isnan(value) else format_duration(1e9 * float(value))


def _back(value: float) -> str:
    return "not in this trial" if math.isinf(value) else "0 s" if value == 0 else _seconds(value)


def _count(value: float) -> str:
    return "n/a" if math.isnan(value) else format_count(value)


def _latency(value_ns: float) -> str:
    return (
        "n/a"
        if math.isnan(value_ns)
        else "∞"
        if math.isinf(value_ns)
        else format_duration(value_ns)
    )


def _share(value: float) -> str:
    return "n/a" if math.isnan(value) else format_percent(value)
