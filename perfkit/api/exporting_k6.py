"""A trial as JSON like that of k6's ``--summary-export``: a number is measured, or it isn't there.

Of the requests of the window, as k6 names them:

    http_reqs              count and rate of what was sent
    http_req_duration      ms from sent to the whole answer
    http_req_blocked       ms of waiting for a connection
    http_req_failed        share whose answer was neither 2xx nor 3xx, or missing
    iterations             of a closed model: one request each; of user code: its own
    iteration_duration     of user code: ms from the intended time to the end
    checks                 of user code: share that passed; each of them is in root_group
    vus, vus_max           of a closed model, as asked for; as sampled, of an imported run
    dropped_iterations     never sent

Of the jobs, which k6 does not know, and of the answers where none are recorded:
``perfkit_latency``, ``perfkit_response`` in ms, ``perfkit_failed`` and ``perfkit_throughput``. Of
jobs alone: ``perfkit_queue_wait``, ``perfkit_service``, ``perfkit_added`` in ms. Absent, because
they are not measured: http_req_connecting, http_req_tls_handshaking, http_req_sending,
http_req_waiting, http_req_receiving, data_sent, data_received, groups. A percentile that falls
among jobs that never ended is infinite, and absent too: ``perfkit.absent`` names it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perfkit import frames
from perfkit.api.runs import Run

if TYPE_CHECKING:
    from perfkit.verdict import ThresholdResult

__all__ = ["summary_of"]

_DURATIONS: Final = {
    "http_req_duration": "request_ns",
    "http_req_blocked": "blocked_ns",
    "perfkit_latency": "latency_ns",
    "perfkit_response": "response_ns",
    "perfkit_queue_wait": "queue_wait_ns",
    "perfkit_service": "service_ns",
    "perfkit_added": "added_ns",
    "perfkit_send_lag": "send_lag_ns",
}
_METRICS: Final = {
    "latency": "perfkit_latency",
    "response": "perfkit_response",
    "queue_wait": "perfkit_queue_wait",
    "service": "perfkit_service",
    "added": "perfkit_added",
    "request": "http_req_duration",
    "send_lag": "perfkit_send_lag",
    "errors": "perfkit_failed",
    "throughput": "perfkit_throughput",
    "dropped": "dropped_iterations",
}
"""What a threshold's metric is called here; any other is ``perfkit_`` and its name."""

_JOBS: Final = frozenset({"queue_wait_ns", "service_ns", "added_ns"})
_OURS: Final = frozenset({"latency_ns", "response_ns"})
"""k6, whose runs are imported, starts no clock at the intended time."""
_COUNTED: Final = """
    select count(*) filter (sent_ns is not null),
           count(*) filter (sent_ns is null),
           count(*) filter (sent_ns is not null
                            and not coalesce(status between 200 and 399, false)),
           count(*) filter (sent_ns is not null and not done),
           count(*) filter (done_in_window)
    from job where (in_window or done_in_window) and ($queue is null or queue = $queue)
      and ($late or in_window)
"""
_OF_USERS: Final = """
    select case when metric = 'journey.check' then subject else '' end as name,
           value, metric = 'journey.check' as is_check
    from samples, facts
    where at_ns >= window_start and at_ns < window_end
      and (metric = 'journey.check' or metric = 'journey.iteration'
           and subject <> 'abandoned' and not starts_with(subject, 'in a task: '))
"""


def summary_of(run: Run, trial: int) -> tuple[str, tuple[str, ...]]:
    """One trial as JSON text, and what must be said of it."""
    absent: list[str] = []
    metrics = dict(_measured(run, trial, None, absent))
    checks = _of_users(run, trial, metrics)
    for result in run.thresholds(trial):
        if result.applicable and not math.isnan(result.observed):
            _judge(run, trial, metrics, result, absent)
    verdict = run.verdict()
    facts = run.stored.facts(trial)
    document = {
        "root_group": {"name": "", "path": "", "groups": {}, "checks": checks},
        "metrics": metrics,
        "perfkit": {
            "run": f"{run.name}/{run.run_id}",
            "trial": trial,
            "label": facts.label,
            "status": next(each.status for each in verdict.trials if each.trial == trial),
            "partial": run.manifest["status"] != "complete" or facts.outcome != "complete",
            "window_s": facts.instants.window_s,
            "of": "what was intended inside the measured window; times in ms",
            "warnings": list(run.manifest.get("warnings") or ()),
            "absent": absent,
        },
    }
    notes = (f"infinite, and so left out: {', '.join(absent)}",) if absent else ()
    return json.dumps(document, indent=2, allow_nan=False) + "\n", notes


def _measured(
    run: Run, trial: int, queue: str | None, absent: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    facts = run.stored.facts(trial)
    window_s = facts.instants.window_s
    is_ours = not facts.imported
    with frames.session(run.stored, trial) as sql:
        sent, dropped, refused, undone, _ = sql.rows(_COUNTED, {"queue": queue, "late": False})[0]
        done = sql.rows(_COUNTED, {"queue": queue, "late": True})[0][-1]
        for name, column in _DURATIONS.items():
            of_jobs, of_ours = column in _JOBS, column in _OURS
            if (of_jobs and not facts.jobs_recorded) or (of_ours and not is_ours):
                continue
            if found := _trend(sql, name, column, queue, absent):
                yield name, found
    tag = f"{{queue:{queue}}}" if queue is not None else ""
    yield f"http_reqs{tag}", {"count": sent, "rate": sent / window_s}
    if sent:
        yield f"http_req_failed{tag}", _share(refused, sent)
    if is_ours:
        if sent:
            yield f"perfkit_failed{tag}", _share(undone, sent)
        yield f"perfkit_throughput{tag}", {"count": done, "rate": done / window_s}
    if dropped:
        yield f"dropped_iterations{tag}", {"count": dropped, "rate": dropped / window_s}
    if facts.model == "closed" and queue is None:
        if is_ours and not facts.journey:
            yield "iterations", {"count": sent, "rate": sent / window_s}
        if facts.users is not None:
            vus = {"value": facts.users, "min": facts.users, "max": facts.users}
            # Of a closed model with one level; what k6 itself counted has only its highest.
            if is_ours:
                yield "vus", vus
            yield "vus_max", vus


def _of_users(run: Run, trial: int, metrics: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Put the iterations and checks of user code in; returns the checks by name."""
    facts = run.stored.facts(trial)
    if not facts.journey:
        return {}
    with frames.session(run.stored, trial) as sql:
        rows = sql.rows(_OF_USERS)
    took_ms = np.array([1e3 * value for _, value, is_check in rows if not is_check])
    window_s = facts.instants.window_s
    metrics["iterations"] = {"count": len(took_ms), "rate": len(took_ms) / window_s}
    if len(took_ms):
        levels = np.percentile(took_ms, (0, 50, 100, 90, 95)).tolist()
        names = ("min", "med", "max", "p(90)", "p(95)")
        metrics["iteration_duration"] = {
            "avg": float(took_ms.mean()), **dict(zip(names, levels, strict=True))
        }  # fmt: skip
    passed = [(name, value == 1) for name, value, is_check in rows if is_check]
    if passed:
        metrics["checks"] = _share(sum(ok for _, ok in passed), len(passed))
    counted = Counter(passed)
    return {
        name: {
            "name": name,
            "path": f"::{name}",
            "passes": counted[name, True],
            "fails": counted[name, False],
        }
        for name in sorted({name for name, _ in passed})
    }


def _share(count: int, of: int) -> dict[str, Any]:
    """A rate as k6 has it: passes are the values that are true."""
    return {"passes": count, "fails": of - count, "value": count / of}


def _trend(
    sql: frames.Session, name: str, column: str, queue: str | None, absent: list[str]
) -> dict[str, float]:
    tag = f"{{queue:{queue}}}" if queue is not None else ""
    values = sql.rows(
        f"""
        with ordered as (
            select list(v order by v) as a from (
                select {column}::double / 1e6 as v from cohort
                where $queue is null or queue = $queue
            ) where v is not null
        )
        select list_avg(a), a[1], type7(a, 0.5), a[-1], type7(a, 0.9), type7(a, 0.95) from ordered
        """,
        {"queue": queue},
    )[0]
    known = dict(zip(("avg", "min", "med", "max", "p(90)", "p(95)"), values, strict=True))
    found = {key: float(value) for key, value in known.items() if value is not None}
    absent += [f"{name}{tag} {key}" for key, value in found.items() if math.isinf(value)]
    return {key: value for key, value in found.items() if math.isfinite(value)}


def _judge(
    run: Run,
    trial: int,
    metrics: dict[str, dict[str, Any]],
    result: ThresholdResult,
    absent: list[str],
) -> None:
    """Put a threshold beside its metric: k6 writes whether it failed."""
    base = _METRICS.get(result.metric, f"perfkit_{result.metric.replace('.', '_')}")
    name = base if result.queue is None else f"{base}{{queue:{result.queue}}}"
    if name not in metrics and result.queue is not None:
        if base in _DURATIONS:
            with frames.session(run.stored, trial) as sql:
                metrics[name] = dict(_trend(sql, base, _DURATIONS[base], result.queue, absent))
        else:
            metrics |= {
                key: value for key, value in _measured(run, trial, result.queue, []) if key == name
            }
    if name not in metrics:
        value = {"value": result.observed} if math.isfinite(result.observed) else {}
        metrics[name] = dict(value)
    part = "" if result.over == "window" else f" over {result.over}"
    metrics[name].setdefault("thresholds", {})[result.expr + part] = not result.holds
