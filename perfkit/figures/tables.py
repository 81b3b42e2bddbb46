"""Tables: trials, percentiles. Texts come from outside and are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.load import offered
from perfkit.figures.markup import Block, table
from perfkit.figures.multiples import titles
from perfkit.figures.naming import words_of, words_of_trials
from perfkit.units import (
    format_count,
    format_ms,
    format_percent,
    format_rate,
)

__all__ = ["marks", "percentiles", "trials", "trials_table"]

_STATUS_MARKS: Final = {"FAIL": "bad", "INVALID": "broken", "INCONCLUSIVE": "unsure"}
_CALM: Final = frozenset({"carried", "idle"})


def trials(frame: pd.DataFrame) -> Block:
    """One row a trial: load, throughput, latency, efficiency, backlog, state.

    Args:
        frame: ``run.trials()``.
    """
    return _block(trials_table(frame, full=True), marks(frame))


def marks(frame: pd.DataFrame) -> list[str]:
    """A CSS class for each row of ``run.trials()``, by the worst that is said of it."""
    return [
        _STATUS_MARKS.get(str(status)) or ("" if state in _CALM else "unsure")
        for status, state in zip(frame["status"], frame["state"], strict=True)
    ]


def trials_table(frame: pd.DataFrame, *, full: bool = False) -> Table:
    """The rows of `trials`; ``full`` adds efficiency, added latency and CPU per job.

    Of a server elsewhere there is none of these, nor a number of workers.
    """
    names = titles(frame)
    has_jobs = words_of_trials(frame).things == "jobs"
    full = full and has_jobs
    columns = ["trial", "state", *(["workers"] if has_jobs else [])]
    columns += ["offered", "came due", "achieved", "n"]
    columns += ["P50 ms", "P95 ms", "P99 ms"]
    if full:
        columns += ["efficiency", "added P95 ms", "backlog", "CPU ms/job"]
    rows = []
    for _, row in frame.iterrows():
        cells = [
            names[int(row["trial"])],
            f"{str(row['status']).lower()}, {row['state']}",
            *([format_count(float(row["workers"]))] if has_jobs else []),
            offered(row),
            format_rate(float(row["due_per_s"])),
            format_rate(float(row["throughput_per_s"])),
            format_count(float(row["n"])),
            *(format_ms(float(row[f"{name}_ns"])) for name in ("p50", "p95", "p99")),
        ]
        if full:
            backlog = float(row["backlog_end"])
            cells += [
                format_percent(float(row["efficiency"]), 0),
                format_ms(float(row["added_p95_ns"])),
                "n/a" if math.isnan(backlog) else format_count(backlog),
                _fixed(float(row["workers_cpu_ms_per_job"])),
            ]
        rows.append(tuple(cells))
    note = (
        "Latency is from the intended time, over the n requests of the window and all queues; added"
        " is latency without the gateway's own time. Backlog: jobs not yet started when the window"
        " ended. CPU: of the workers. Efficiency: n/a where the offered load was the limit."
    )
    return Table(columns=tuple(columns), rows=tuple(rows), note=note if full else "")


def percentiles(frame: pd.DataFrame, names: dict[int, str]) -> Block:
    """P50, P95 and P99 by trial and queue, with n and the jobs that never finished.

    Args:
        frame: ``run.percentiles()``.
        names: ``titles(trials)``.
    """
    words = words_of(frame)
    rows = []
    for _, row in frame.iterrows():
        rows.append(
            (
                names.get(int(row["trial"]), str(row["trial"])),
                str(row["queue"]),
                format_count(float(row["n"])),
                *(format_ms(float(row[f"{name}_ns"])) for name in ("p50", "p95", "p99")),
                format_ms(float(row["mean_ns"])),
                format_count(float(row["unfinished"])),
            )
        )
    return _block(
        Table(
            columns=(
                *("trial", "queue" if words.things == "jobs" else "request", "n"),
                *("P50 ms", "P95 ms", "P99 ms", "mean ms", words.unfinished),
            ),
            rows=tuple(rows),
            note=words.note,
        )
    )


def _block(shown: Table, marks: Iterable[str] = ()) -> Block:
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    return Block(html=table(shown, marks=list(marks)), plain=plain)


def _fixed(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.2f}"
