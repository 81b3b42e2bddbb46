"""What a job asks of each resource, which of them limits, and the laws that must hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, sentence, table, text
from perfkit.units import format_count, format_percent, format_rate

if TYPE_CHECKING:
    from perfkit.verdict import Bottleneck

__all__ = ["demands", "laws"]

_FOLD: Final = 14
_STATES: Final = {"broken": "bad", "differs": "unsure", "not applicable": "zero"}
_NOTE: Final = (
    "Used: of all there is in the window. Bound: the throughput at which it would be used up, if a"
    " job went on asking as much. Worker threads hold a job from start to ack, its wait for the"
    " gateway included. A bottleneck is named where a resource is used up and, counted in another"
    " way, something waits before it. The generator is no part of the system."
)


def demands(
    frame: pd.DataFrame, bottlenecks: Sequence[Bottleneck], names: Mapping[int, str]
) -> Block:
    """The bottleneck of each trial in a sentence, and a row per arm and resource.

    Args:
        frame: ``run.demands()``.
        bottlenecks: ``run.bottlenecks()``.
        names: ``titles(trials)``.
    """
    shown = frame[frame["trial"].isin(list(names))]
    if shown.empty:
        return sentence("No resource was sampled, so what a job asks of it is not known.")
    several = len(bottlenecks) > 1
    said = [
        (f"{names.get(each.trial, each.trial)}: " if several else "") + each.sentence
        for each in bottlenecks
    ]
    rows = [_row(row, names) for row in shown.to_dict("records")]
    marks = ["unsure" if named else "" for named in shown["bottleneck"]]
    columns = ("", "resource", "ms a job", "there are", "used", "bound", "before it", "note")
    whole = Table(columns=columns, rows=tuple(rows), note=_NOTE)
    finding = _finding(bottlenecks, names)
    lines = "".join(f"<li>{text(line)}</li>" for line in said)
    plain = "\n".join((finding, *said, *("  ".join(row) for row in (columns, *rows))))
    return Block(
        html=f'<p class="pk-finding"><strong>{text(finding)}</strong></p>'
        f'<ul class="pk-lines">{lines}</ul>{table(whole, marks=marks, fold=_FOLD)}',
        plain=plain,
    )


def laws(frame: pd.DataFrame, names: Mapping[int, str]) -> Block:
    """A row per trial and law, what does not hold first.

    Args:
        frame: ``run.laws()``.
        names: ``titles(trials)``.
    """
    shown = frame[frame["trial"].isin(list(names))]
    if shown.empty:
        return sentence("No trial was measured, so there is nothing that a law could hold of.")
    ordered = sorted(shown.to_dict("records"), key=lambda row: str(row["state"]) != "broken")
    rows = tuple(
        (
            names[int(row["trial"])],
            str(row["law"]),
            str(row["state"]),
            format_count(float(row["n"])),
            str(row["observed"]),
        )
        for row in ordered
    )
    is_of_requests = (shown["observed"] == "no jobs were recorded").any()
    columns = ("trial", "law", "", "requests" if is_of_requests else "jobs", "observed")
    note = (
        "Stage sums and Little's law hold of any system exactly: where one is broken, a stamp, a"
        " clock or a join is wrong, and the trial is INVALID. The pathwise oracle feeds recorded"
        " arrivals and services to the next free thread; where starts differ, threads waited for"
        " more than a free thread, such as a core."
    )
    marks = [_STATES.get(row[2], "") for row in rows]
    broken = sum(row[2] == "broken" for row in rows)
    finding = (
        f"{broken} of {len(rows)} laws are broken: the instrument is wrong"
        if broken
        else "Stages add up to the latency and Little's law holds, wherever they could be asked"
    )
    body = table(Table(columns=columns, rows=rows, note=note), marks=marks, fold=_FOLD)
    return Block(
        html=f'<p class="pk-finding"><strong>{text(finding)}</strong></p>{body}',
        plain="\n".join((finding, *("  ".join(row) for row in (columns, *rows)))),
    )


def _finding(bottlenecks: Sequence[Bottleneck], names: Mapping[int, str]) -> str:
    named = [each for each in bottlenecks if each.resource is not None]
    if not named:
        return "No bottleneck is named: nowhere do two signs agree"
    if len(bottlenecks) == 1:
        return f"The bottleneck is {named[0].resource.name if named[0].resource else ''}"
    kinds = dict.fromkeys(each.resource.name for each in named if each.resource)
    return (
        f"A bottleneck is named in {len(named)} of {len(bottlenecks)} trials: {', '.join(kinds)}"
        + (f" ({names.get(named[0].trial, named[0].trial)})" if len(named) == 1 else "")
    )


def _row(row: Mapping[object, object], names: Mapping[int, str]) -> tuple[str, ...]:
    trial, trials = int(str(row["trial"])), int(str(row["trials"]))
    name = names[trial]
    value = {key: float(str(row[key])) for key in _NUMBERS}
    note = str(row["note"])
    return (
        f"{name.removesuffix(' #1')}, {trials} trials" if trials > 1 else name,
        str(row["resource"]) + (" (bottleneck)" if row["bottleneck"] else ""),
        _ms(value["ms_per_job"], value["low_ms"], value["high_ms"]),
        "–" if math.isinf(value["units"]) else f"{value['units']:.3g}",
        "–" if math.isinf(value["units"]) else format_percent(value["utilisation"], 0),
        "–" if not math.isfinite(value["bound_per_s"]) else format_rate(value["bound_per_s"]),
        str(row["queued"]),
        "" if note.startswith("no interval: one trial") else note,
    )


_NUMBERS: Final = ("units", "ms_per_job", "low_ms", "high_ms", "utilisation", "bound_per_s")


def _ms(point: float, low: float, high: float) -> str:
    if math.isnan(point):
        return "n/a"
    if math.isnan(low):
        return f"{point:.3g}"
    return f"{point:.3g} ({max(low, 0.0):.3g} to {high:.3g})"
