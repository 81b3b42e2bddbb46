"""Tables: thresholds, trials, percentiles. Texts come from outside and are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.load import offered
from perfkit.figures.markup import Block, table, text
from perfkit.figures.multiples import titles
from perfkit.units import (
    format_count,
    format_duration,
    format_ms,
    format_percent,
    format_rate,
)

if TYPE_CHECKING:
    from perfkit.verdict import ThresholdResult

__all__ = ["marks", "percentiles", "thresholds", "trials", "trials_table"]

# What became of a target, the worst first, and how its row looks.
_STATES: Final = {"missed": "bad", "not observed": "unsure", "not judged": "unsure", "holds": ""}
_OBSERVED: Final = "observed, not inferred"
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
    """The rows of `trials`; ``full`` adds efficiency, added latency and CPU per job."""
    names = titles(frame)
    columns = ["trial", "state", "workers", "offered", "came due", "achieved", "n"]
    columns += ["P50 ms", "P95 ms", "P99 ms"]
    if full:
        columns += ["efficiency", "added P95 ms", "backlog", "CPU ms/job"]
    rows = []
    for _, row in frame.iterrows():
        cells = [
            names[int(row["trial"])],
            f"{str(row['status']).lower()}, {row['state']}",
            format_count(float(row["workers"])),
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


def thresholds(results: Sequence[ThresholdResult], names: Mapping[int, str]) -> Block:
    """Target, observed value with its n, margin, and whether it holds; misses first.

    Args:
        results: ``run.thresholds()``.
        names: ``titles(trials)``.
    """
    if not results:
        sentence = "No thresholds were set: what follows was observed, nothing was judged by it."
        return Block(html=f'<p class="pk-empty">{text(sentence)}</p>', plain=sentence)
    ordered = sorted(results, key=lambda result: list(_STATES).index(_state(result)))
    several = len({result.trial for result in results}) > 1
    rows = []
    for result in ordered:
        target = f"{result.metric}{f' of {result.queue}' if result.queue else ''} {result.expr}"
        cells = (
            _state(result),
            target,
            _value(result.metric, float(result.observed)),
            _margin(float(result.margin)),
            format_count(float(result.n)),
            "" if result.note == _OBSERVED else result.note,
        )
        name = names.get(result.trial, f"trial {result.trial}")
        rows.append((*cells[:1], name, *cells[1:]) if several else cells)
    columns = ("", "target", "observed", "margin", "n", "note")
    shown = Table(
        columns=(*columns[:1], "trial", *columns[1:]) if several else columns,
        rows=tuple(rows),
        note="Observed, not inferred: one trial is one observation.",
    )
    return _block(shown, [_STATES[_state(result)] for result in ordered])


def _state(result: ThresholdResult) -> str:
    if result.note.endswith("not judged"):
        return "not judged"
    if result.holds:
        return "holds"
    return "not observed" if math.isnan(result.observed) else "missed"


def percentiles(frame: pd.DataFrame, names: dict[int, str]) -> Block:
    """P50, P95 and P99 by trial and queue, with n and the jobs that never finished.

    Args:
        frame: ``run.percentiles()``.
        names: ``titles(trials)``.
    """
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
            columns=("trial", "queue", "n", "P50 ms", "P95 ms", "P99 ms", "mean ms", "unfinished"),
            rows=tuple(rows),
            note="Jobs intended inside the window, from the intended time; one that never finished"
            " counts as ∞.",
        )
    )


def _block(shown: Table, marks: Iterable[str] = ()) -> Block:
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    return Block(html=table(shown, marks=list(marks)), plain=plain)


def _fixed(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.2f}"


def _margin(share: float) -> str:
    if math.isinf(share):
        return "∞" if share > 0 else "-∞"
    return format_percent(share)


def _value(metric: str, observed: float) -> str:
    """A value in the unit of its metric."""
    from perfkit.scenario.threshold import METRICS

    unit = METRICS.get(metric)
    if unit == "duration":
        return format_duration(observed)
    if unit == "share":
        return format_percent(observed, 2)
    if unit == "rate":
        return format_rate(observed)
    return "n/a" if math.isnan(observed) else f"{observed:g}"
