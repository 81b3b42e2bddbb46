"""What a threshold's metric was in a trial: exact, from raw rows and readings."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from perfkit.frames import Session, Spans, gauge, within
from perfkit.scenario import METRICS, OWN, TELEMETRY, Threshold
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


# A queue is that of the job; of what has none, and of a request by name, it is the row's.
_NARROWED: Final = """
    ($queue is null or job_queue = $queue) and ($request is null or queue = $request)
"""
_OF_JOURNEY: Final = ("journey", "raised", "checks")


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
    if target.metric.startswith(OWN):
        return _kept(sql, target, spans)
    if target.metric in _OF_JOURNEY:
        return _iterated(sql, target, spans)
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
                  where {within("intended_ns", spans)} and {_NARROWED})
            where v is not null
        )
        select {aggregate}, len(ordered) from ordered
        """,
        {"queue": target.queue, "request": target.request},
    )[0]
    return Observed(math.nan if observed is None else float(observed), int(n or 0))


def _kept(sql: Session, target: Threshold, spans: Spans) -> Observed:
    """Of the values that user code kept under this name."""
    found = sql.rows(
        f"select value, subject from samples where metric = $1 and {within('at_ns', spans)}",
        [target.metric],
    )
    parsed = target.parsed
    if parsed.aggregate == "count":
        return Observed(float(len(found)), len(found))
    if not found:
        return Observed(math.nan, 0, "user code kept no value of this name")
    ordered = np.sort([value for value, _ in found])
    units = sorted({unit for _, unit in found})
    note = f"in {units[0]}" if len(units) == 1 and units[0] else ""
    if len(units) > 1:
        note = f"kept in several units: {', '.join(unit or 'none' for unit in units)}"
    match parsed.aggregate:
        case "avg":
            value = float(np.mean(ordered))
        case "min" | "max":
            value = float(ordered[0 if parsed.aggregate == "min" else -1])
        case _:
            share = 0.5 if parsed.percentile is None else parsed.percentile / 100
            value = quantile_of_sorted(ordered, share)
    return Observed(value, len(ordered), note)


def _iterated(sql: Session, target: Threshold, spans: Spans) -> Observed:
    """Of iterations and checks, as user code's process recorded them."""
    metric = "journey.check" if target.metric == "checks" else "journey.iteration"
    found = sql.rows(
        f"select subject, value from samples where metric = $1 and {within('at_ns', spans)}",
        [metric],
    )
    if not found:
        return Observed(math.nan, 0)
    if target.metric == "checks":
        return Observed(sum(value for _, value in found) / len(found), len(found))
    raised = [subject != "done" for subject, _ in found]
    if target.metric == "raised":
        return Observed(sum(raised) / len(found), len(found))
    parsed = target.parsed
    took_ns = np.sort(
        [math.inf if bad else value * 1e9 for bad, (_, value) in zip(raised, found, strict=True)]
    )
    match parsed.aggregate:
        case "avg":
            value = float(np.mean(took_ns))
        case "min" | "max":
            value = float(took_ns[0 if parsed.aggregate == "min" else -1])
        case _:
            share = 0.5 if parsed.percentile is None else parsed.percentile / 100
            value = quantile_of_sorted(took_ns, share)
    return Observed(value, len(found))


def _errors(sql: Session, target: Threshold, spans: Spans) -> Observed:
    sent, failed = sql.rows(
        f"""
        select count(*), count(*) filter (not done) from job
        where {within("intended_ns", spans)} and sent_ns is not null and {_NARROWED}
        """,
        {"queue": target.queue, "request": target.request},
    )[0]
    return Observed(failed / sent if sent else math.nan, int(sent))


def _throughput(sql: Session, target: Threshold, spans: Spans) -> Observed:
    done = sql.rows(
        f"""
        select count(*) from job where done and {within("finished_ns", spans)} and {_NARROWED}
        """,
        {"queue": target.queue, "request": target.request},
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
        where {part} and ($request is null or queue = $request)
          and ($queue is null or $queue = coalesce(
              (select any_value(j.queue) from jobs j where j.job_id = classed.job_id), queue))
        """,
        {"queue": target.queue, "request": target.request},
    )[0]
    return Observed(float(found), int(n))
