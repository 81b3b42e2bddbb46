"""Raw rows with their trial's label, and the join of requests and jobs."""

from __future__ import annotations

from typing import Final

import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["calls", "deliveries", "jobs", "leftovers", "requests", "samples"]

_JOB_COLUMNS: Final = """
    trial, label, seq, queue, job_id, "user", intended_ns, sent_ns, done_ns, status, error,
    accepted, in_window, enqueued_ns, fetched_ns, started_ns, finished_ns, acked_ns,
    first_started_ns, attempts, deliveries, outcome, gateway_ns,
    send_lag_ns, blocked_ns, response_ns, latency_ns, queue_wait_ns, broker_dwell_ns,
    prefetch_wait_ns, service_ns, added_ns
"""


def jobs(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """One row per planned request, joined with its job.

    Of a job's deliveries one *decides*: the first that finished it, else the last. Its
    fetched_ns, started_ns, finished_ns, acked_ns and outcome are here (outcome is missing where
    nothing is known of the job); enqueued_ns and first_started_ns are those of its first delivery.

    Derived: send_lag = sent - intended (blocked_ns, the wait for a connection, is part of it);
    latency = finished - intended and response = finished - sent, +infinity where the job was not
    done; queue_wait = started - enqueued = broker_dwell + prefetch_wait, and service = finished -
    started, of the deciding delivery (queue_wait is +infinity of an accepted job that no worker
    started); gateway_ns = sum of the drawn delays of the calls that were
    answered; added = latency - gateway_ns, on jobs done at the first delivery, else NaN.

    deliveries counts starts, attempts counts attempts that started.

    Of a trial that recorded no jobs (such as an import), a request that was accepted is done, and
    finished_ns is when its answer was whole; nothing of the job itself is known. Of an import the
    intended time is that of sending, and send_lag and response are missing.
    """
    with session(run, trial) as sql:
        return sql.frame(f"select {_JOB_COLUMNS} from job order by trial, seq")


def requests(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """One row per planned request, as recorded, with the trial's label."""
    return _stored(run, trial, "requests", "trial, seq")


def deliveries(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """One row per delivery of a job to a worker, as recorded, with the trial's label."""
    return _stored(run, trial, "jobs", "trial, enqueued_ns, redis_message_id, delivery")


def calls(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """One row per call that the sample's gateway answered, with the trial's label."""
    return _stored(run, trial, "calls", "trial, answered_ns")


def leftovers(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """What Redis still held at the end of a trial, with the trial's label."""
    return _stored(run, trial, "leftovers", "trial, queue, redis_message_id")


def samples(run: StoredRun, trial: int | None = None, metric: str | None = None) -> pd.DataFrame:
    """One row per reading, with the trial's label; of one metric, or of all."""
    with session(run, trial) as sql:
        return sql.frame(
            "select s.*, f.label from samples s join facts f using (trial)"
            " where $1 is null or metric = $1 order by trial, at_ns, metric, subject",
            [metric],
        )


def _stored(run: StoredRun, trial: int | None, table: str, order: str) -> pd.DataFrame:
    with session(run, trial) as sql:
        return sql.frame(
            f"select t.*, f.label from {table} t join facts f using (trial) order by {order}"
        )
