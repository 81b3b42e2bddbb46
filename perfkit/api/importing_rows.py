"""k6's output as a run: requests alone, of a closed loop, and so it says.

    k6           end - duration    + sending + waiting       end
    perfkit      intended, sent        first byte         done; accepted = 2xx

The intended time is the time of sending: what a request waited for before that is not known, since
a user of k6 (or an arrival-rate executor that is out of VUs) sends late and starts the clock then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa

from perfkit import __version__
from perfkit.api.importing_k6 import K6Output, K6Request, read_k6
from perfkit.errors import NotARun, UsageError
from perfkit.records import TABLES
from perfkit.redaction import redact
from perfkit.scenario import Threshold
from perfkit.store import RunWriter
from perfkit.store.tables import digest
from perfkit.units import format_count, format_duration, parse_duration_ns

__all__ = ["run_of_k6"]

_MOST_QUEUES: Final = 50
_MOST_MADE: Final = 5_000_000
_CLOSED: Final = (
    "closed loop, coordinated omission not corrected: k6 tells when a request was sent, not when "
    "it was due, so what it waited for before that is in no latency"
)


def run_of_k6(
    path: Path, root: Path, *, name: str | None, expected_interval: str | None, most_bytes: int
) -> tuple[Path, tuple[str, ...]]:
    """Write a sealed run of k6's output under ``root``; returns its folder and what to say of it.

    Raises:
        NotARun, UsageError, ResultsNotWritable: as `perfkit.api.importing.import_run`.
    """
    interval_ns = _interval(expected_interval)
    output = read_k6(path, most_bytes)
    rows, notes = _rows(output)
    omission = _CLOSED
    made = 0
    if interval_ns is not None:
        made = _made(rows, interval_ns)
        omission = (
            "closed loop, coordinated omission corrected on request, as HdrHistogram does, for an "
            f"expected interval of {format_duration(interval_ns)}: {format_count(made)} durations "
            f"beside {format_count(len(rows))} requests are made up, in the percentiles alone; "
            "rows, rates, accounting and targets are as measured"
        )
    called = _named(path, name, interval_ns)
    thresholds, unjudged = _thresholds(output, rows)
    notes += unjudged
    if output.dropped_iterations:
        notes.append(
            f"k6 dropped {format_count(output.dropped_iterations)} iterations: no row tells of them"
        )
    if output.strays:
        notes.append(
            f"{format_count(output.strays)} points belong to no request of the file; left out"
        )
    if output.not_taken:
        listed = ", ".join(sorted(output.not_taken)[:10])
        notes.append(f"other metrics of the script are not taken: {listed}")
    warnings = [f"imported from k6, {omission}", *notes]
    sha256 = digest(path)
    document = {"name": called, "load": {"model": "closed"}, "threshold": thresholds}
    manifest = {
        "perfkit_version": __version__,
        "description": f"Imported from k6's JSON output {path.name}.",
        "imported": {
            "from": "k6",
            "file": path.name,
            "sha256": sha256,
            "omission": "corrected" if interval_ns is not None else "not corrected",
            "expected_interval_ns": interval_ns,
            "made_up": made,
        },
        "command": ["perfkit", "import", path.name],
        "scenarios": {called: {"text": "", "digest": sha256, "document": document}},
        "plan": [
            {"trial": 0, "scenario": called, "label": called, "axes": {}, "repetition": 0,
             "seed": 0, "reason": "imported"}
        ],
        "host": {"cpus": None},  # of the machine that k6 ran on nothing is known
        "versions": {},
        "redis": None,
        "git": None,
        "warnings": [str(redact(each)) for each in warnings],
    }  # fmt: skip
    writer = RunWriter.create(root, called, manifest)
    trial = writer.trial(0)
    tables = {"requests": rows, "samples": list(_samples(output))}
    for kind, schema in TABLES.items():
        trial.write_table(kind, pa.Table.from_pylist(tables.get(kind, []), schema))
    facts = _facts(called, output, rows, omission, document)
    trial.write_facts(facts | {"expected_interval_ns": interval_ns})
    trial.finish()
    return writer.seal("complete"), tuple(warnings)


def _interval(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        interval_ns = parse_duration_ns(text)
    except ValueError as error:
        raise UsageError(f"--expected-interval: {error}", "write it as 1s or 250ms") from None
    if interval_ns <= 0:
        raise UsageError("--expected-interval must be more than 0", "write it as 1s or 250ms")
    return interval_ns


def _named(path: Path, name: str | None, interval_ns: int | None) -> str:
    base = name
    if base is None:
        stem = path.name.removesuffix(".gz").removesuffix(".json")
        base = f"k6-{re.sub(r'[^a-z0-9]+', '-', stem.lower()).strip('-')[:60] or 'run'}"
    if interval_ns is None:
        return base
    return f"{base}-corrected-{interval_ns // 1000}us"


def _rows(output: K6Output) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of ``requests`` in the order of sending, and what must be said of them."""
    queue_of, notes = _queues(output.requests)
    untimed = [each for each in output.requests if each.duration_ns is None]
    if untimed:
        raise NotARun(
            f"{format_count(len(untimed))} requests have no http_req_duration",
            "let k6 write all of its http metrics",
        )
    rows = []
    ordered = sorted(output.requests, key=lambda each: each.end_ns - (each.duration_ns or 0))
    for seq, each in enumerate(ordered):
        sent_ns = each.end_ns - (each.duration_ns or 0)
        answered = each.status is not None
        first = sent_ns + (each.sending_ns or 0) + (each.waiting_ns or 0)
        known = answered and each.waiting_ns is not None
        rows.append(
            {
                "trial": 0,
                "seq": seq,
                "key": f"k6/{seq}",
                "queue": queue_of(each),
                "job_id": None,
                "user": each.user,
                "iteration": each.iteration,
                "intended_ns": sent_ns,
                "sent_ns": sent_ns,
                "first_byte_ns": min(first, each.end_ns) if known else None,
                "done_ns": each.end_ns if answered else None,
                "blocked_ns": each.blocked_ns or 0,
                "status": each.status,
                "error": None if answered else _error(each),
            }
        )
    return rows, notes


def _error(each: K6Request) -> str:
    """The kind of error: k6's number, since its text may hold addresses."""
    code = each.tags.get("error_code", "")
    return f"k6 {code}" if code.isdecimal() else "k6: no answer"


def _queues(requests: list[K6Request]) -> tuple[Any, list[str]]:
    """What stands for a queue: the tag ``name``, or the scenario where there are too many names."""
    names = {_path_of(each.tags.get("name", "")) for each in requests}
    if len(names) <= _MOST_QUEUES:
        return (lambda each: _path_of(each.tags.get("name", ""))), []
    note = (
        f"{format_count(len(names))} names of requests are too many to tell apart; told apart by "
        "scenario instead (give requests a tag `name` in the script)"
    )
    return (lambda each: str(redact(each.tags.get("scenario") or "default"))), [note]


def _path_of(name: str) -> str:
    """A request's name; of an address the path alone: the rest is long, or secret."""
    if "://" in name:
        parts = urlsplit(name) if _splits(name) else None
        name = (parts.path or "/") if parts else "?"
    return str(redact(name.partition("?")[0]))[:100] or "unnamed"


def _splits(name: str) -> bool:
    try:
        urlsplit(name)
    except ValueError:
        return False
    return True


def _made(rows: list[dict[str, Any]], interval_ns: int) -> int:
    """How many durations the correction adds: of v it has v - I, v - 2I, ... down to I.

    `perfkit.frames` adds them where it makes percentiles; the rows stay what was measured.
    """
    whole: int = sum(
        max(0, (row["done_ns"] - row["sent_ns"]) // interval_ns - 1)
        for row in rows
        if row["done_ns"] is not None
    )
    if whole > _MOST_MADE:
        raise UsageError(
            f"the correction would make up {format_count(whole)} requests", "name a longer interval"
        )
    return whole


def _samples(output: K6Output) -> Iterator[dict[str, Any]]:
    for at_ns, value in output.vus:
        yield {"trial": 0, "at_ns": at_ns, "metric": "k6.vus", "subject": "", "value": value}


def _thresholds(
    output: K6Output, rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """k6's own thresholds where perfkit has the same, and a word on the others."""
    found, others = [], []
    redirected = any(300 <= (row["status"] or 0) < 400 for row in rows)
    for metric, expressions in output.thresholds.items():
        for text in expressions:
            if metric == "http_req_duration" and (expr := _in_ms(text)) is not None:
                found.append({"metric": "request", "expr": expr})
            elif metric == "http_req_failed" and not redirected and _fits("errors", text):
                found.append({"metric": "errors", "expr": text})
            else:
                others.append(f"{metric} {text}")
    listed = "; ".join(others[:10])
    return found, [f"thresholds of k6 that are not judged here: {listed}"] if others else []


def _in_ms(text: str) -> str | None:
    """An expression on milliseconds with its unit; None where perfkit has none like it."""
    shape = re.fullmatch(r"(.*[<>=])\s*(\d+(?:\.\d+)?)\s*", text)
    expr = f"{shape[1]}{shape[2]}ms" if shape else ""
    return expr if shape and _fits("request", expr) else None


def _fits(metric: str, expr: str) -> bool:
    try:
        Threshold(metric=metric, expr=expr)
    except ValueError:
        return False
    return True


def _facts(
    name: str,
    output: K6Output,
    rows: list[dict[str, Any]],
    omission: str,
    document: dict[str, Any],
) -> dict[str, Any]:
    start = min(row["intended_ns"] for row in rows)
    last = max(max(row["intended_ns"], row["done_ns"] or 0) for row in rows)
    end = max([last, *(at for at, _ in output.vus)]) + 1  # half open
    most = max((value for _, value in output.vus), default=math.nan)
    return {
        "trial": 0,
        "scenario": name,
        "label": name,
        "axes": {},
        "repetition": 0,
        "seed": 0,
        "outcome": "complete",
        "reason": None,
        "jobs_recorded": False,
        "omission": omission,
        "anchor": {"mono_ns": start, "wall_ns": start},
        "instants_ns": {
            "load_start": start,
            "window_start": start,
            "window_end": end,
            "load_end": end,
            "drain_end": end,
        },
        "model": "closed",
        "offered_per_s": None,
        "users": None if math.isnan(most) else int(most),
        "document": document,
        "deaths": [],
    }
