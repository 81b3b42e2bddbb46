"""The scoreboard: every target beside what was observed, and what became of it, in words.

One trial is a list; several are one matrix, a row a trial and a column a target, with the trial
that failed most at its top. A target is *held*, *failed*, *not applicable at this load*, *not
observed* or *not judged*.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, table, text
from perfkit.units import (
    format_bytes,
    format_count,
    format_duration,
    format_percent,
    format_rate,
)

if TYPE_CHECKING:
    from perfkit.verdict import ThresholdResult

__all__ = ["STATES", "in_unit", "limit_words", "scoreboard", "state_of", "target_words"]

STATES: Final = {
    "failed": "bad",
    "not observed": "unsure",
    "not judged": "unsure",
    "held": "",
    "not applicable at this load": "zero",
}
"""What became of a target, the worst first, and the CSS class of its row or cell."""

_OBSERVED: Final = "observed, not inferred"
_NOT_APPLICABLE: Final = "not applicable at this load"
_UNSTEADY: Final = "no steady state"
_NOTE: Final = "Observed, not inferred: one trial is one observation."
_SHAPE: Final = re.compile(
    r"\s*(?:p\(\s*(?P<p>[\d.]+)\s*\)|(?P<aggregate>[a-z]+))\s*(?:in\b)?\s*(?P<operator>[<>=]*)"
)
_PLAIN: Final = frozenset({"rate", "count"})  # aggregates that say nothing beside their metric


def scoreboard(results: Sequence[ThresholdResult], names: Mapping[int, str]) -> Block:
    """Target, what was claimed for it, limit, observed value with its n, margin, and the state.

    Args:
        results: ``run.thresholds()``.
        names: ``titles(trials)``; every trial of them has a row, those without targets too.
    """
    if not results:
        sentence = "No thresholds were set: what follows was observed, nothing was judged by it."
        return Block(html=f'<p class="pk-empty">{text(sentence)}</p>', plain=sentence)
    ordered = sorted(results, key=lambda result: list(STATES).index(state_of(result)))
    several = len({result.trial for result in results}) > 1
    shown, marks = _rows(ordered, names if several else None)
    finding = _finding(results, names if several else None)
    whole = table(shown, marks=marks)
    if several:
        whole = (
            f"{_matrix(results, names)}"
            f'<details class="pk-more"><summary>every target in every trial: {len(results)} rows'
            f"</summary>{whole}</details>"
        )
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    return Block(
        html=f'<p class="pk-finding"><strong>{text(finding)}</strong></p>{whole}',
        plain=f"{finding}\n{plain}",
    )


def state_of(result: ThresholdResult) -> str:
    """One of `STATES`."""
    if not result.applicable:
        return _NOT_APPLICABLE
    if result.note.endswith("not judged"):
        return "not judged"
    if result.holds:
        return "held"
    return "not observed" if math.isnan(result.observed) else "failed"


def target_words(result: ThresholdResult) -> str:
    """The target without its limit: "latency of payments, P95"."""
    shape = _SHAPE.match(result.expr)
    words = f"{result.metric}{f' of {result.queue}' if result.queue else ''}"
    if shape is not None and shape["p"] is not None:
        words += f", P{shape['p']}"
    elif shape is not None and shape["aggregate"] not in _PLAIN:
        words += f", {shape['aggregate']}"
    return words if result.over == "window" else f"{words}, in {result.over}"


def limit_words(result: ThresholdResult) -> str:
    """The limit in the unit of the metric: "< 500 ms", "60 % to 75 %"."""
    least = in_unit(result.unit, result.limit, exact=True)
    if result.limit_high is not None:
        return f"{least} to {in_unit(result.unit, result.limit_high, exact=True)}"
    shape = _SHAPE.match(result.expr)
    return f"{shape['operator'] if shape is not None else ''} {least}".strip()


def in_unit(unit: str, value: float, *, exact: bool = False) -> str:
    """A value of a metric; ``exact`` is for limits, which people wrote in round numbers."""
    if math.isnan(value):
        return "n/a"
    if unit == "duration":
        shown = format_duration(value)
        return re.sub(r"(\.\d*?)0+(?= )", r"\1", shown).replace(". ", " ") if exact else shown
    if unit == "share":
        percent = f"{100 * value:g} %"
        return percent if exact else format_percent(value, 2 if value < 0.1 else 1)
    if unit == "rate":
        return f"{value:g}/s" if exact else format_rate(value)
    if unit == "bytes":
        return format_bytes(value)
    if unit == "number":
        return f"{value:.4g}"
    return format_count(value) if float(value).is_integer() else f"{value:.1f}"


def _rows(
    ordered: Sequence[ThresholdResult], names: Mapping[int, str] | None
) -> tuple[Table, list[str]]:
    """A row a result; with the trial's name where there are several."""
    claimed = any(result.claimed for result in ordered)
    columns = ["", *(["trial"] if names is not None else []), "target"]
    columns += ["claimed"] if claimed else []
    columns += ["limit", "observed", "n", "margin", "note"]
    rows = [
        (
            state_of(result),
            *([_name(names, result.trial)] if names is not None else []),
            target_words(result),
            *([result.claimed or "–"] if claimed else []),
            limit_words(result),
            in_unit(result.unit, result.observed),
            format_count(result.n),
            _margin(result.margin) if result.applicable else "n/a",
            "" if result.note == _OBSERVED else result.note,
        )
        for result in ordered
    ]
    return (
        Table(columns=tuple(columns), rows=tuple(rows), note=_NOTE),
        [STATES[state_of(result)] for result in ordered],
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """A column of the matrix."""

    words: str
    limit: str
    claimed: str


def _target(result: ThresholdResult) -> _Target:
    return _Target(target_words(result), limit_words(result), result.claimed or "")


def _matrix(results: Sequence[ThresholdResult], names: Mapping[int, str]) -> str:
    """Trials down, the worst first; targets across, in the order the scenario names them."""
    targets = list(dict.fromkeys(map(_target, results)))
    cells = {(result.trial, _target(result)): result for result in results}
    failed = Counter(result.trial for result in results if state_of(result) == "failed")
    unsure = Counter(result.trial for result in results if STATES[state_of(result)] == "unsure")
    trials = [trial for trial in names if any(result.trial == trial for result in results)]
    trials.sort(key=lambda trial: (-failed[trial], -unsure[trial], list(names).index(trial)))
    head = "".join(_head(target) for target in targets)
    body = "".join(
        f"<tr><th scope=row>{text(_name(names, trial))}</th>"
        f"{''.join(_cell(cells.get((trial, target))) for target in targets)}</tr>"
        for trial in trials
    )
    silent = [name for trial, name in names.items() if trial not in trials]
    without = f" Without targets: {', '.join(silent)}." if silent else ""
    return (
        '<div class="pk-scroll"><table class="pk-table pk-matrix"><thead><tr>'
        f"<th scope=col>trial</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="pk-note">{text(_NOTE + without)} The trial that failed most comes first.</p>'
    )


def _head(target: _Target) -> str:
    claimed = f"<br>claimed {text(target.claimed)}" if target.claimed else ""
    # A metric's name may break where a reader would: after its dots.
    words = text(target.words).replace(".", ".<wbr>")
    return f"<th scope=col><b>{words}</b><br>{text(target.limit)}{claimed}</th>"


def _cell(result: ThresholdResult | None) -> str:
    if result is None:
        return "<td class=zero>–</td>"
    state = state_of(result)
    words = "not applicable" if state == _NOT_APPLICABLE else state
    # A value without a steady state may lie within its limit and fails all the same.
    unsteady = state == "failed" and _UNSTEADY in result.note
    words += f"<br>{_UNSTEADY}" if unsteady else ""
    value = in_unit(result.unit, result.observed) if state in ("held", "failed") else ""
    css = STATES[state]
    return f"<td{f' class={css}' if css else ''}>{text(value)} <small>{words}</small></td>"


def _finding(results: Sequence[ThresholdResult], names: Mapping[int, str] | None) -> str:
    """How many hold; which fails, or which fails most often."""
    states = Counter(state_of(result) for result in results)
    judged = states["held"] + states["failed"]
    where = "" if names is None else f" in {len({result.trial for result in results})} trials"
    failing = Counter(target_words(each) for each in results if state_of(each) == "failed")
    if not judged:
        said = f"No target could be judged{where}"
    elif not failing:
        said = f"All {judged} targets hold{where}" if judged > 1 else f"The target holds{where}"
    else:
        said = f"{states['failed']} of {judged} targets failed{where}"
        if names is None:
            said += f": {'; '.join(failing)}"
        else:
            worst, often = failing.most_common(1)[0]
            said += f", most often {worst} ({often})"
    rest = [f"{states[state]} {state}" for state in STATES if state not in ("held", "failed")]
    rest = [words for words in rest if not words.startswith("0 ")]
    return "; ".join([said, *rest])


def _name(names: Mapping[int, str] | None, trial: int) -> str:
    return (names or {}).get(trial, f"trial {trial}")


def _margin(share: float) -> str:
    if math.isinf(share):
        return "∞" if share > 0 else "-∞"
    return format_percent(share)
