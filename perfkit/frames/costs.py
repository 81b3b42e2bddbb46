"""What each process used, from cumulative counters."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames.keeping import kept
from perfkit.frames.session import Session, session
from perfkit.frames.workforce import force
from perfkit.store import StoredRun, TrialFacts

__all__ = ["HostUse", "core_loop_ns", "host_use", "resource_timeline", "resources", "slot_use"]

_MOST_POINTS: Final = 600
_COLUMNS: Final = (
    "process",
    "role",
    "cpu_share",
    "cpu_ms_per_job",
    "rss_anon_max_bytes",
    "run_queue_wait_share",
)
# A server that perfkit did not start is known by what it says of itself.
_OTHER: Final = {"redis.cpu_ns": "redis", "host.cpu_busy_ns": "host"}


@kept
def resources(run: StoredRun, trial: int) -> pd.DataFrame:
    """What each process used in the window, one row per process, Redis, and the host.

    Columns: process, role, cpu_share (cores, on average), cpu_ms_per_job (by what the role does
    in the window: of the generator by requests sent, of ingest by requests accepted, else by jobs
    done), rss_anon_max_bytes (Redis: memory it accounts, where it is not ours),
    run_queue_wait_share (share of the window it wanted a core and had none; summed over threads).
    NaN where it was not sampled.
    """
    facts = run.facts(trial)
    with session(run, trial) as sql:
        cpu, wait = _series(sql, "process.cpu_ns"), _series(sql, "process.run_queue_wait_ns")
        for metric, name in _OTHER.items():
            known = any(facts.role(each) == name for each in cpu)  # one server of several, too
            if not known and (found := _series(sql, metric)):
                cpu[name] = next(iter(found.values()))
        rss = _largest(sql, "process.rss_anon_bytes", facts)
        memory = _largest(sql, "redis.memory_bytes", facts)
        done = _units(sql)
    rows = []
    for name in sorted(cpu, key=lambda each: (each == "host", each)):
        used_ns = _used(*cpu[name], facts)
        waited_ns = _used(*wait[name], facts) if name in wait else math.nan
        whole_ns = facts.instants.window_s * 1e9
        role = facts.role(name)
        units = done.get(role, done[""])
        largest = rss.get(name, memory.get("", math.nan) if name == "redis" else math.nan)
        rows.append(
            (
                name,
                role,
                used_ns / whole_ns,
                used_ns / 1e6 / units if units else math.nan,
                largest,
                waited_ns / whole_ns,
            )
        )
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(
        dict.fromkeys(_COLUMNS[:2], "str") | dict.fromkeys(_COLUMNS[2:], "float64")
    )


def resource_timeline(run: StoredRun, trial: int) -> pd.DataFrame:
    """CPU of each process over time, at most 600 points each.

    Columns: at_s (end of the stretch), process, role, cpu_share (cores, on average since the
    point before).
    """
    facts = run.facts(trial)
    load_start = facts.instants.load_start
    with session(run, trial) as sql:
        cpu = _series(sql, "process.cpu_ns")
        for metric, name in _OTHER.items():
            known = any(facts.role(each) == name for each in cpu)  # one server of several, too
            if not known and (found := _series(sql, metric)):
                cpu[name] = next(iter(found.values()))
    parts = []
    for name, (at_ns, counter) in sorted(cpu.items()):
        stride = max(1, math.ceil(len(at_ns) / _MOST_POINTS))
        at, total = at_ns[::stride], counter[::stride]
        # Two readings may carry the same stamp where a reader retried.
        kept = np.diff(at) > 0
        parts.append(
            pd.DataFrame(
                {
                    "at_s": (at[1:][kept] - load_start) / 1e9,
                    "process": name,
                    "role": facts.role(name),
                    "cpu_share": np.diff(total)[kept] / np.diff(at)[kept],
                }
            )
        )
    if not parts:
        empty = pd.DataFrame({"at_s": [], "process": [], "role": [], "cpu_share": []})
        return empty.astype({"process": "str", "role": "str"})
    return pd.concat(parts, ignore_index=True)


Series = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def _series(sql: Session, metric: str) -> dict[str, Series]:
    """Readings of a cumulative counter per subject, made to rise where a restart reset it."""
    subjects, stamps, readings = sql.arrays(
        "select subject, at_ns, value from samples where metric = $1 order by subject, at_ns",
        [metric],
    ).values()
    found: dict[str, Series] = {}
    names, every = subjects.data, readings.filled(math.nan)
    ends = [*(np.flatnonzero(names[1:] != names[:-1]) + 1), len(names)] if len(names) else []
    for begin, end in itertools.pairwise([0, *ends]):
        values = every[begin:end]
        steps = np.diff(values)
        # After a reset the counter begins at nought, so the new value is the increase.
        steps = np.where(steps < 0, values[1:], steps)
        rising = np.concatenate([values[:1], values[0] + np.cumsum(steps)])
        found[str(names[begin])] = (stamps.data[begin:end].astype(np.int64), rising)
    return found


def _used(
    at_ns: npt.NDArray[np.int64], counter: npt.NDArray[np.float64], facts: TrialFacts
) -> float:
    """Increase over the window, linear between readings; a process that is gone uses nothing."""
    ends: Any = np.interp([facts.instants.window_start, facts.instants.window_end], at_ns, counter)
    return float(ends[1] - ends[0])


def _largest(sql: Session, metric: str, facts: TrialFacts) -> dict[str, float]:
    instants = facts.instants
    return dict(
        sql.rows(
            "select subject, max(value) from samples where metric = $1"
            " and at_ns between $2 and $3 group by subject",
            [metric, instants.window_start, instants.window_end],
        )
    )


def _units(sql: Session) -> dict[str, int]:
    """What each role did in the window, in its own unit; "" for all that is not named."""
    done, accepted, sent = sql.rows("""
        select count(*) filter (done_in_window),
               count(*) filter (accepted and done_ns >= window_start and done_ns < window_end),
               count(*) filter (sent_ns >= window_start and sent_ns < window_end)
        from job join facts using (trial)
    """)[0]
    return {"": done, "ingest": accepted, "generator": sent}


class HostUse(NamedTuple):
    """How the cores of the host were used in the window, as shares of all cores; NaN unknown."""

    cpus: float
    busy: float
    stolen: float  # by other machines on the same iron


@functools.lru_cache(maxsize=64)
def host_use(run: StoredRun, trial: int) -> HostUse:
    """Cores of the host, and the shares of them that were busy and that were stolen."""
    facts = run.facts(trial)
    cpus = float(run.manifest.get("host", {}).get("cpus") or math.nan)
    whole_ns = cpus * facts.instants.window_s * 1e9
    with session(run, trial) as sql:
        found = [_series(sql, metric) for metric in ("host.cpu_busy_ns", "host.cpu_steal_ns")]
    busy, stolen = (
        _used(*next(iter(each.values())), facts) / whole_ns if each else math.nan for each in found
    )
    return HostUse(cpus, busy, stolen)


@functools.lru_cache(maxsize=64)
def core_loop_ns(run: StoredRun, trial: int) -> float:
    """What a fixed loop cost in the window on the cores of the system, each of them alike.

    CPU nanoseconds a time, on average. NaN where it was not measured, or not on all of them.
    """
    facts = run.facts(trial)
    with session(run, trial) as sql:
        loops, spent = (_series(sql, name) for name in ("host.loops", "host.loop_cpu_ns"))
    each = [
        _used(*spent[core], facts) / times if (times := _used(*loops[core], facts)) else math.nan
        for core in loops
    ]
    return float(np.mean(each)) if each else math.nan


@functools.lru_cache(maxsize=64)
def slot_use(run: StoredRun, trial: int) -> float:
    """Share of the worker slots that ran jobs, on average over the window; NaN without slots."""
    facts = run.facts(trial)
    with session(run, trial) as sql:
        busy_ns = sql.rows(
            """
            select sum(greatest(0, least(coalesce(acked_ns, finished_ns, window_end), window_end)
                                   - greatest(started_ns, window_start)))
            from jobs, facts where started_ns is not null
            """
        )[0][0]
    # Of workers that came and went, as long as they were there.
    slots_ns = force(facts).slots * facts.instants.window_s * 1e9
    return float(busy_ns or 0) / slots_ns if slots_ns > 0 else math.nan
