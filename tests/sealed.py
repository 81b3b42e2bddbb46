"""Small sealed runs, row by row, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from perfkit.clock import ManualClock
from perfkit.records import TABLES
from perfkit.store import RunWriter, StoredRun, open_run

MS = 1_000_000
SECOND = 1_000_000_000
INSTANTS = {
    "load_start": 10 * SECOND,
    "window_start": 11 * SECOND,
    "window_end": 21 * SECOND,
    "load_end": 21 * SECOND,
    "drain_end": 25 * SECOND,
}

Row = dict[str, Any]


def request(seq: int, intended_ns: int = 12 * SECOND, **given: Any) -> Row:
    """A request that was sent and accepted at once, unless told otherwise."""
    row: Row = {
        "trial": 0,
        "seq": seq,
        "key": f"1/{seq}",
        "queue": "payments",
        "job_id": f"job-{seq}",
        "user": None,
        "iteration": None,
        "intended_ns": intended_ns,
        "sent_ns": intended_ns + MS,
        "first_byte_ns": intended_ns + 3 * MS,
        "done_ns": intended_ns + 3 * MS,
        "blocked_ns": 0,
        "status": 202,
        "error": None,
    }
    return row | given


def dropped(seq: int, intended_ns: int = 12 * SECOND, **given: Any) -> Row:
    """A request that was never sent."""
    nothing = dict.fromkeys(("sent_ns", "first_byte_ns", "done_ns", "status"))
    return request(seq, intended_ns, **nothing | given)


def delivery(of: Row, **given: Any) -> Row:
    """A delivery that did the job of a request, 40 ms after it was sent."""
    at = of["intended_ns"]
    row: Row = {
        "trial": of["trial"],
        "job_id": of["job_id"],
        "redis_message_id": f"message-{of['seq']}",
        "queue": of["queue"],
        "actor": of["queue"],
        "attempt": 0,
        "delivery": 1,
        "enqueued_ns": at + 2 * MS,
        "enqueue_done_ns": at + 2 * MS + 500_000,
        "fetched_ns": at + 5 * MS,
        "started_ns": at + 6 * MS,
        "finished_ns": at + 41 * MS,
        "acked_ns": at + 42 * MS,
        "outcome": "done",
        "error": None,
        "worker": "worker-1",
    }
    return row | given


def waiting(of: Row, **given: Any) -> Row:
    """A message that no worker took."""
    names = ("fetched_ns", "started_ns", "finished_ns", "acked_ns", "worker")
    nothing = dict.fromkeys(names)
    return delivery(of, **nothing | {"delivery": 0, "outcome": "enqueued"} | given)


def call(of: Row, **given: Any) -> Row:
    """A call that the gateway answered after a delay of 30 ms."""
    at = of["intended_ns"] + 7 * MS
    row: Row = {
        "trial": of["trial"],
        "key": of["key"],
        "queue": of["queue"],
        "attempt": 0,
        "received_ns": at,
        "answered_ns": at + 31 * MS,
        "delay_ns": 30 * MS,
        "status": 200,
        "charged": of["queue"] == "payments",
    }
    return row | given


def left(of: Row, place: str, **given: Any) -> Row:
    """What Redis still held of a job."""
    row: Row = {
        "trial": of["trial"],
        "job_id": of["job_id"],
        "redis_message_id": f"message-{of['seq']}",
        "queue": of["queue"],
        "place": place,
        "owner": None,
        "owner_alive": None,
    }
    return row | given


def sample(at_s: float, metric: str, value: float, subject: str = "") -> Row:
    """A reading, this long after the start of load."""
    at_ns = INSTANTS["load_start"] + round(at_s * 1e9)
    return {"trial": 0, "at_ns": at_ns, "metric": metric, "subject": subject, "value": value}


@dataclass
class Sketch:
    """One trial: rows and facts."""

    requests: Sequence[Row] = ()
    jobs: Sequence[Row] = ()
    samples: Sequence[Row] = ()
    calls: Sequence[Row] = ()
    leftovers: Sequence[Row] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, writer: RunWriter, index: int) -> Path:
        trial = writer.trial(index)
        for kind, schema in TABLES.items():
            rows = [row | {"trial": index} for row in getattr(self, kind)]
            trial.write_table(kind, pa.Table.from_pylist(rows, schema))
        trial.write_facts(facts(index) | dict(self.facts))
        return trial.finish()


def facts(index: int = 0, **given: Any) -> Row:
    """The least that ``trial.json`` needs, with one worker of four slots."""
    row: Row = {
        "trial": index,
        "scenario": "test",
        "label": f"trial {index}",
        "axes": {},
        "repetition": 0,
        "seed": 1,
        "outcome": "complete",
        "reason": None,
        "instants_ns": INSTANTS,
        "settings": {"pools": [{"name": "worker", "workers": 1, "threads": 4}]},
        "offered_per_s": 10.0,
        "model": "open",
        "generator": {},
    }
    return row | given


def seal(
    folder: Path,
    *trials: Sketch,
    document: Mapping[str, Any] | None = None,
    status: Any = "complete",
    **manifest: Any,
) -> StoredRun:
    """Write, seal and open a run of these trials."""
    scenarios = {"test": {"text": "", "document": document or {}}}
    writer = RunWriter.create(
        folder,
        "test",
        {"scenarios": scenarios, "plan": [{} for _ in trials], "host": {"cpus": 2}} | manifest,
        clock=ManualClock(),
    )
    for index, trial in enumerate(trials):
        trial.write(writer, index)
    return open_run(writer.seal(status))
