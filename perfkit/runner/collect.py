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
    spools = read_spools(folder / "spool")
    # Before the requests: what several load processes left is then merged, and removed.
    happened = happenings_table(folder, trial)
    tables = {
        "requests": requests_table(folder),
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


@dataclass(slots=True)
class _Delivery:
    """One delivery while its events are gathered."""

    identity: Event
    worker: str | None = None
    fetched_ns: int | None = None
    started_ns: int | None = None
    finished_ns: int | None = None
    acked_ns: int | None = None
    requeued_ns: int | None = None
    outcome: str = "enqueued"
    error: str | None = None
    enqueued_ns: int | None = None

    @property
    def over(self) -> bool:
        """This worker has given the message out of its hands."""
        return self.acked_ns is not None or self.requeued_ns is not None


def jobs_table(spools: Sequence[SpoolContents], trial: int) -> pa.Table:
    """Join events into one row per delivery, and one per message that no worker took.

    Events of the delayed half of a queue are left out: a delayed message is no delivery, and its
    real one follows when it falls due, with the time at which it was put aside.
    """
    enqueued: dict[str, Event] = {}
    put_aside: dict[str, int | None] = {}
    deliveries: dict[str, list[_Delivery]] = {}
    for spool in spools:
        # A thread works on one message at a time, and its events are in order. A message that was
        # put into the list twice may be in the hands of two threads of a process at once.
        here: dict[tuple[str, int], _Delivery] = {}
        # It enqueues what it put aside itself, under a new redis id.
        aside: dict[tuple[str, int], int | None] = {}
        for event in spool.events:
            rid = event.redis_message_id
            if rid is None:
                continue
            if event.delayed:
                if event.kind is Kind.DELAY:
                    aside[event.message_id, event.attempt] = event.delayed_ns
                continue
            if event.kind is Kind.ENQ:
                enqueued[rid] = event
                if aside:
                    put_aside[rid] = aside.get((event.message_id, event.attempt))
                continue
            row = here.get((rid, event.thread_id))
            if row is None or row.over or event.kind in (Kind.START, Kind.REQUEUE):
                row = here[rid, event.thread_id] = _Delivery(event, worker=spool.name)
                deliveries.setdefault(rid, []).append(row)
            _apply(row, event)
    columns: dict[str, list[Any]] = {name: [] for name in JOBS.names}
    for rid in dict.fromkeys([*enqueued, *deliveries]):
        producer = enqueued.get(rid)
        rows = sorted(deliveries.get(rid, []), key=_began)
        if not rows and producer is not None:
            rows = [_Delivery(producer)]
        starts = 0
        for row in rows:
            starts += row.started_ns is not None
            number = starts if row.started_ns is not None else 0
            _append(columns, trial, rid, row, producer, number, put_aside.get(rid))
    return pa.Table.from_pydict(columns, schema=JOBS)


def _began(row: _Delivery) -> int:
    """When a delivery began, as far as it is known; what never started comes last."""
    return row.started_ns or 2**63


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
            if row.outcome == "enqueued":
                row.outcome = "fetched"
        case Kind.NACK:
            row.acked_ns, row.outcome = event.acked_ns, "dead"
        case Kind.SKIP:
            row.outcome = "skipped"
        case Kind.REQUEUE:
            row.enqueued_ns, row.fetched_ns = event.enqueued_ns, event.fetched_ns
            row.requeued_ns, row.outcome = event.requeued_ns, "requeued"
        case _:
            pass


def _append(
    columns: dict[str, list[Any]],
    trial: int,
    rid: str,
    row: _Delivery,
    producer: Event | None,
    number: int,
    delayed_ns: int | None,
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
        "delayed_ns": delayed_ns,
        "enqueued_ns": producer.enqueued_ns if producer else row.enqueued_ns,
        "enqueue_done_ns": producer.enqueue_done_ns if producer else None,
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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none or it is torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
