"""The tables of a run as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from perfkit.api.runs import Run
from perfkit.redaction import redact
from perfkit.units import format_count

if TYPE_CHECKING:
    from perfkit.api.exporting import Contents

__all__ = ["csv_files", "neutral"]

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_UNITS: Final = {
    "_ns": "ns",
    "_per_s": "1/s",
    "_ms_per_job": "ms/job",
    "_share": "share of 1",
    "_bytes": "bytes",
}
_NAMED: Final = {
    "efficiency": "share of 1", "backlog_end": "jobs", "workers": "processes",
    "threads": "per worker", "slots": "jobs at once", "n": "requests", "attempts": "count",
    "deliveries": "count", "value": "unit in unit_of_value",
}  # fmt: skip
_OF_METRIC: Final = (
    ("_ns", "ns"), ("_bytes", "bytes"), ("_per_s", "1/s"), ("_s", "s"), ("fragmentation", "ratio"),
)  # fmt: skip


def csv_files(run: Run, scratch: Path) -> tuple[Contents, tuple[str, ...]]:
    """``requests.csv``, ``jobs.csv``, ``samples.csv``, ``trials.csv`` and a README, by name.

    Written trial by trial into ``scratch``, so that no more than one is in memory.
    """
    contents: Contents = {}
    touched: dict[str, int] = {}
    for name in ("requests", "jobs", "samples", "trials"):
        path = scratch / f"{name}.csv"
        touched[name] = _write(path, _frames(run, name))
        contents[path.name] = path
    notes = tuple(
        f"{name}.csv: {format_count(count)} cells began like a formula and have a ' before them now"
        for name, count in touched.items()
        if count
    )
    contents["README.txt"] = _readme(run, notes).encode()
    return contents, notes


def _frames(run: Run, name: str) -> Iterator[pd.DataFrame]:
    if name == "trials":
        yield run.trials()
        return
    read = {"requests": run.requests, "jobs": run.jobs, "samples": run.samples}[name]
    for trial in run.stored.trials:
        yield read(trial)


def _write(path: Path, parts: Iterator[pd.DataFrame]) -> int:
    """Write the frames one after another; returns how many cells were neutralised."""
    touched = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for place, frame in enumerate(parts):
            if "metric" in frame and "value" in frame:
                frame["unit_of_value"] = frame["metric"].astype(str).map(_unit_of_metric)
            for column in frame.columns:
                if _is_text(frame[column]):
                    texts = frame[column].astype(object)
                    safe = texts.map(_safe, na_action="ignore")
                    touched += int(((safe != texts) & texts.notna() & _risky(texts)).sum())
                    frame[column] = safe
            frame.columns = pd.Index([_headed(str(column)) for column in frame.columns])
            frame.to_csv(file, index=False, header=place == 0, lineterminator="\n")
    return touched


def _is_text(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _risky(texts: pd.Series) -> pd.Series:
    return texts.astype(str).str.startswith(_FORMULA)


def _safe(value: object) -> object:
    return neutral(redact(value)) if isinstance(value, str) else value


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula: what begins like one gets a ' before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _headed(column: str) -> str:
    """A column's name and its unit: "latency_ns [ns]"."""
    unit = _NAMED.get(column)
    if unit is None:
        unit = next((unit for end, unit in _UNITS.items() if column.endswith(end)), None)
    return neutral(f"{column} [{unit}]" if unit else column)


def _unit_of_metric(metric: str) -> str:
    return next((unit for end, unit in _OF_METRIC if metric.endswith(end)), "count")


def _readme(run: Run, notes: tuple[str, ...]) -> str:
    said = "".join(f"* {note}\n" for note in notes)
    warned = "".join(f"* {each}\n" for each in run.manifest.get("warnings") or ())
    status = run.manifest["status"]
    text: str = redact(
        f"{run.name} {run.run_id} ({status}), exported by perfkit\n\n"
        "requests.csv  one row per planned request, as recorded\n"
        "jobs.csv      one row per planned request, joined with its job, with derived durations\n"
        "samples.csv   one row per reading\n"
        "trials.csv    one row per trial\n\n"
        "A unit stands in [brackets] after the column's name. Instants are nanoseconds of a clock\n"
        "that begins anywhere: only differences mean something. An empty cell: it did not happen,\n"
        "or was not measured. inf: it never ended.\n"
        f"{said}{warned}"
    )
    return text
