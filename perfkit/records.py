"""What is stored: one Arrow schema per kind of row.

Times are int64 nanoseconds of CLOCK_MONOTONIC; null means "did not happen". Nothing derived is
stored: see `perfkit.frames`.

SCHEMA_VERSION history
    1   first layout: requests, jobs, samples, calls, leftovers.
    2   jobs: outcome ``requeued``, columns delayed_ns and requeued_ns.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = [
    "CALLS",
    "JOBS",
    "LEFTOVERS",
    "OPTIONAL",
    "REQUESTS",
    "SAMPLES",
    "SCHEDULE",
    "SCHEMA_VERSION",
    "TABLES",
]

SCHEMA_VERSION: Final = 2

_NAME = pa.dictionary(pa.int32(), pa.string())


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


REQUESTS: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("seq", pa.int64()),  # position in the plan (open), or arrival number (closed)
        _required("key", pa.string()),  # what every random draw of this job hangs on
        _required("queue", _NAME),
        pa.field("job_id", pa.string()),  # dramatiq message_id; known before sending for the sample
        pa.field("user", pa.int32()),  # closed model only
        pa.field("iteration", pa.int32()),  # closed model only
        _required("intended_ns", pa.int64()),
        pa.field("sent_ns", pa.int64()),  # null: dropped
        pa.field("first_byte_ns", pa.int64()),
        pa.field("done_ns", pa.int64()),
        _required("blocked_ns", pa.int64()),  # time spent waiting for a connection
        pa.field("status", pa.int16()),  # null: no whole reply
        pa.field("error", _NAME),  # kind of error, null where there was none
    ]
)
"""One row per planned request."""

JOBS: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("job_id", pa.string()),
        _required("redis_message_id", pa.string()),
        _required("queue", _NAME),  # without the .DQ suffix
        _required("actor", _NAME),
        _required("attempt", pa.int16()),  # options.retries; 0 is the first
        _required(
            "delivery", pa.int16()
        ),  # nth start of this redis_message_id, from 1; 0: never started
        pa.field("delayed_ns", pa.int64()),  # put aside by the worker whose hop led to this message
        pa.field("enqueued_ns", pa.int64()),  # before_enqueue, carried in the message
        pa.field("enqueue_done_ns", pa.int64()),  # after_enqueue, by the producer's spool
        pa.field("fetched_ns", pa.int64()),
        pa.field("started_ns", pa.int64()),
        pa.field("finished_ns", pa.int64()),
        pa.field("acked_ns", pa.int64()),  # ack or nack answered by Redis
        pa.field("requeued_ns", pa.int64()),  # given back unstarted, answered by Redis
        # done failed dead skipped running fetched requeued enqueued
        _required("outcome", _NAME),
        pa.field("error", _NAME),  # exception type
        pa.field("worker", _NAME),  # name of the worker process; null: never fetched
    ]
)
"""One row per delivery of a job to a worker (and one per message that none took).

Outcomes: ``done`` finished without exception; ``failed`` raised, then acked because a retry was
enqueued; ``dead`` raised and nacked; ``skipped`` never run on purpose; ``running`` started, no end
recorded; ``fetched`` no start recorded; ``requeued`` given back in a graceful stop, never started;
``enqueued`` no worker took it.

What happened to a job is told apart by its rows: a *retry* has attempt > 0; a *delayed hop* has
delayed_ns; a *redelivery* has delivery > 1; a *double enqueue* is a second redis_message_id of the
same job_id and attempt; a *graceful requeue* leaves a row ``requeued`` beside that of the worker
which took the same redis_message_id later, if one did.
"""

SAMPLES: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("at_ns", pa.int64()),
        _required("metric", _NAME),
        _required("subject", _NAME),  # queue, process or "" where the metric has only one
        _required("value", pa.float64()),
    ]
)
"""One reading of one metric at one time."""

CALLS: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("key", pa.string()),
        _required("queue", _NAME),
        _required("attempt", pa.int16()),
        _required("received_ns", pa.int64()),
        _required("answered_ns", pa.int64()),
        _required("delay_ns", pa.int64()),  # drawn, not measured
        _required("status", pa.int16()),
        _required("charged", pa.bool_()),  # this call made a new charge
    ]
)
"""One row per call that ended at the sample's gateway: a counter independent of the recorder.

Status 499: an outage left it without an answer until the client gave up; no call was charged then.
"""

LEFTOVERS: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("job_id", pa.string()),
        _required("redis_message_id", pa.string()),
        _required("queue", _NAME),
        _required("place", _NAME),  # list, delayed, acks, dead, nowhere (body without any list)
        pa.field("owner", pa.string()),  # worker whose ack set holds it
        pa.field("owner_alive", pa.bool_()),
    ]
)
"""What Redis still held when the trial ended, read without writing."""

SCHEDULE: Final = pa.schema(
    [
        _required("trial", pa.int32()),
        _required("offset_ns", pa.int64()),  # from the start of load
        pa.field("user", pa.int32()),  # closed model only: it comes then,
        pa.field("until_ns", pa.int64()),  # and is there until then
    ]
)
"""What was planned before the load began: one row per request (open), or per stay of a user."""

TABLES: Final = {
    "requests": REQUESTS,
    "jobs": JOBS,
    "samples": SAMPLES,
    "calls": CALLS,
    "leftovers": LEFTOVERS,
}

OPTIONAL: Final = {"schedule": SCHEDULE}
"""Tables that a trial may have beside those: older runs have none."""
