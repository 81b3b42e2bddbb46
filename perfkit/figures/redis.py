"""Redis' own word: commands of its slow log, and events of its latency monitor."""

from __future__ import annotations

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, sentence, table
from perfkit.figures.multiples import highest
from perfkit.units import format_count, format_duration

__all__ = ["latency_events", "slow_commands"]


def slow_commands(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Block:
    """Commands that Redis logged as slow, the worst first; never their arguments.

    Args:
        frame: ``run.slow_commands()``.
        names: ``titles(trials)``; else the frame's labels.
    """
    if frame.empty:
        return sentence("Redis logged no slow command.")
    count = float(frame["count"].sum())
    worst = highest(frame, "worst_ns")
    return _table(
        frame,
        names or {},
        kind="command",
        finding=f"Redis logged {format_count(count)} slow command{'' if count == 1 else 's'};"
        f" the worst is {worst['command']}, {format_duration(float(worst['worst_ns']))}",
        note="From Redis' slow log: time inside the server alone, which serves nobody else"
        " meanwhile.",
    )


def latency_events(frame: pd.DataFrame, names: dict[int, str] | None = None) -> Block:
    """Events of Redis' latency monitor, the worst first.

    Args:
        frame: ``run.latency_events()``.
        names: ``titles(trials)``; else the frame's labels.
    """
    if frame.empty:
        return sentence("Redis' latency monitor saw no event.")
    worst = highest(frame, "worst_ns")
    return _table(
        frame,
        names or {},
        kind="event",
        finding=f"Redis' latency monitor saw {worst['event']} hold the server for"
        f" {format_duration(float(worst['worst_ns']))}",
        note="fork: a snapshot or rewrite began. aof-*: a write of the append-only file."
        " command, fast-command: a command took long.",
    )


def _table(
    frame: pd.DataFrame, names: dict[int, str], *, kind: str, finding: str, note: str
) -> Block:
    servers = frame["server"].astype(str)
    several = bool(servers[servers != ""].size)
    total = "total_ns" in frame
    rows = [
        (
            names.get(int(row["trial"]), str(row["label"])),
            *([str(row["server"])] if several else []),
            str(row[kind]),
            format_count(float(row["count"])),
            format_duration(float(row["worst_ns"])),
            *([format_duration(float(row["total_ns"]))] if total else []),
        )
        for _, row in frame.sort_values("worst_ns", ascending=False, kind="stable").iterrows()
    ]
    columns = ["trial", *(["server"] if several else []), kind, "times", "worst"]
    shown = Table(
        columns=(*columns, *(["all together"] if total else [])), rows=tuple(rows), note=note
    )
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    head = sentence(finding, strong=True)
    return Block(html=head.html + table(shown, fold=12), plain=f"{finding}\n{plain}")
