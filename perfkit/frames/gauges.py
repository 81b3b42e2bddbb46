"""Telemetry as series that mean one thing: what thresholds judge and people read.

Readings of one tick carry stamps of their own, because probes take turns; they are brought
together by the tick they were taken in (`sampler.lag_ns` is its first reading).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from perfkit.frames.phasing import Spans, within
from perfkit.frames.session import Session, session
from perfkit.store import StoredRun, TrialFacts

__all__ = ["Gauge", "gauge"]

# Metric of a threshold -> what is stored of it.
_QUEUES: Final = {
    "queue.waiting": ("queue.waiting",),
    "queue.delayed": ("queue.delayed",),
    "queue.dead": ("queue.dead",),
    "queue.stalled": ("queue.stalled",),
    "queue.backlog": ("queue.waiting", "queue.in_flight", "queue.delayed"),
}
_MEMORY: Final = "redis.memory_bytes"
_LIMIT: Final = "redis.memory_limit_bytes"
_CPU: Final = "process.cpu_ns"
_ROLES: Final = {
    "workers.cpu": "worker",
    "ingest.cpu": "ingest",
    "redis.cpu": "redis",
    "generator.cpu": "generator",
}


class Gauge(NamedTuple):
    """Values over time, and what is to be said of them.

    ``weights`` are all 1 but for shares of CPU time: there they are the process-time of the
    interval, so that the weighted mean is total CPU by total process-time.
    """

    at_s: np.ndarray  # shape (n,), float64
    values: np.ndarray  # shape (n,), float64
    weights: np.ndarray  # shape (n,), float64
    note: str


def gauge(
    run: StoredRun, trial: int, metric: str, *, queue: str | None = None, spans: Spans
) -> Gauge:
    """A telemetry metric of `perfkit.scenario.TELEMETRY` over stretches of time.

    Counts, bytes and ages are in their units, durations in ns, CPU a share of one core (of all
    cores for the host). Of all queues together counts are added up and the age is that of the
    oldest. Of several Redis servers memory and clients are added up, and the used ratio is that of
    the fullest. ``redis.evicted`` is its growth since the beginning of the time.

    Raises:
        ValueError: no such metric.
    """
    if metric not in _MAKERS:
        raise ValueError(f"{metric!r} is no telemetry metric; known are {', '.join(_MAKERS)}")
    facts = run.facts(trial)
    with session(run, trial) as sql:
        return _MAKERS[metric](_Source(run, facts, sql, metric, queue, spans))


class _Source(NamedTuple):
    run: StoredRun
    facts: TrialFacts
    sql: Session
    metric: str
    queue: str | None
    spans: Spans

    def readings(self, *stored: str, subject: str | None = None) -> pd.DataFrame:
        """Readings in the time: tick, span (its index), at_ns, metric, subject, value."""
        names = ", ".join(f"'{name}'" for name in stored)
        spans = " ".join(
            f"when at_ns >= {begin} and at_ns < {end} then {index}"
            for index, (begin, end) in enumerate(self.spans)
        )
        if not spans:
            spans = "when false then 0"
        return self.sql.frame(
            f"""
            with ticks as (select at_ns as tick from samples where metric = 'sampler.lag_ns'),
            chosen as (
                select at_ns, metric, subject, value, case {spans} end as span from samples
                where metric in ({names}) and ($1 is null or subject = $1)
                  and {within("at_ns", self.spans)}
            )
            select coalesce(tick, at_ns) as tick, span, at_ns, metric, subject, value
            from chosen asof left join ticks on chosen.at_ns >= ticks.tick
            order by at_ns, metric, subject
            """,
            [subject],
        )

    def made(self, by_tick: pd.Series, note: str = "") -> Gauge:
        at_s = (by_tick.index.to_numpy(dtype=np.float64) - self.facts.instants.load_start) / 1e9
        return Gauge(at_s, by_tick.to_numpy(dtype=np.float64), np.ones(len(by_tick)), note)


def _whole(readings: pd.DataFrame) -> pd.Series:
    """Sum per tick over metrics and subjects; ticks in which one is missing say too little."""
    if readings.empty:
        return pd.Series(dtype="float64")
    table = readings.pivot_table(
        index="tick", columns=["metric", "subject"], values="value", aggfunc="last", observed=True
    )
    return table.dropna().sum(axis=1)


def _counted(source: _Source) -> Gauge:
    return source.made(_whole(source.readings(*_QUEUES[source.metric], subject=source.queue)))


def _age(source: _Source) -> Gauge:
    readings = source.readings("queue.oldest_age_ns", subject=source.queue)
    return source.made(readings.groupby("tick")["value"].max())


def _redis(stored: str) -> Callable[[_Source], Gauge]:
    def make(source: _Source) -> Gauge:
        return source.made(_whole(source.readings(stored, subject=source.queue)))

    return make


def _round_trip(source: _Source) -> Gauge:
    readings = source.readings("redis.round_trip_ns", subject=source.queue)
    return source.made(readings.set_index("at_ns")["value"])


def _evicted(source: _Source) -> Gauge:
    """Growth since the first reading of the time; a server that was restarted begins anew."""
    readings = source.readings("redis.evicted", subject=source.queue)
    steps = readings.groupby(["subject", "span"], observed=True)["value"].diff().fillna(0.0)
    readings["value"] = steps.where(steps >= 0, readings["value"])
    return source.made(readings.groupby("tick")["value"].sum().cumsum())


def _used_ratio(source: _Source) -> Gauge:
    readings = source.readings(_MEMORY, _LIMIT, subject=source.queue)
    if readings.empty:
        return source.made(pd.Series(dtype="float64"))
    table = readings.pivot_table(
        index=["tick", "subject"], columns="metric", values="value", aggfunc="last", observed=True
    )
    memory = table[_MEMORY].dropna()
    limit = table[_LIMIT].reindex(memory.index) if _LIMIT in table else memory * math.nan
    if (limit > 0).all():
        return source.made((memory / limit).groupby("tick").max(), "of Redis' maxmemory")
    host = source.run.manifest.get("host", {})
    machine = float(host.get("memory_total_bytes") or host.get("memory_bytes") or math.nan)
    if math.isnan(machine):
        return source.made(
            pd.Series(dtype="float64"), "Redis has no maxmemory, and the machine's is not known"
        )
    used = memory.groupby("tick").sum() / machine
    return source.made(used, "of the machine's memory: Redis has no maxmemory")


def _cpu(source: _Source) -> Gauge:
    """CPU by wall time of each interval between two ticks, over the processes of a role.

    Of several load shards it is that of the busiest.

    A process that was not read in the tick before (it had ended, or was not yet there) has no
    interval: the time it was away is nobody's process-time.
    """
    role = _ROLES[source.metric]
    readings = source.readings(_CPU)
    mine = {name for name in readings["subject"].unique() if source.facts.role(str(name)) == role}
    # Ticks of all processes: one of them may be away.
    place = {tick: number for number, tick in enumerate(readings["tick"].unique())}
    readings = readings[readings["subject"].isin(mine)]
    if readings.empty and role == "redis":
        # A server that perfkit did not start is known by what it says of itself.
        readings = source.readings("redis.cpu_ns", subject=source.queue)
        place = {tick: number for number, tick in enumerate(readings["tick"].unique())}
    readings = readings.assign(place=readings["tick"].map(place))
    # A load shard at its limit is late, however idle the others are.
    return _shares(source, readings, busiest=role == "generator")


def _host_cpu(source: _Source) -> Gauge:
    readings = source.readings("host.cpu_busy_ns")
    cpus = float(source.run.manifest.get("host", {}).get("cpus") or math.nan)
    readings["value"] /= cpus
    return _shares(source, readings.assign(place=range(len(readings))))


def _shares(source: _Source, readings: pd.DataFrame, *, busiest: bool = False) -> Gauge:
    """Used by lasted of each tick, over all subjects, or of the ``busiest`` alone."""
    readings = readings.sort_values(["subject", "at_ns"], kind="stable")
    steps = readings.groupby(["subject", "span"], observed=True)[["at_ns", "value", "place"]].diff()
    # A counter that went back belongs to another process: its new value is what it used.
    used = steps["value"].where(steps["value"] >= 0, readings["value"])
    # Two readings may carry the same stamp where a reader retried.
    good = (steps["place"] == 1) & (steps["at_ns"] > 0)
    intervals = pd.DataFrame(
        {"tick": readings["tick"], "used": used, "lasted": steps["at_ns"].astype("float64")}
    )[good]
    if busiest:
        order = (intervals["used"] / intervals["lasted"]).sort_values(kind="stable").index
        intervals = intervals.loc[order].drop_duplicates("tick", keep="last").sort_index()
    sums = intervals.groupby("tick")[["used", "lasted"]].sum()
    found = source.made(sums["used"] / sums["lasted"])
    return found._replace(weights=sums["lasted"].to_numpy(dtype=np.float64))


def _worker_memory(source: _Source) -> Gauge:
    readings = source.readings("process.rss_anon_bytes")
    roles = readings["subject"].map(lambda name: source.facts.role(str(name)))
    return source.made(readings[roles == "worker"].groupby("tick")["value"].sum())


_MAKERS: Final[dict[str, Callable[[_Source], Gauge]]] = {
    **dict.fromkeys(_QUEUES, _counted),
    **dict.fromkeys(_ROLES, _cpu),
    "queue.age": _age,
    "redis.memory": _redis(_MEMORY),
    "redis.memory.used_ratio": _used_ratio,
    "redis.clients": _redis("redis.clients"),
    "redis.evicted": _evicted,
    "redis.round_trip": _round_trip,
    "host.cpu": _host_cpu,
    "workers.memory": _worker_memory,
}
