"""What a job asks of each resource, and which of them is the bottleneck, if two signs agree.

A bottleneck is named where one resource is used up (90 % of it) *and*, counted in another way, what
is to go through it waits in front of it. One sign alone names nothing: a full resource that nobody
waits for carries its load, and a queue before an idle one waits for something else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from perfkit.frames import busy, gauge, repetitions, resources, session, waiting
from perfkit.stats import backlog_trend, service_demand
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["Bottleneck", "Resource", "bottleneck", "demands"]

_FULL: Final = 0.9
_GROWTH: Final = 0.01  # of what comes due
_IN_FLIGHT: Final = 5.0  # requests an ingest process has begun, where it is not waited for
_SLOWER: Final = 5.0  # than its fastest answer
_WAITED: Final = 0.5  # cores wanted and not had
_RANK: Final = {"cpu": 0, "host": 1, "threads": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource in the window of one trial, with its two signs."""

    name: str
    kind: str  # as of `perfkit.frames.busy`
    units: float
    ms_per_job: float
    utilisation: float  # share of all units; NaN of a wait, which has none, and where not sampled
    full: bool
    queued: bool
    before_it: str  # what waited in front of it, in words; "" where nothing is counted there


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """What limits one trial."""

    trial: int
    resource: Resource | None  # None: none is named
    sentence: str  # which and by which two signs, or why none is named
    resources: tuple[Resource, ...]


@functools.lru_cache(maxsize=64)
def bottleneck(run: StoredRun, trial: int) -> Bottleneck:
    """Name the bottleneck of one trial by two signs, or say why none is named.

    The first sign is utilisation, from the CPU counters and the stamps of jobs. The second is a
    queue in front of the resource: before workers, jobs enqueued and not started (their number
    grows, or half of the time as many wait as threads there are); before the ingest, requests begun
    and not answered; before Redis, a probe's round trip at least five times its fastest; before the
    host's cores, time that processes wanted one and had none. A full CPU goes before the host, and
    both before threads, which are held all the longer by a job that waits for a core.
    """
    found = tuple(_resources(run, trial))
    named = [each for each in found if each.full and each.queued and each.kind in _RANK]
    if named:
        worst = min(named, key=lambda each: (_RANK[each.kind], -each.utilisation))
        sentence = (
            f"{worst.name}: {format_percent(worst.utilisation, 0)} used, and {worst.before_it}"
        )
        return Bottleneck(trial=trial, resource=worst, sentence=sentence, resources=found)
    return Bottleneck(trial=trial, resource=None, sentence=_none(found), resources=found)


def demands(run: StoredRun) -> pd.DataFrame:
    """What one job asks of each resource, in each arm of the run, with intervals between trials.

    An arm is one trial, or several that differ in the repetition alone; of one there is no
    interval. The gateway has no units of its own, and no utilisation; the generator is no part of
    the system and comes last.

    Columns: trial (the first of the arm), trials (how many), resource, kind (see
    `perfkit.frames.busy`), units, ms_per_job, low_ms, high_ms, utilisation, bound_per_s (throughput
    at which it would be used up), headroom (by how much throughput could grow until then), note,
    queued (jobs, requests or time before it, in words, in the first trial), bottleneck (it was
    named in each trial of the arm).
    """
    rows = []
    for arm in repetitions(run):
        tables = {trial: busy(run, trial) for trial in arm}
        named = {trial: bottleneck(run, trial) for trial in arm}
        first = tables[arm[0]]
        rows += [_demanded(arm, row, tables, named) for row in first.to_dict("records")]
    columns = ["trial", "trials", "resource", "kind", "units", "ms_per_job", "low_ms", "high_ms"]
    columns += ["utilisation", "bound_per_s", "headroom", "note", "queued", "bottleneck"]
    return pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("trial", "trials"), "int64")
        | dict.fromkeys(("resource", "kind", "note", "queued"), "str")
        | dict.fromkeys(columns[4:11], "float64")
        | {"bottleneck": "bool"}
    )


def _demanded(
    arm: list[int],
    row: Mapping[Hashable, object],
    tables: dict[int, pd.DataFrame],
    named: dict[int, Bottleneck],
) -> tuple[object, ...]:
    name, kind = str(row["resource"]), str(row["kind"])
    mine = [
        table[table["resource"] == name].iloc[0]
        for table in tables.values()
        if (table["resource"] == name).any() and (table["window_ns"] > 0).all()
    ]
    before = next((each.before_it for each in named[arm[0]].resources if each.name == name), "")
    is_named = all(
        each.resource is not None and each.resource.name == name for each in named.values()
    )
    known = [each for each in mine if math.isfinite(each["busy_ns"]) and each["units"] > 0]
    if not known:
        nothing = (math.nan,) * 6
        return (arm[0], len(arm), name, kind, row["units"], *nothing, "not sampled", before, False)
    units = float(np.mean([each["units"] for each in known]))
    (found,) = service_demand(
        [[each["busy_ns"] / 1e6 for each in known]],
        [each["jobs"] for each in known],
        [each["window_ns"] / 1e6 for each in known],
        resources=[name],
        units=units,
    )
    wait = not math.isfinite(units)
    return (
        *(arm[0], len(arm), name, kind, units),
        *(found.demand.point, found.demand.low, found.demand.high),
        *(
            (math.nan,) * 3
            if wait
            else (found.utilisation.point, found.bound * 1e3, found.headroom)
        ),
        "; ".join(found.demand.warnings),
        before,
        is_named,
    )


def _resources(run: StoredRun, trial: int) -> list[Resource]:
    table = busy(run, trial)
    queues = _Queues(run, trial)
    found = []
    for row in table.to_dict("records"):
        window_ns, jobs, units = float(row["window_ns"]), int(row["jobs"]), float(row["units"])
        used = float(row["busy_ns"]) / (window_ns * units) if units > 0 else math.nan
        kind, name = str(row["kind"]), str(row["resource"])
        if kind in ("wait", "generator"):
            queued, words = False, ""
        else:
            queued, words = queues.before(name, kind, str(row["pool"]), units)
        found.append(
            Resource(
                name=name,
                kind=kind,
                units=units,
                ms_per_job=float(row["busy_ns"]) / 1e6 / jobs if jobs else math.nan,
                utilisation=math.nan if math.isinf(units) else used,
                full=math.isfinite(units) and used >= _FULL,
                queued=queued,
                before_it=words,
            )
        )
    return found


class _Queues:
    """What waited in front of each resource of one trial, in its window."""

    def __init__(self, run: StoredRun, trial: int) -> None:
        self._run, self._trial = run, trial
        self._facts = run.facts(trial)

    def before(self, name: str, kind: str, pool: str, units: float) -> tuple[bool, str]:
        """Whether something waited, and how much in words."""
        window = self._facts.instants
        if window.window_end <= window.window_start:
            return False, ""
        if kind == "host":
            return self._cores()
        if name == "ingest CPU":
            return self._requests(units)
        if name == "Redis CPU":
            return self._round_trips()
        return self._jobs(pool)

    def _jobs(self, pool: str) -> tuple[bool, str]:
        if not self._facts.jobs_recorded:
            return False, ""
        mine = [each for each in self._facts.pools if not pool or each.get("name") == pool]
        queues = [str(queue) for each in mine for queue in each.get("queues") or ()]
        parts = [waiting(self._run, self._trial, queue=queue) for queue in queues if pool] or [
            waiting(self._run, self._trial)
        ]
        at_s = parts[0]["at_s"].to_numpy(dtype=np.float64)
        counts = np.sum([part["waiting"].to_numpy(dtype=np.float64) for part in parts], axis=0)
        threads = sum(int(each.get("workers", 0)) * int(each.get("threads", 0)) for each in mine)
        middle = float(np.median(counts))
        if threads and middle >= threads:
            return True, (f"a median of {format_count(middle)} jobs waited for {threads} threads")
        return self._grew(at_s, counts, "jobs that waited for a thread", middle)

    def _requests(self, units: float) -> tuple[bool, str]:
        with session(self._run, self._trial) as sql:
            rows = sql.frame("""
                select coalesce(sent_ns, intended_ns) - blocked_ns as came_ns, done_ns
                from requests
                where sent_ns is not null
            """)
        window = self._facts.instants
        grid = np.linspace(window.window_start, window.window_end, 500).astype(np.int64)
        came = np.sort(rows["came_ns"].to_numpy(dtype=np.int64))
        gone = np.sort(rows["done_ns"].dropna().to_numpy(dtype=np.int64))
        counts = (
            np.searchsorted(came, grid, side="right") - np.searchsorted(gone, grid, side="right")
        ).astype(np.float64)
        middle = float(np.median(counts))
        if middle >= _IN_FLIGHT * units:
            return True, f"a median of {format_count(middle)} requests were with it"
        at_s = (grid - window.load_start) / 1e9
        return self._grew(at_s, counts, "requests that were with it", middle)

    def _grew(
        self, at_s: np.ndarray, counts: np.ndarray, what: str, middle: float
    ) -> tuple[bool, str]:
        due = self._due_per_s()
        if len(counts) >= 20 and due:
            trend = backlog_trend(at_s, counts, level=0.99)
            if trend.low > _GROWTH * due:
                return True, f"the number of {what} grew by {trend.point:.1f}/s"
        return False, f"{what}: a median of {format_count(middle)}"

    def _due_per_s(self) -> float:
        with session(self._run, self._trial) as sql:
            count = sql.rows("select count(*) from job where in_window")[0][0]
        return float(count) / self._facts.instants.window_s

    def _round_trips(self) -> tuple[bool, str]:
        window = self._facts.instants
        span = ((window.window_start, window.window_end),)
        values = gauge(self._run, self._trial, "redis.round_trip", spans=span).values
        if len(values) < 20:
            return False, ""
        middle, fastest = float(np.median(values)), float(np.min(values))
        words = f"a probe's median round trip was {format_duration(middle)}"
        if middle >= _SLOWER * fastest > 0:
            return True, f"{words}, against {format_duration(fastest)} at its fastest"
        return False, words

    def _cores(self) -> tuple[bool, str]:
        shares = resources(self._run, self._trial)["run_queue_wait_share"].dropna()
        if not len(shares):
            return False, ""
        total = float(shares.sum())
        return total >= _WAITED, f"on average {total:.2f} of the threads wanted a core and had none"


def _none(found: tuple[Resource, ...]) -> str:
    """Why no bottleneck is named."""
    known = [each for each in found if each.kind in _RANK and not math.isnan(each.utilisation)]
    if not known:
        return "no bottleneck named: no resource was sampled"
    top = max(known, key=lambda each: each.utilisation)
    used = f"the fullest resource is {top.name}, {format_percent(top.utilisation, 0)} used"
    if top.full:
        return f"no bottleneck named: {used}, but nothing piles up before it ({top.before_it})"
    queued = [each.name for each in known if each.queued]
    wait = f", although something waits before {', '.join(queued)}" if queued else ""
    return f"no bottleneck named: {used}, less than {format_percent(_FULL, 0)}{wait}"
