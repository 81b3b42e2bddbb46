"""From what the processes left behind to the tables of a trial.

Also used by `repair` on a killed run: everything here reads files alone, and takes what is whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from perfkit.load.happenings import happenings_table
from perfkit.load.rows import recover
from perfkit.load.shards import merge
from perfkit.recorder.deliveries import deliveries
from perfkit.recorder.reader import SpoolContents, read_spools
from perfkit.records import CALLS, JOBS, LEFTOVERS, REQUESTS, SAMPLES
from perfkit.telemetry.sink import read_samples

__all__ = ["RecorderFacts", "Tables", "calls_table", "collect", "jobs_table", "requests_table"]

Tables = dict[str, pa.Table]


@dataclass(frozen=True, slots=True)
class RecorderFacts:
    """What the recorder says of its own completeness."""

    spools: int
    events: int
    holes: int
    corrupt: int
    lost: int
    dropped: int  # of files removed to keep within a budget of disk
    unclosed: tuple[str, ...]  # processes that did not end their spool in order
    missing: tuple[str, ...]  # workers that were ready, and of which there is no spool
    reasons: tuple[str, ...]  # why events were lost

    def document(self) -> dict[str, Any]:
        """As JSON's types."""
        return {
            "spools": self.spools,
            "events": self.events,
            "holes": self.holes,
            "corrupt": self.corrupt,
            # A worker without a spool lost nobody knows how many: at least one.
            "lost": self.lost + len(self.missing),
            "dropped": self.dropped,
            "unclosed": list(self.unclosed),
            "missing": list(self.missing),
            "reasons": list(self.reasons),
        }


def collect(
    folder: Path, trial: int, leftovers: Sequence[Mapping[str, Any]] = ()
) -> tuple[Tables, RecorderFacts]:
    """All tables of the trial whose working folder this is."""
    # Where no stack was started, nobody wrote any.
    spools = read_spools(folder / "spool") if (folder / "spool").is_dir() else []
    requests = requests_table(folder)  # first: what several load processes left is then one
    happened = happenings_table(folder, trial)
    tables = {
        "requests": requests,
        "jobs": jobs_table(spools, trial),
        "samples": pa.concat_tables([_samples(folder / "samples.arrow"), happened]),
        "calls": calls_table(folder / "gateway.log", trial),
        "leftovers": pa.Table.from_pylist(
            [{"trial": trial, **row} for row in leftovers], schema=LEFTOVERS
        ),
    }
    ready = {path.stem for path in (folder / "spool").glob("*.ready")}
    facts = RecorderFacts(
        spools=len(spools),
        events=sum(len(each.events) for each in spools),
        holes=sum(each.holes for each in spools),
        corrupt=sum(each.corrupt for each in spools),
        lost=sum(each.lost for each in spools),
        dropped=sum(each.dropped for each in spools),
        unclosed=tuple(each.name for each in spools if not each.closed),
        missing=tuple(sorted(ready - {each.name for each in spools})),
        reasons=tuple(dict.fromkeys(each.reason for each in spools if each.reason)),
    )
    return tables, facts


def requests_table(folder: Path) -> pa.Table:
    """The generator's rows, also of one that was killed before it could write them in order.

    Of several they are merged; see `perfkit.load.shards.merge`.
    """
    merge(folder)
    recover(folder)
    path = folder / "requests.arrow"
    if not path.is_file():
        return REQUESTS.empty_table()
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all().cast(REQUESTS)


def _samples(path: Path) -> pa.Table:
    return read_samples(path) if path.is_file() else SAMPLES.empty_table()


def calls_table(path: Path, trial: int) -> pa.Table:
    """The gateway's log; a torn last line is left out."""
    columns: dict[str, list[Any]] = {name: [] for name in CALLS.names}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(_whole(lines)):
                columns["trial"].append(trial)
                columns["key"].append(row["key"])
                columns["queue"].append(row["queue"])
                for name in ("attempt", "received_ns", "answered_ns", "delay_ns", "status"):
                    columns[name].append(int(row[name]))
                columns["charged"].append(row["charged"] == "1")
    return pa.Table.from_pydict(columns, schema=CALLS)


def _whole(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.endswith("\n"))


def jobs_table(spools: Sequence[SpoolContents], trial: int) -> pa.Table:
    """One row per delivery, and one per message that no worker took (`deliveries`)."""
    columns: dict[str, list[Any]] = {name: [] for name in JOBS.names}
    for rid, row in deliveries(spools):
        identity = row.identity
        values = {
            "trial": trial,
            "job_id": identity.message_id,
            "redis_message_id": rid,
            "queue": identity.queue,
            "actor": identity.actor,
            "attempt": identity.attempt,
            "delivery": row.number,
            "delayed_ns": row.delayed_ns,
            "enqueued_ns": row.enqueued_ns,
            "enqueue_done_ns": row.enqueue_done_ns,
            "fetched_ns": row.fetched_ns,
            "started_ns": row.started_ns,
            "finished_ns": row.finished_ns,
            "acked_ns": row.acked_ns,
            "requeued_ns": row.requeued_ns,
            "outcome": row.outcome,
            "error": row.error,
            "worker": row.worker,
        }
        for name, value in values.items():
            columns[name].append(value)
    return pa.Table.from_pydict(columns, schema=JOBS)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none or it is torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
