"""Frames and verdicts as `perfkit.frames` and `perfkit.verdict` give them, written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perfkit.frames import STAGES
from perfkit.records import SCHEMA_VERSION
from perfkit.verdict import Accounting, Counter

QUEUES = ("payments", "notifications", "webhooks")


def trials(workers: tuple[int, ...] = (1, 2, 4), scenario: str = "first") -> pd.DataFrame:
    """One row a trial; one worker is saturated at 145/s of 200/s."""
    rows = []
    for trial, count in enumerate(workers):
        saturated = count == 1
        rows.append(
            {
                "trial": trial,
                "label": f"workers={count}",
                "title": f"workers={count}",
                "scenario": scenario,
                "repetition": 0,
                "workers": count,
                "threads": 8,
                "slots": 8 * count,
                "model": "open",
                "offered_per_s": 200.0,
                "due_per_s": 203.0,
                "throughput_per_s": 145.0 if saturated else 199.5,
                "done_share": 0.74 if saturated else 1.0,
                "n": 2436,
                "p50_ns": 2.1e9 if saturated else 52e6 / count,
                "p95_ns": 4.9e9 if saturated else 410e6 / count,
                "p99_ns": 5.6e9 if saturated else 1.2e9 / count,
                "added_p50_ns": 2.0e9 if saturated else 6e6,
                "added_p95_ns": 4.8e9 if saturated else 40e6,
                "added_p99_ns": 5.5e9 if saturated else 90e6,
                "backlog_end": 720.0 if saturated else 3.0,
                "saturated": saturated,
                "state": "saturated" if saturated else "carried",
                "status": "PASS",
                "efficiency": 1.0 if saturated else math.nan,
                "workers_cpu_ms_per_job": 1.9,
                "ingest_cpu_ms_per_job": 0.6,
                "redis_cpu_ms_per_job": 0.2,
                "generator_cpu_share": 0.06,
                "send_lag_p99_ns": 900_000.0,
            }
        )
    return pd.DataFrame(rows)


def timeline(trial: int) -> pd.DataFrame:
    """Rates in each second of a trial."""
    at = np.arange(26.0)
    loaded = at < 14
    done = np.where(loaded, 145.0 if trial == 0 else 200.0 + 8 * np.sin(at), 0.0)
    if trial == 0:
        done[14:20] = 140.0
    return pd.DataFrame(
        {
            "at_s": at,
            "intended_per_s": np.where(loaded, 200.0 + 12 * np.cos(3 * at), 0.0),
            "sent_per_s": np.where(loaded, 200.0, 0.0),
            "accepted_per_s": np.where(loaded, 200.0, 0.0),
            "done_per_s": done,
            "failed_per_s": np.where(loaded, 2.0, 0.0),
            "p50_ns": np.full(26, 5e7),
            "p95_ns": np.full(26, 4e8),
            "in_window": (at >= 2) & loaded,
        }
    )


def facts(trial: int) -> Mapping[str, Any]:
    """What ``run.trial_facts`` knows."""
    return {
        "trial": trial,
        "instants_ns": {
            "load_start": 1_000,
            "window_start": 2_000_001_000,
            "window_end": 14_000_001_000,
            "load_end": 14_000_001_000,
            "drain_end": 26_000_001_000,
        },
        "generator": {
            "sent": 2800,
            "late": 0,
            "dropped": 0,
            "cpu_ns": 840_000_000,
            "send_lag_ns": {"p50": 110_000, "p99": 900_000, "max": 3_200_000},
        },
        "recorder": {"events": 14_000, "holes": 0, "corrupt": 0, "lost": 0},
        "sampler": {"ticks": 130, "late": 0, "max_lag_ns": 1_000_000},
    }


def backlog(trial: int) -> pd.DataFrame:
    """Queue counts at 5 Hz."""
    at = np.arange(0, 26, 0.2)
    rise = np.clip(at, 0, 14) * 18 - np.clip(at - 14, 0, 12) * 45 if trial == 0 else 2 + np.sin(at)
    parts = []
    for share, queue in zip((0.22, 0.47, 0.31), QUEUES, strict=True):
        waiting = np.clip(np.round(rise * share * 3), 0, None)
        parts.append(
            pd.DataFrame(
                {
                    "at_s": at,
                    "queue": queue,
                    "waiting": waiting,
                    "in_flight": np.full(len(at), 16.0),
                    "delayed": 0.0,
                    "dead": 0.0,
                    "oldest_age_ns": waiting / (200 * share) * 1e9,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def curve(value: str = "latency_ns", by: tuple[str, ...] = ("trial",), count: int = 3) -> Any:
    """Value by quantile on a log-nines grid."""
    nines = np.linspace(0, 2.4, 60)
    parts = []
    for trial in range(count):
        for queue in QUEUES if "queue" in by else ("",):
            base = (1.5e9 if trial == 0 else 4e7) * (1 + QUEUES.index(queue) if queue else 1)
            spread = 0.3 if trial == 0 else 0.6
            part = pd.DataFrame(
                {
                    "trial": trial,
                    "quantile": 1 - 10**-nines,
                    "value_ns": base * np.exp(spread * nines)
                    - (3e5 if value != "latency_ns" else 0),
                }
            )
            if queue:
                part.insert(1, "queue", queue)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def stages(count: int = 3) -> pd.DataFrame:
    """Mean time of a stage by trial and queue."""
    rows = []
    for trial in range(count):
        for queue in (*QUEUES, "all"):
            means = (
                0.2e6,
                0.1e6,
                3e6,
                1.8e9 if trial == 0 else 4e6,
                2e8 if trial == 0 else 5e6,
                7e7,
                1e7,
            )
            whole = sum(means)
            rows += [
                {
                    "trial": trial,
                    "label": f"workers={trial}",
                    "queue": queue,
                    "stage": stage,
                    "mean_ns": mean,
                    "p50_ns": mean,
                    "p99_ns": 3 * mean,
                    "share": mean / whole,
                }
                for stage, mean in zip(STAGES, means, strict=True)
            ]
    return pd.DataFrame(rows)


def resources(trial: int) -> pd.DataFrame:
    """What each process used."""
    workers = (1, 2, 4)[trial]
    named = [(f"worker-{i + 1}", "worker", 0.28, 61) for i in range(workers)]
    named += [("ingest-1", "ingest", 0.13, 48), ("redis", "redis", 0.05, 12)]
    named += [("gateway", "gateway", 0.12, 40), ("generator", "generator", 0.06, 55)]
    return pd.DataFrame(
        [
            {
                "process": process,
                "role": role,
                "cpu_share": share,
                "cpu_ms_per_job": share * 5,
                "rss_anon_max_bytes": mib * 2.0**20,
                "run_queue_wait_share": 0.01,
            }
            for process, role, share, mib in named
        ]
    )


def resource_timeline(trial: int) -> pd.DataFrame:
    """CPU of each process over time."""
    at = np.arange(0.5, 26, 0.5)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "at_s": at,
                    "process": row.process,
                    "role": row.role,
                    "cpu_share": row.cpu_share,
                }
            )
            for row in resources(trial).itertuples()
        ],
        ignore_index=True,
    )


def percentiles(count: int = 3) -> pd.DataFrame:
    """P50, P95, P99 by trial and queue."""
    return pd.DataFrame(
        [
            {
                "trial": trial,
                "queue": queue,
                "n": 800,
                "p50_ns": 5e7,
                "p95_ns": 4e8,
                "p99_ns": math.inf if trial == 0 else 9e8,
                "mean_ns": 9e7,
                "unfinished": 12 if trial == 0 else 0,
            }
            for trial in range(count)
            for queue in QUEUES
        ]
    )


@dataclass(frozen=True)
class TrialVerdict:
    trial: int
    label: str
    status: str = "PASS"
    saturated: bool = False
    capacity_per_s: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    status: str
    reasons: tuple[str, ...]
    trials: tuple[TrialVerdict, ...]


@dataclass(frozen=True)
class Headline:
    sentence: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    metric: str = "latency"
    queue: str | None = "payments"
    expr: str = "p(95)<500ms"
    limit: float = 5e8
    observed: float = 4.2e8
    n: int = 500
    holds: bool = True
    margin: float = 0.16
    note: str = "observed, not inferred"
    trial: int = 0
    label: str = "workers=1"
    claimed: str | None = None
    applicable: bool = True
    over: str = "window"
    limit_high: float | None = None
    unit: str = "duration"


def accounting(trial: int | None = None, **changed: Any) -> Accounting:
    """Books that balance; 12 of three trials' jobs are still pending, all of the first's."""
    count, pending = (3, 12) if trial is None else (1, 12 if trial == 0 else 0)
    said: dict[str, Any] = {
        "planned": 2800 * count,
        "sent": 2800 * count,
        "accepted": 2800 * count,
        "done": 2800 * count - pending,
        "pending": pending,
        "ids": {"pending": ("a-1", "b-2")} if pending else {},
        "counters": (Counter("charges in the ledger", 616 * count, 616 * count, True),),
    }
    return Accounting(**said | changed)


def verdict(count: int = 3) -> Verdict:
    """A verdict without thresholds; the first trial is saturated."""
    return Verdict(
        "PASS",
        ("no thresholds: observed, not inferred",),
        tuple(
            TrialVerdict(
                trial, f"workers={1 << trial}", "PASS", trial == 0, 145.0 if trial == 0 else None
            )
            for trial in range(count)
        ),
    )


def headline() -> Headline:
    """What a person wants to know."""
    return Headline(
        "2 workers carry 200 jobs/s; 1 worker saturates at 145/s (observed, not inferred)",
        (
            "2 workers carry 200/s; one finishes 145/s and its backlog grows to 720 jobs.",
            "Latency with 2 workers: P50 26 ms, P95 205 ms, P99 600 ms.",
            "Limit: worker threads; all 8 were busy while the CPU was 0.7 of 2 cores.",
        ),
    )


def manifest() -> dict[str, Any]:
    """A manifest as a run seals it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "perfkit_version": "0.1.0",
        "run_id": "20261124-041500-ab12",
        "name": "first",
        "status": "complete",
        "reason": None,
        "created_ns": 1_795_000_000_000_000_000,
        "command": ["perfkit", "sweep", "first", "--axis", "workers=1,2,4"],
        "scenarios": {
            "first": {"text": 'name = "first"\nseed = 1\n', "digest": "0123456789abcdef"}
        },
        "plan": [{"trial": i, "seed": 1} for i in range(3)],
        "host": {
            "fingerprint": "f00d",
            "cpus": 2,
            "cpu_model": "Some CPU",
            "memory_bytes": 24 * 2**30,
            "kernel": "6.1",
            "python": "3.11.7",
        },
        "versions": {"dramatiq": "2.2.1", "redis": "7.0.1"},
        "redis": {
            "server": "redis",
            "version": "8.2",
            "allocator": "jemalloc",
            "config": {"save": ""},
        },
        "git": {"commit": "0123456789abcdef", "dirty": True},
        "placement": {"system_cpus": [0, 1], "instrument_cpus": [0, 1], "shared": True},
        "synthetic": False,
    }
