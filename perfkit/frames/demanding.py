"""What each resource of the system did in the window, and how much of it there is."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from perfkit.frames.costs import host_use, resources
from perfkit.frames.session import session
from perfkit.frames.workforce import force
from perfkit.store import StoredRun, TrialFacts

__all__ = ["busy"]

_ROLES: Final = {"ingest": "ingest CPU", "worker": "worker CPU", "redis": "Redis CPU"}
_COLUMNS: Final = {
    "resource": "str",
    "kind": "str",
    "pool": "str",
    "units": "float64",
    "busy_ns": "float64",
    "jobs": "int64",
    "window_ns": "float64",
}


def busy(run: StoredRun, trial: int) -> pd.DataFrame:
    """Time in use and units of each resource in the window of one trial.

    Columns: resource, kind (cpu, threads, wait, host, generator), pool ("" but of threads), units
    (how many of it can be in use at once: processes, as one CPython process, and Redis' one main
    thread, fill one core each, and no more than the host has; threads of workers, on average;
    infinite of a wait), busy_ns (summed over its units; NaN where it was not sampled), jobs (done
    in the window), window_ns.

    Worker threads are in use from the start of a job to its ack. They include the wait for the
    gateway, which is told apart where its calls were recorded, and the CPU of the workers. The
    generator is no part of the system and comes last.
    """
    facts = run.facts(trial)
    window_ns = facts.instants.window_s * 1e9
    used = resources(run, trial)
    host = host_use(run, trial)
    jobs = _done(run, trial)
    rows: list[tuple[Any, ...]] = []
    for role, name in _ROLES.items():
        mine = used[used["role"] == role]
        if len(mine):
            units = min(float(len(mine)), host.cpus) if host.cpus > 0 else float(len(mine))
            if role == "worker":
                units = min(force(facts).mean, units) or units
            share = mine["cpu_share"].sum(min_count=len(mine))
            rows.append((name, "cpu", "", units, share * window_ns))
    rows += _threads(run, facts)
    if (waited := _gateway(run, trial)) is not None:
        rows.append(("gateway wait", "wait", "", math.inf, waited))
    if host.cpus > 0:
        rows.append(("host CPU", "host", "", host.cpus, host.busy * host.cpus * window_ns))
    generator = used[used["role"] == "generator"]
    if len(generator):
        share = generator["cpu_share"].sum(min_count=1)
        rows.append(("generator CPU", "generator", "", float(len(generator)), share * window_ns))
    return pd.DataFrame([(*row, jobs, window_ns) for row in rows], columns=list(_COLUMNS)).astype(
        _COLUMNS
    )


def _done(run: StoredRun, trial: int) -> int:
    with session(run, trial) as sql:
        return int(sql.rows("select count(*) from job where done_in_window")[0][0])


def _threads(run: StoredRun, facts: TrialFacts) -> list[tuple[Any, ...]]:
    """A row per pool, each with its own threads; of a system without recorded jobs none."""
    if not facts.jobs_recorded or not facts.slots:
        return []
    # What a worker that died was running, its thread gave back when it died.
    gone = {each.name: each.at_ns for each in facts.deaths}
    gone |= {each.name: each.ended_ns for each in facts.worker_lives if each.ended_ns is not None}
    with session(run, facts.trial) as sql:
        used = dict(
            sql.rows(
                """
                with lives as (
                    select unnest($1::varchar[]) as worker, unnest($2::bigint[]) as gone_ns
                )
                select coalesce(j.worker::varchar, ''),
                       sum(greatest(0, least(coalesce(acked_ns, finished_ns, gone_ns, window_end),
                                             window_end)
                                       - greatest(started_ns, window_start)))
                from facts, jobs j left join lives on lives.worker = j.worker::varchar
                where started_ns is not null group by 1
                """,
                [list(gone), list(gone.values())],
            )
        )
    if len(facts.pools) < 2:
        return [("worker threads", "threads", "", force(facts).slots, float(sum(used.values())))]
    pool_of = {each.name: each.pool for each in facts.worker_lives}
    rows = []
    for pool in facts.pools:
        name = str(pool.get("name") or "")
        mine = sum(
            float(ns) for worker, ns in used.items() if _pool(worker, pool_of, facts) == name
        )
        slots = float(pool.get("workers", 0)) * float(pool.get("threads", 0))
        rows.append((f"worker threads of {name}", "threads", name, slots, mine))
    return rows


def _pool(worker: str, known: dict[str, str], facts: TrialFacts) -> str:
    """The pool of a worker; of an older run the longest name that its own begins with."""
    if worker in known:
        return known[worker]
    names = [str(pool.get("name") or "") for pool in facts.pools]
    return max((name for name in names if worker.startswith(f"{name}-")), key=len, default="")


def _gateway(run: StoredRun, trial: int) -> float | None:
    """Time that calls spent at the gateway in the window; None where none were recorded."""
    with session(run, trial) as sql:
        count, waited = sql.rows("""
            select count(*), sum(greatest(0, least(answered_ns, window_end)
                                           - greatest(received_ns, window_start)))
            from calls, facts
        """)[0]
    return float(waited or 0) if count else None
