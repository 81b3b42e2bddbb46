"""One row per trial: what was asked, what came out, what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from perfkit.frames.costs import resources
from perfkit.frames.distribution import percentiles
from perfkit.frames.keeping import kept
from perfkit.frames.naming import arms, titles
from perfkit.frames.session import session
from perfkit.frames.timelines import waiting
from perfkit.frames.workforce import force
from perfkit.store import StoredRun, TrialFacts

__all__ = ["trials"]

_COLUMNS: Final = (
    "workers",
    "threads",
    "slots",
    "model",
    "offered_per_s",
    "due_per_s",
    "throughput_per_s",
    "done_share",
    "errors_share",
    "n",
    "p50_ns",
    "p95_ns",
    "p99_ns",
    "added_p50_ns",
    "added_p95_ns",
    "added_p99_ns",
    "backlog_end",
    "efficiency",
    "workers_cpu_ms_per_job",
    "ingest_cpu_ms_per_job",
    "redis_cpu_ms_per_job",
    "generator_cpu_share",
    "send_lag_p99_ns",
)


@kept
def trials(run: StoredRun) -> pd.DataFrame:
    """One row per trial that has data.

    Columns: trial, label, title (see `titles`), scenario, repetition; one per axis under its short
    name; workers (processes it was started with), threads (of each worker; missing where pools
    differ), slots (on average over the window, where workers came and went); model, offered_per_s
    (asked for), due_per_s (requests intended in the window, by the window);
    throughput_per_s (jobs done in the window, by the window); done_share (of what was intended in
    the window); errors_share (of what was sent of it, what was not done by the end of the drain);
    n (requests of the cohort); p50_ns p95_ns p99_ns (latency) and added_p50_ns ...
    (over all queues); backlog_end (jobs enqueued and not started at the end of the window);
    efficiency (throughput per worker, on average over the window, relative to the whole trials with
    the fewest workers among those of the same scenario and the same other axes; NaN where all of
    these have as many, as there is nothing to compare with); workers_,
    ingest_, redis_cpu_ms_per_job (see `resources`); generator_cpu_share (cores); send_lag_p99_ns.

    Whether a trial is saturated is a verdict: `perfkit.verdict.trials` adds that column, and
    blanks the efficiency of trials that the load limited and not their workers.
    """
    facts = [run.facts(trial) for trial in run.trials]
    names_of = titles(run)
    measured = pd.DataFrame(
        [{"title": names_of[each.trial], **_measured(run, each)} for each in facts]
    )
    axes = list(dict.fromkeys(key for each in facts for key in each.axes))
    short = {key: key.rpartition(".")[2] for key in axes}
    names = {
        key: name if list(short.values()).count(name) == 1 else key for key, name in short.items()
    }
    first = ["trial", "label", "title", "scenario", "repetition"]
    extra = [name for name in names.values() if name not in _COLUMNS]
    if not facts:
        return pd.DataFrame(columns=[*first, *_COLUMNS])
    for key, name in names.items():
        if name in extra:
            measured[name] = [each.axes.get(key) for each in facts]
    for value, prefix in (("latency_ns", ""), ("added_ns", "added_"), ("send_lag_ns", "send_lag_")):
        found = percentiles(run, by=("trial",), value=value).set_index("trial")
        for p in ("p50_ns", "p95_ns", "p99_ns"):
            measured[prefix + p] = measured["trial"].map(found[p]).astype("float64")
    measured["efficiency"] = list(_efficiency(run, measured))
    return measured[[*first, *extra, *_COLUMNS]]


def _measured(run: StoredRun, facts: TrialFacts) -> dict[str, Any]:
    with session(run, facts.trial) as sql:
        finished, planned, done, sent, failed = sql.rows(
            """
            select count(*) filter (done_in_window),
                   count(*) filter (in_window),
                   count(*) filter (in_window and done),
                   count(*) filter (in_window and sent_ns is not null),
                   count(*) filter (in_window and sent_ns is not null and not done)
            from job
            """
        )[0]
    used = resources(run, facts.trial)
    # min_count: a role that was not sampled costs an unknown amount, not nothing.
    per_job = used.groupby("role")["cpu_ms_per_job"].sum(min_count=1)
    cores = used.groupby("role")["cpu_share"].sum(min_count=1)
    threads = {int(pool["threads"]) for pool in facts.pools}
    instants = facts.instants
    at_end = waiting(run, facts.trial, max(1, instants.window_end - instants.window_start))
    return {
        "trial": facts.trial,
        "label": facts.label,
        "scenario": facts.scenario,
        "repetition": facts.repetition,
        "workers": facts.workers if facts.jobs_recorded else math.nan,
        "threads": threads.pop() if len(threads) == 1 else None,
        "slots": math.nan
        if not facts.jobs_recorded
        else round(slots)
        if math.isfinite(slots := force(facts).slots)
        else facts.slots,
        "model": facts.model,
        "offered_per_s": facts.offered_per_s,
        "due_per_s": planned / facts.instants.window_s,
        "throughput_per_s": finished / facts.instants.window_s,
        "done_share": done / planned if planned else math.nan,
        "errors_share": failed / sent if sent else math.nan,
        "n": planned,
        "backlog_end": float(at_end["waiting"].iloc[-1]) if facts.jobs_recorded else math.nan,
        "workers_cpu_ms_per_job": per_job.get("worker", math.nan),
        "ingest_cpu_ms_per_job": per_job.get("ingest", math.nan),
        "redis_cpu_ms_per_job": per_job.get("redis", math.nan),
        "generator_cpu_share": cores.get("generator", math.nan),
    }


def _efficiency(run: StoredRun, measured: pd.DataFrame) -> Iterator[float]:
    # Workers may come and go: a worker-second is what throughput is paid with.
    paid = measured["trial"].map(lambda trial: force(run.facts(trial)).mean)
    each_does = measured["throughput_per_s"] / paid.where(paid > 0)
    arm_of = measured["trial"].map({trial: repr(arm) for trial, arm in arms(run).items()})
    # A trial without load, or cut short, tells nothing of what a worker does.
    whole = measured["trial"].map(lambda trial: run.facts(trial).outcome == "complete")
    known = whole & (measured["throughput_per_s"] > 0)
    for arm, own, counts in zip(arm_of, each_does, known, strict=True):
        same = known & (arm_of == arm)
        fewest = measured.loc[same, "workers"].min()
        several = measured.loc[same, "workers"].nunique() > 1
        base = each_does[same & (measured["workers"] == fewest)].mean()
        yield own / base if counts and several and base else math.nan
