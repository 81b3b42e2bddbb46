"""Fault x configuration: what was expected, what was observed, and where the two differ.

What is read here are the summaries of a campaign (``make campaign PART=faults``), a row a trial,
small enough to be committed. The trials themselves stay where they were measured.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perfkit.errors import NotARun
from perfkit.paths import example_data
from perfkit.units import format_count, format_duration

if TYPE_CHECKING:
    import pandas as pd

    from perfkit.verdict import Accounting

__all__ = ["COUNTS", "FILE", "VERSION", "Reliability", "observed", "reliability"]

FILE: Final = "summary.json"
VERSION: Final = 2
"""2: the trials are lists of values in the order of ``columns``, a third of the bytes."""

COUNTS: Final = ("lost", "duplicated", "redelivered", "stuck")
"""What a cell is judged by; ``stuck`` jobs are pending or stranded when the trial is over."""

_WORDS: Final = {
    "lost": "lost",
    "duplicated": "run twice",
    "redelivered": "redelivered",
    "stuck": "stuck",
}
_BOOKS: Final = (
    "planned", "accepted", "refused", "errored", "done", "done_unacked", "dead", "pending",
    "stranded", "lost", "unexplained", "phantom", "duplicated", "ambiguous", "double_charges",
    "stalled_max",
)  # fmt: skip
_RECOVERY: Final = (
    "time_to_first_redelivery_s", "backlog_recovered_s", "p99_before_ns", "p99_during_ns",
    "p99_after_ns", "ingest_availability",
)  # fmt: skip
_TRIAL: Final = frozenset({
    "fault", "configuration", "turn", "created", "host", "verdict", "disturbed", "happened",
    "error", "agree", "redelivered", "recovered_s", "why", *_BOOKS, *_RECOVERY,
})  # fmt: skip
_CELL: Final = frozenset({"fault", "configuration", "command", "expected"})
_EXPECTED: Final = frozenset({*COUNTS, "within_s", "mechanism", "source"})
_LIKELIHOODS: Final = ("none", "possible", "some")
_INFINITE: Final = "never"  # JSON has no word for it


@dataclass(frozen=True, slots=True)
class Reliability:
    """The summaries of one campaign.

    Attributes:
        recorded: from and to (dates), hosts (fingerprint -> facts), versions, synthetic.
        configurations: name -> in words.
        trials: one row a trial. Columns: fault, configuration, turn, created (ISO, UTC), host,
            verdict, disturbed (something else ran on the machine), happened (the fault was done),
            error (why not), agree (the books balance and the independent counters agree), the
            counts of the books, redelivered and stuck (jobs), recovered_s (from the fault until it
            was mended, the backlog was back and the first job was redelivered; +infinity where the
            backlog did not come back, NaN where there was no fault), the figures of ``recovery``
            that it is made of, and why (mechanism -> jobs).
        cells: one row a combination, in the order of the campaign. Columns: fault, configuration,
            command, mechanism, source, turns, for each of `COUNTS` expected_X ("none": in no turn,
            "possible", "some": in every turn), X_least, X_median, X_most; within_s (expected at the
            latest; +infinity: not in such a trial), recovered_least_s, recovered_s (median),
            recovered_most_s, unexplained, agree, why (mechanism -> jobs, over all turns), and
            deviations: a tuple of sentences, empty where all was as expected.
    """

    recorded: Mapping[str, Any]
    configurations: Mapping[str, str]
    trials: pd.DataFrame
    cells: pd.DataFrame


def reliability(folder: str | os.PathLike[str] = "") -> Reliability:
    """The summaries in a folder, or those that are committed.

    Raises:
        NotARun: the folder has none that this version reads.
    """
    import pandas as pd

    path = (Path(folder).expanduser().absolute() if folder else _committed()) / FILE
    document = _read(path)
    trials = pd.DataFrame([_trial(row, path) for row in document["trials"]])
    cells = [
        _cell(cell, _of(trials, cell["fault"], cell["configuration"])) for cell in document["cells"]
    ]
    return Reliability(
        document["recorded"], document["configurations"], trials, pd.DataFrame(cells)
    )


def observed(
    accounting: Accounting, recovery: pd.Series, fact: Mapping[str, Any]
) -> dict[str, Any]:
    """What the summary keeps of one trial with one fault, ready for JSON.

    Args:
        accounting: of the trial.
        recovery: its row of ``run.recovery()``.
        fact: its entry of ``faults`` in the trial's facts.
    """
    counts = {name: getattr(accounting, name) for name in _BOOKS}
    figures = {name: _written(float(recovery[name])) for name in _RECOVERY}
    return {
        "happened": bool(fact["done"]),
        "error": fact["error"],
        "agree": accounting.balanced,
        **counts,
        "redelivered": _whole(float(recovery["redelivered"])),
        **figures,
        "recovered_s": _written(_recovered(recovery)),
        "why": {**accounting.mechanisms, **accounting.causes},
    }


def _recovered(recovery: pd.Series) -> float:
    done = float(recovery["done_s"])
    if math.isnan(done):
        return math.nan
    parts = (
        float(recovery["ended_s"]) - done,
        float(recovery["time_to_first_redelivery_s"]),
        float(recovery["backlog_recovered_s"]),
    )
    return max((part for part in parts if not math.isnan(part)), default=math.nan)


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _written(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return _INFINITE if math.isinf(value) else float(f"{value:.4g}")


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if value == _INFINITE:
        return math.inf
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"{value!r} is not a number")


def _committed() -> Path:
    return example_data() / "reliability"


def _read(path: Path) -> dict[str, Any]:
    """The document, as far as its shape is checked.

    Raises:
        NotARun: it is none.
    """
    mend = "`make campaign PART=faults` measures and leaves one"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotARun(f"{path} can't be read as a reliability summary: {error}", mend) from None
    named = _named(document)
    wrong = next(_wrong(named), None)
    if wrong:
        raise NotARun(f"{path} is no reliability summary: {wrong}", mend)
    return dict(named)


def _named(document: Any) -> Any:
    """The document with trials whose values have names; another shape is left to the checks."""
    if not isinstance(document, dict) or not isinstance(document.get("trials"), list):
        return document
    columns = document.get("columns")
    if not isinstance(columns, list):
        return document
    trials = [
        dict(zip(columns, row, strict=False)) if isinstance(row, list) else row
        for row in document["trials"]
    ]
    return {**document, "trials": trials}


def _wrong(document: Any) -> Iterator[str]:
    if not isinstance(document, dict) or "reliability" not in document:
        yield "it does not say that it is one"
        return
    if document["reliability"] != VERSION:
        yield f"it has version {document['reliability']!r}, this perfkit reads {VERSION}"
        return
    for name, kind in (
        ("recorded", dict), ("configurations", dict), ("cells", list), ("trials", list)
    ):  # fmt: skip
        if not isinstance(document.get(name), kind):
            yield f"it has no {name}"
            return
    for index, row in enumerate(document["cells"]):
        expected = row.get("expected") if isinstance(row, dict) else None
        if not isinstance(expected, dict) or not row.keys() >= _CELL:
            yield f"cell {index} is not whole"
        elif not expected.keys() >= _EXPECTED:
            yield f"cell {index} lacks {', '.join(sorted(_EXPECTED - expected.keys()))}"
        elif odd := [name for name in COUNTS if expected[name] not in _LIKELIHOODS]:
            yield f"cell {index}: {odd[0]} is one of {', '.join(_LIKELIHOODS)}"
    known = {(row["fault"], row["configuration"]) for row in document["cells"]}
    for index, row in enumerate(document["trials"]):
        if not isinstance(row, dict) or not row.keys() >= _TRIAL:
            lacking = sorted(_TRIAL - (row.keys() if isinstance(row, dict) else set()))
            yield f"trial {index} lacks {', '.join(lacking)}"
        elif (row["fault"], row["configuration"]) not in known:
            yield f"trial {index} belongs to no cell"


def _trial(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        numbers = {name: _number(row[name]) for name in ("recovered_s", "redelivered", *_RECOVERY)}
    except ValueError as error:
        raise NotARun(f"{path} is no reliability summary: {error}") from None
    return {**row, **numbers, "stuck": row["pending"] + row["stranded"]}


def _of(trials: pd.DataFrame, fault: str, configuration: str) -> pd.DataFrame:
    if trials.empty:
        return trials
    return trials[(trials["fault"] == fault) & (trials["configuration"] == configuration)]


def _cell(cell: Mapping[str, Any], mine: pd.DataFrame) -> dict[str, Any]:
    expected = cell["expected"]
    row: dict[str, Any] = {name: cell[name] for name in ("fault", "configuration", "command")}
    row |= {"mechanism": expected["mechanism"], "source": expected["source"], "turns": len(mine)}
    for name in COUNTS:
        values = mine[name].dropna() if len(mine) else ()
        row[f"expected_{name}"] = expected[name]
        row |= dict(
            zip((f"{name}_least", f"{name}_median", f"{name}_most"), _spread(values), strict=True)
        )
    within_s = _number(expected["within_s"])
    times = mine["recovered_s"].dropna() if len(mine) else ()
    spread = dict(
        zip(("recovered_least_s", "recovered_s", "recovered_most_s"), _spread(times), strict=True)
    )
    why: dict[str, int] = {}
    for each in mine["why"] if len(mine) else ():
        for mechanism, count in each.items():
            why[mechanism] = why.get(mechanism, 0) + count
    return {
        **row,
        "within_s": within_s,
        **spread,
        "unexplained": int(mine["unexplained"].sum()) if len(mine) else 0,
        "agree": bool(mine["agree"].all()) if len(mine) else True,
        "why": why,
        "deviations": tuple(_deviations(expected, within_s, mine)),
    }


def _spread(values: Sequence[float] | pd.Series) -> tuple[float, float, float]:
    """Least, median (of an even number the upper one) and most; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan, math.nan, math.nan
    return float(ordered[0]), float(ordered[len(ordered) // 2]), float(ordered[-1])


def _deviations(expected: Mapping[str, Any], within_s: float, mine: pd.DataFrame) -> Iterator[str]:
    """What was observed and not expected, a sentence each."""
    turns = len(mine)
    if not turns:
        return
    missed = mine[~mine["happened"].astype(bool)]
    if len(missed):
        yield f"the fault was not carried out in {len(missed)} of {turns} turns"
    for name in COUNTS:
        values = mine[name].dropna()
        over, nought = values[values > 0], values[values == 0]
        if expected[name] == "none" and len(over):
            most = format_count(float(over.max()))
            yield f"up to {most} {_WORDS[name]}, expected none ({len(over)} of {turns} turns)"
        if expected[name] == "some" and len(nought):
            yield f"none {_WORDS[name]} in {len(nought)} of {turns} turns, expected some"
    median = _spread(mine["recovered_s"].dropna())[1]
    if median > within_s:
        length = "not within the trial" if math.isinf(median) else format_duration(median * 1e9)
        yield f"time to recover: {length}, expected within {format_duration(within_s * 1e9)}"
    if unexplained := int(mine["unexplained"].sum()):
        yield f"{format_count(unexplained)} unexplained"
    if wrong := int((~mine["agree"].astype(bool)).sum()):
        yield f"the books or the independent counters disagree in {wrong} of {turns} turns"
