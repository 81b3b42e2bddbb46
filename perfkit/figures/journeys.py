"""What user code did, as one table: iterations, checks, own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, table, text
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["journeys"]

_NONE = "No user code made the requests."
_CLOSED = (
    "A request is intended when the reply before it came, or after a pause that the code made by "
    "itself; the first of an iteration when that came due. A slow reply therefore delays the "
    "requests after it."
)


def journeys(frame: pd.DataFrame, names: Mapping[int, str]) -> Block:
    """How iterations ended, which checks passed, and what values the code kept.

    Args:
        frame: ``run.journeys()``.
        names: ``titles(trials)``.
    """
    shown = frame[frame["trial"].isin(list(names))]
    if shown.empty:
        return Block(html=f'<p class="pk-empty">{text(_NONE)}</p>', plain=_NONE)
    several = len(names) > 1
    rows, marks = [], []
    for row in shown.to_dict("records"):
        cells, mark = _cells(row)
        rows.append(((names[int(row["trial"])],) if several else ()) + cells)
        marks.append(mark)
    columns = (("trial",) if several else ()) + ("what", "name", "n", "outcome", "P50", "P95")
    finding = _finding(shown)
    built = Table(columns=columns, rows=tuple(rows))
    plain = "\n".join("  ".join(row) for row in (columns, *rows))
    return Block(
        html=f'<p class="pk-finding"><strong>{text(finding)}</strong></p>'
        f"{table(built, marks=marks)}<p>{text(_CLOSED)}</p>",
        plain=f"{finding}\n{plain}\n{_CLOSED}",
    )


def _finding(frame: pd.DataFrame) -> str:
    iterations = frame[frame["kind"] == "iteration"]
    n = int(iterations["n"].sum())
    raised = n - int(iterations.loc[iterations["name"] == "done", "n"].sum())
    checks = frame[frame["kind"] == "check"]
    words = f"{format_count(n)} iterations, {format_count(raised)} of them raised"
    if len(checks):
        share = float(checks["passed"].sum()) / float(checks["n"].sum())
        words += f"; {format_percent(share)} of the checks passed"
    return words


def _cells(row: Mapping[Any, Any]) -> tuple[tuple[str, ...], str]:
    n, kind = format_count(float(row["n"])), row["kind"]
    if kind == "check":
        failed = float(row["n"]) - float(row["passed"])
        said = "all passed" if not failed else f"{format_count(failed)} failed"
        return ("check", str(row["name"]), n, said, "", ""), "bad" if failed else ""
    if kind == "own":
        unit = f" {row['unit']}" if row["unit"] else ""
        values = tuple(f"{float(row[each]):.4g}{unit}" for each in ("mean", "p50", "p95"))
        return ("own value", str(row["name"]), n, f"mean {values[0]}", *values[1:]), ""
    times = tuple(format_duration(float(row[each]) * 1e9) for each in ("p50", "p95"))
    if kind == "blocked":
        most = format_duration(float(row["most"]) * 1e9)
        return ("loop kept", str(row["name"]), n, f"for {most} or more", "", ""), "broken"
    done = row["name"] == "done"
    name, said = ("", "returned") if done else (str(row["name"]), "raised")
    return ("iteration", name, n, said, *times), "" if done else "bad"
