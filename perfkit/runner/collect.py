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

from perfkit.load.rows import recover
from perfkit.recorder.events import Event, Kind
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
            "unclosed": list(self.unclosed),
            "missing": list(self.missing),
            "reasons": list(self.reasons),
        }


def collect(
    folder: Path, trial: int, leftovers: Sequence[Mapping[str, Any]] = ()
) -> tuple[Tables, RecorderFacts]:
    """All tables of the trial whose working folder this is."""
    spools = read_spools(folder / "spool")
    tables = {
        "requests": requests_table(folder),
        "jobs": jobs_table(spools, trial),
        "samples": _samples(folder / "samples.arrow"),
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
        unclosed=tuple(each.name for each in spools if not each.closed),
        missing=tuple(sorted(ready - {each.name for each in spools})),
        reasons=tuple(dict.fromkeys(each.reason for each in spools if each.reason)),
    )
    return tables, facts


def requests_table(folder: Path) -> pa.Table:
    """The generator's rows, also of one that was killed before it could write them in order."""
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


@dataclass(slots=True)
class _Delivery:
    """One delivery while its events are gathered."""

    identity: Event
    worker: str | None = None
    fetched_ns: int | None = None
    started_ns: int | None = None
    finished_ns: int | None = None
    acked_ns: int | None = None
    outcome: str = "enqueued"
    error: str | None = None
    enqueued_ns: int | None = None


def jobs_table(spools: Sequence[SpoolContents], trial: int) -> pa.Table:
    """Join events into one row per delivery, and one per message that no worker took.

    Events of the delayed half of a queue are left out: a delayed message is no delivery, and its
    real one follows when it falls due.
    """
    enqueued: dict[str, Event] = {}
    deliveries: dict[str, list[_Delivery]] = {}
    for spool in spools:
        # A process works on a message of one redis id once at a time; events of it are in order.
        here: dict[str, _Delivery] = {}
        for event in spool.events:
            rid = event.redis_message_id
            if event.delayed or rid is None:
                continue
            if event.kind is Kind.ENQ:
                enqueued[rid] = event
                continue
            if event.kind is Kind.START or rid not in here:
                here[rid] = _Delivery(event, worker=spool.name)
                deliveries.setdefault(rid, []).append(here[rid])
            _apply(here[rid], event)
    columns: dict[str, list[Any]] = {name: [] for name in JOBS.names}
    for rid in dict.fromkeys([*enqueued, *deliveries]):
        producer = enqueued.get(rid)
        rows = sorted(deliveries.get(rid, []), key=lambda each: each.started_ns or 2**63)
        if not rows and producer is not None:
            rows = [_Delivery(producer)]
        for number, row in enumerate(rows, 1):
            _append(columns, trial, rid, row, producer, number if row.started_ns else 0)
    return pa.Table.from_pydict(columns, schema=JOBS)


def _apply(row: _Delivery, event: Event) -> None:
    match event.kind:
        case Kind.START:
            row.enqueued_ns, row.fetched_ns = event.enqueued_ns, event.fetched_ns
            row.started_ns, row.outcome = event.started_ns, "running"
        case Kind.END:
            row.finished_ns, row.error = event.finished_ns, event.error
            row.outcome = "failed" if event.error else "done"
        case Kind.ACK:
            row.acked_ns = event.acked_ns
        case Kind.NACK:
            row.acked_ns, row.outcome = event.acked_ns, "dead"
        case Kind.SKIP:
            row.outcome = "skipped"
        case _:
            pass


def _append(
    columns: dict[str, list[Any]],
    trial: int,
    rid: str,
    row: _Delivery,
    producer: Event | None,
    number: int,
) -> None:
    identity = row.identity
    values = {
        "trial": trial,
        "job_id": identity.message_id,
        "redis_message_id": rid,
        "queue": identity.queue,
        "actor": identity.actor,
        "attempt": identity.attempt,
        "delivery": number,
        "enqueued_ns": producer.enqueued_ns if producer else row.enqueued_ns,
        "enqueue_done_ns": producer.enqueue_done_ns if producer else None,
        "fetched_ns": row.fetched_ns,
        "started_ns": row.started_ns,
        "finished_ns": row.finished_ns,
        "acked_ns": row.acked_ns,
        "outcome": row.outcome,
        "error": row.error,
        "worker": row.worker,
    }
    for name, value in values.items():
        columns[name].append(value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none or it is torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
