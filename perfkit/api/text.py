"""A run as text for a terminal."""

from __future__ import annotations

import math

from perfkit.api.runs import Run
from perfkit.units import format_count, format_ms, format_rate

__all__ = ["next_command", "run_text"]

_COLUMNS = (
    "trial",
    "offered",
    "came due",
    "achieved",
    "n",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "backlog",
    "state",
)


def next_command(run: Run) -> str:
    """What a person would type next: the experiment that this run makes interesting."""
    plan = run.manifest["plan"]
    scenarios = list(dict.fromkeys(each["scenario"] for each in plan))
    axes = {axis for each in plan for axis in each["axes"]}
    if len(scenarios) > 1 or not plan:
        return "perfkit show"
    if "stack.workers" not in axes:
        return f"perfkit sweep {scenarios[0]} --axis workers=1,2,4"
    if "stack.preset" not in axes:
        return f"perfkit sweep {scenarios[0]} --workers 2 --axis preset=stock,low-latency"
    return f"perfkit sweep {scenarios[0]} --axis workers=1,2,4 --repeat 3"


def run_text(run: Run) -> str:
    """Verdict, one line a trial, and the accounting."""
    headline = run.headline()
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for row in run.trials().to_dict("records"):
        most = "≤ " if row["model"] == "closed" else ""
        rows.append(
            (
                row["title"],
                f"{most}{format_rate(row['offered_per_s'])}",
                format_rate(row["due_per_s"]),
                format_rate(row["throughput_per_s"]),
                format_count(row["n"]),
                *(format_ms(value) for value in (row["p50_ns"], row["p95_ns"], row["p99_ns"])),
                "n/a" if math.isnan(row["backlog_end"]) else format_count(row["backlog_end"]),
                f"{row['status'].lower()}, {row['state']}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    table = [
        "  "
        + "  ".join(
            cell.ljust(width) if column in (0, len(widths) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    counts = run.accounting().counts()
    nonzero = "  ".join(f"{name} {format_count(count)}" for name, count in counts.items() if count)
    return "\n".join(
        [
            f"{run.name} {run.run_id} ({run.manifest['status']})",
            headline.sentence,
            *(f"  - {line}" for line in headline.lines),
            "",
            *table,
            "",
            f"accounting: {nonzero}",
            f"run: {run.path}",
        ]
    )
