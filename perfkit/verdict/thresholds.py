"""Targets of the scenario against what was observed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from perfkit.frames import Session, session
from perfkit.scenario import METRICS, Expression, Threshold, with_values
from perfkit.store import StoredRun
from perfkit.verdict.evidence import DUPLICATED, EVIDENCE, evidence_parameters
from perfkit.verdict.saturation import saturation

__all__ = ["ThresholdResult", "evaluate_thresholds", "thresholds_of"]

_COLUMN: Final = {
    "latency": "latency_ns",
    "response": "response_ns",
    "queue_wait": "queue_wait_ns",
    "service": "service_ns",
    "added": "added_ns",
    "request": "request_ns",
    "send_lag": "send_lag_ns",
}
_STEADY: Final = ("latency", "response", "queue_wait", "added")
"""Metrics that have no steady state while a backlog grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdResult:
    """One target in one trial; ``limit`` and ``observed`` are ns, shares, per second, or counts."""

    trial: int
    label: str
    metric: str
    queue: str | None
    expr: str
    limit: float
    observed: float  # NaN where there was nothing to observe
    n: int  # values behind it
    holds: bool
    margin: float  # share of the limit that is left, negative beyond it; a difference at limit 0
    note: str


def thresholds_of(run: StoredRun, trial: int) -> list[Threshold]:
    """The targets of one trial, as it was run: with its axes, and all that was set by hand."""
    document = run.trial_facts(trial).get("document")
    if document is None:
        # Simulated runs have only what the manifest says of the scenario's file.
        facts = run.facts(trial)
        document = run.manifest["scenarios"].get(facts.scenario, {}).get("document", {})
        document = with_values(document, facts.axes)
    entries = document.get("threshold", [])
    return [
        Threshold(metric=each["metric"], expr=each["expr"], queue=each.get("queue"))
        for each in entries
    ]


def evaluate_thresholds(run: StoredRun, trial: int | None = None) -> list[ThresholdResult]:
    """Judge the observed values of one trial, or of all; nothing is inferred.

    Durations are over the cohort, unfinished jobs as +infinity; throughput over the window;
    ``errors`` is the share of what was sent of the cohort whose job was not done by the end of the
    drain: refused, no answer, dead, lost, but also pending and stranded. A job that was done is no
    error even if its request got no answer (a phantom). Counts are over the whole trial.
    """
    trials = run.trials if trial is None else (trial,)
    return [result for each in trials for result in _of_trial(run, each)]


def _of_trial(run: StoredRun, trial: int) -> Iterator[ThresholdResult]:
    targets = thresholds_of(run, trial)
    if not targets:
        return
    facts = run.facts(trial)
    saturated = saturation(run, trial).saturated
    with session(run, trial) as sql:
        parameters = evidence_parameters(sql, facts)
        for target in targets:
            expression = target.parsed
            observed, n = _observed(sql, parameters, target, expression, facts.instants.window_s)
            unsteady = saturated and target.metric in _STEADY
            note = "observed, not inferred"
            if facts.outcome != "complete":
                note = "the trial was cut short: not judged"
            elif unsteady:
                note = "the trial did not sustain its load: there is no steady state"
            elif math.isnan(observed):
                note = "there was nothing to observe"
            yield ThresholdResult(
                trial=trial,
                label=facts.label,
                metric=target.metric,
                queue=target.queue,
                expr=target.expr,
                limit=expression.limit,
                observed=observed,
                n=n,
                holds=expression.holds(observed) and not unsteady,
                margin=_margin(expression, observed),
                note=note,
            )


def _margin(expression: Expression, observed: float) -> float:
    limit = expression.limit
    match expression.operator:
        case "<" | "<=":
            left = limit - observed
        case ">" | ">=":
            left = observed - limit
        case _:
            left = -abs(observed - limit)
    return (left / abs(limit) if limit else left) + 0.0  # no minus nought


def _observed(
    sql: Session,
    parameters: dict[str, Any],
    target: Threshold,
    expression: Expression,
    window_s: float,
) -> tuple[float, int]:
    """The value, and how many values it is made of."""
    match METRICS[target.metric]:
        case "duration":
            return _duration(sql, target, expression)
        case "share":
            return _errors(sql, parameters, target)
        case "rate":
            return _throughput(sql, target, window_s)
        case _:
            return _counted(sql, parameters, target)


def _duration(sql: Session, target: Threshold, expression: Expression) -> tuple[float, int]:
    aggregate = {
        "p": f"type7(ordered, {(expression.percentile or 0) / 100!r})",
        "med": "type7(ordered, 0.5)",
        "avg": "list_avg(ordered)",
        "min": "ordered[1]",
        "max": "ordered[-1]",
    }[expression.aggregate]
    observed, n = sql.rows(
        f"""
        with ordered as (
            select list(v order by v) as ordered
            from (select {_COLUMN[target.metric]}::double as v from job
                  where in_window and ($queue is null or queue = $queue))
            where v is not null
        )
        select {aggregate}, len(ordered) from ordered
        """,
        {"queue": target.queue},
    )[0]
    return (math.nan if observed is None else float(observed)), int(n or 0)


def _errors(sql: Session, parameters: dict[str, Any], target: Threshold) -> tuple[float, int]:
    sent, failed = sql.rows(
        f"""
        with {EVIDENCE}
        select count(*), count(*) filter (not coalesce(finished, false))
        from classed join job using (trial, seq)
        where job.in_window and not dropped and ($queue is null or classed.queue = $queue)
        """,
        parameters | {"queue": target.queue},
    )[0]
    return (failed / sent if sent else math.nan), int(sent)


def _throughput(sql: Session, target: Threshold, window_s: float) -> tuple[float, int]:
    done = sql.rows(
        """
        select count(*) from job where done_in_window and ($queue is null or queue = $queue)
        """,
        {"queue": target.queue},
    )[0][0]
    return done / window_s, int(done)


def _counted(sql: Session, parameters: dict[str, Any], target: Threshold) -> tuple[float, int]:
    wanted = {
        "dropped": "dropped",
        "dead": "class = 'dead'",
        "lost": "starts_with(class, 'lost')",
        "duplicated": f"job_id in (select job_id from ({DUPLICATED}))",
    }[target.metric]
    found, n = sql.rows(
        f"""
        with {EVIDENCE}
        select count(*) filter ({wanted}), count(*) from classed
        where $queue is null or queue = $queue
        """,
        parameters | {"queue": target.queue},
    )[0]
    return float(found), int(n)
