"""Tables: thresholds, accounting, trials, percentiles. Texts come from outside and are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from perfkit.figures.chart import Table
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
    from perfkit.verdict import Accounting, ThresholdResult, Verdict

__all__ = ["accounting", "percentiles", "thresholds", "trials", "trials_table"]

_STATES: Final = ("missed", "not judged", "holds")
_OBSERVED: Final = "observed, not inferred"
_HEALTHY: Final = frozenset({"planned", "sent", "accepted", "done"})
_ALARMING: Final = frozenset({"lost", "unexplained"})
_MEANING: Final = {
    "planned": "requests that came due",
    "sent": "of these, sent",
    "dropped": "of these, not sent: the cap of requests in flight was reached",
    "late": "sent more than 10 ms after they were intended",
    "blocked": "waited for a connection",
    "accepted": "answered 2xx",
    "refused": "answered with another status",
    "errored": "no whole reply",
    "done": "finished and acknowledged",
    "done_unacked": "finished, acknowledgement lost",
    "dead": "gave up after the last retry",
    "pending": "still waiting in a list",
    "stranded": "only in an acknowledgement set",
    "lost": "gone, and the mechanism is known",
    "unexplained": "gone, without explanation",
    "phantom": "ran although the client saw an error",
    "duplicated": "one attempt started or finished more than once",
    "redelivered": "delivered more than once",
    "ambiguous": "no answer and no known id",
}


def trials(frame: pd.DataFrame, verdict: Verdict) -> Block:
    """One row a trial: load, throughput, latency, efficiency, backlog, state."""
    shown = trials_table(frame, verdict, full=True)
    marks = ["unsure" if each.saturated else "" for each in verdict.trials]
    return _block(shown, marks)


def trials_table(frame: pd.DataFrame, verdict: Verdict, *, full: bool = False) -> Table:
    """The rows of `trials`; ``full`` adds efficiency, added latency and CPU per job."""
    names = titles(frame)
    states = {each.trial: each for each in verdict.trials}
    columns = ["trial", "state", "workers", "offered", "achieved", "P50 ms", "P95 ms", "P99 ms"]
    if full:
        columns += ["efficiency", "added P95 ms", "backlog", "CPU ms/job"]
    rows = []
    for _, row in frame.iterrows():
        state = states.get(int(row["trial"]))
        word = "" if state is None else "saturated" if state.saturated else state.status.lower()
        cells = [
            names[int(row["trial"])],
            word,
            format_count(float(row["workers"])),
            format_rate(float(row["offered_per_s"])),
            format_rate(float(row["throughput_per_s"])),
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
        "Latency is from the intended time, over all queues; added is latency without the gateway's"
        " own time. Backlog: jobs not yet started when the window ended. CPU: of the workers."
    )
    return Table(columns=tuple(columns), rows=tuple(rows), note=note if full else "")


def thresholds(results: Sequence[ThresholdResult]) -> Block:
    """Target, observed value with its n, margin, and whether it holds; misses first."""
    if not results:
        sentence = "No thresholds were set: what follows was observed, nothing was judged by it."
        return Block(html=f'<p class="pk-empty">{text(sentence)}</p>', plain=sentence)
    ordered = sorted(results, key=lambda result: _STATES.index(_state(result)))
    several = len({result.trial for result in results}) > 1
    rows = []
    for result in ordered:
        target = f"{result.metric}{f' of {result.queue}' if result.queue else ''} {result.expr}"
        cells = (
            _state(result),
            target,
            _value(result.metric, float(result.observed)),
            _share(result.margin),
            format_count(float(result.n)),
            "" if result.note == _OBSERVED else result.note,
        )
        rows.append((*cells[:1], str(result.label), *cells[1:]) if several else cells)
    columns = ("", "target", "observed", "margin", "n", "note")
    shown = Table(
        columns=(*columns[:1], "trial", *columns[1:]) if several else columns,
        rows=tuple(rows),
        note="Observed, not inferred: one trial is one observation.",
    )
    css = {"missed": "bad", "not judged": "unsure", "holds": ""}
    return _block(shown, [css[_state(result)] for result in ordered])


def _state(result: ThresholdResult) -> str:
    if result.note.endswith("not judged"):
        return "not judged"
    return "holds" if result.holds else "missed"


def accounting(counted: Accounting) -> Block:
    """Every planned request in exactly one class, and the identities that prove it."""
    counts = counted.counts()
    present = [name for name, count in counts.items() if count or name in _HEALTHY]
    rows = tuple(
        (name.replace("_", " "), format_count(counts[name]), _MEANING.get(name, ""))
        for name in present
    )
    marks = [
        "" if name in _HEALTHY else "bad" if name in _ALARMING else "unsure" for name in present
    ]
    none = ", ".join(name.replace("_", " ") for name in counts if name not in present)
    identities = list(counted.identities())
    proof = Table(
        columns=("", "identity", "left", "right"),
        rows=tuple(
            (
                "balanced" if holds else "BROKEN",
                said,
                format_count(left),
                format_count(right),
            )
            for said, left, right, holds in identities
        ),
    )
    classes = Table(
        columns=("class", "requests", "meaning"),
        rows=rows,
        note=f"None at all: {none}." if none else "",
    )
    broken = sum(not holds for _, _, _, holds in identities)
    sentence = (
        "The books balance: every accepted job is in exactly one class."
        if not broken
        else f"The books do not balance: {broken} of {len(identities)} identities are broken."
    )
    examples = "".join(
        f'<details class="pk-more"><summary>ids: {text(name.replace("_", " "))}'
        f"</summary><p>{text(', '.join(ids))}</p></details>"
        for name, ids in counted.ids.items()
        if ids
    )
    html = (
        f'<p class="pk-finding"><strong>{text(sentence)}</strong></p>'
        f"{table(proof, marks=['' if holds else 'bad' for _, _, _, holds in identities])}"
        f"{table(classes, marks=marks)}"
        f"{examples}"
    )
    plain = "\n".join([sentence, *(f"{name}: {count}" for name, count in counts.items() if count)])
    return Block(html=html, plain=plain)


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


def _share(value: float | None) -> str:
    return "n/a" if value is None else format_percent(float(value))


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
