"""What a threshold's metric was in a trial: exact, from raw rows and readings."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from perfkit.frames import Session, Spans, gauge, within
from perfkit.scenario import METRICS, TELEMETRY, Threshold
from perfkit.stats import quantile_of_sorted
from perfkit.store import StoredRun
from perfkit.verdict.evidence import DUPLICATED, evidence

__all__ = ["Observed", "observe"]

_COLUMN: Final = {
    "latency": "latency_ns",
    "response": "response_ns",
    "queue_wait": "queue_wait_ns",
    "service": "service_ns",
    "added": "added_ns",
    "request": "request_ns",
    "send_lag": "send_lag_ns",
}


class Observed(NamedTuple):
    """A value, how many values it is made of, and what is to be said of it."""

    value: float  # NaN where there was nothing to observe
    n: int
    note: str = ""


def observe(
    run: StoredRun,
    trial: int,
    sql: Session,
    target: Threshold,
    spans: Spans,
) -> Observed:
    """Observe the metric of a threshold over these stretches of time.

    Args:
        run: where the trial is.
        trial: its index.
        sql: a session on this trial.
        target: what to observe.
        spans: from `perfkit.frames.spans_of`.
    """
    if target.metric in TELEMETRY:
        return _sampled(run, trial, target, spans)
    match METRICS[target.metric]:
        case "duration":
            return _duration(sql, target, spans)
        case "share":
            return _errors(sql, target, spans)
        case "rate":
            return _throughput(sql, target, spans)
        case _:
            return _counted(run, trial, sql, target, spans)


def _sampled(run: StoredRun, trial: int, target: Threshold, spans: Spans) -> Observed:
    found = gauge(run, trial, target.metric, queue=target.queue, spans=spans)
    ordered = np.sort(found.values)
    if not len(ordered):
        return Observed(math.nan, 0, found.note)
    parsed = target.parsed
    match parsed.aggregate:
        case "avg":
            value = float(np.average(found.values, weights=found.weights))
        case "med":
            value = quantile_of_sorted(ordered, 0.5)
        case "min":
            value = float(ordered[0])
        case "max":
            value = float(ordered[-1])
        case _:
            value = quantile_of_sorted(ordered, (parsed.percentile or 0.0) / 100)
    return Observed(value, len(ordered), found.note)


def _duration(sql: Session, target: Threshold, spans: Spans) -> Observed:
    parsed = target.parsed
    aggregate = {
        "p": f"type7(ordered, {(parsed.percentile or 0) / 100!r})",
        "med": "type7(ordered, 0.5)",
        "avg": "list_avg(ordered)",
        "min": "ordered[1]",
        "max": "ordered[-1]",
    }[parsed.aggregate]
    observed, n = sql.rows(
        f"""
        with ordered as (
            select list(v order by v) as ordered
            from (select {_COLUMN[target.metric]}::double as v from job
                  where {within("intended_ns", spans)} and ($queue is null or queue = $queue))
            where v is not null
        )
        select {aggregate}, len(ordered) from ordered
        """,
        {"queue": target.queue},
    )[0]
    return Observed(math.nan if observed is None else float(observed), int(n or 0))


def _errors(sql: Session, target: Threshold, spans: Spans) -> Observed:
    sent, failed = sql.rows(
        f"""
        select count(*), count(*) filter (not done) from job
        where {within("intended_ns", spans)} and sent_ns is not null
          and ($queue is null or queue = $queue)
        """,
        {"queue": target.queue},
    )[0]
    return Observed(failed / sent if sent else math.nan, int(sent))


def _throughput(sql: Session, target: Threshold, spans: Spans) -> Observed:
    done = sql.rows(
        f"""
        select count(*) from job where done and {within("finished_ns", spans)}
          and ($queue is null or queue = $queue)
        """,
        {"queue": target.queue},
    )[0][0]
    length_s = sum(end - begin for begin, end in spans) / 1e9
    return Observed(done / length_s if length_s else math.nan, int(done))


def _counted(run: StoredRun, trial: int, sql: Session, target: Threshold, spans: Spans) -> Observed:
    wanted = {
        "dropped": "dropped",
        "dead": "class = 'dead'",
        "lost": "starts_with(class, 'lost')",
        "duplicated": f"job_id in (select job_id from ({DUPLICATED}))",
    }[target.metric]
    # Over the whole trial, unless a part of the window is asked for.
    part = "true" if target.over == "window" else within("intended_ns", spans)
    found, n = sql.rows(
        f"""
        with {evidence(run, trial)}
        select count(*) filter ({wanted}), count(*) from classed
        where {part} and ($queue is null or queue = $queue)
        """,
        {"queue": target.queue},
    )[0]
    return Observed(float(found), int(n))
