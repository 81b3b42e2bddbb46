"""A sealed run shown again: the same snapshots, made of its tables at any moment of a trial.

Rates are over five seconds and durations over a minute, as live. What only a living system tells
(heartbeats, who holds what) is not known of it; who was alive is, from the records of the workers.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from perfkit.errors import UsageError
from perfkit.monitor.history import HISTORY_VERSION, values_of
from perfkit.monitor.recorded_jobs import RecordedJobs
from perfkit.monitor.snapshot import (
    Load,
    Queue,
    Redis,
    Replay,
    Snapshot,
    Source,
    ThresholdState,
    Totals,
    Worker,
)
from perfkit.monitor.thresholds import ThresholdWatch
from perfkit.monitor.timeline import STAMPS
from perfkit.store import open_run

__all__ = ["ReplayFeed"]

_SPAN_NS: Final = 5_000_000_000
_SECOND_NS: Final = 1_000_000_000
_COUNTS: Final = ("waiting", "in_flight", "delayed", "dead", "stalled")
Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class ReplayFeed:
    """One trial of a sealed run; ``snapshot`` is its last moment.

    Raises:
        NotARun, RunNotSealed: as `perfkit.store.open_run`.
        UsageError: no such trial.
    """

    def __init__(self, run_dir: Path, trial: int | None = None) -> None:
        run = open_run(run_dir)
        if not run.trials:
            raise UsageError(f"{run_dir} has no trial with data", "`perfkit show` tells why")
        self.trial = run.trials[0] if trial is None else trial
        self._facts = run.facts(self.trial)
        raw = run.trial_facts(self.trial)
        self.epoch = secrets.token_hex(4)
        self._subject = f"run {run.manifest['run_id']}, {self._facts.label}"
        anchor = raw["anchor"]
        self._wall_offset_ns = int(anchor["wall_ns"]) - int(anchor["mono_ns"])
        instants = self._facts.instants
        self._instants = instants
        self._start_ns = int(instants.load_start)
        self._jobs_table = run.table("jobs", self.trial)
        self._jobs = RecordedJobs(self._jobs_table)
        requests = run.table("requests", self.trial)
        self._intended = _sorted(requests, "intended_ns")
        sent, planned = _numbers(requests, "sent_ns"), _numbers(requests, "intended_ns")
        lag = np.where(sent > 0, sent - planned - _numbers(requests, "blocked_ns"), 0)
        order = np.argsort(sent, kind="stable")
        order = order[sent[order] > 0]
        self._sent, self._lag_s = sent[order], np.maximum(lag[order], 0) / 1e9
        self._samples = _series(run.table("samples", self.trial))
        self._thresholds = _thresholds(raw)
        ends = [int(instants.drain_end), self._start_ns + _SECOND_NS]
        self.length_s = (max(ends) - self._start_ns) / 1e9

    @property
    def snapshot(self) -> Snapshot:
        """The last moment."""
        return self.at(self.length_s)

    @property
    def silent_s(self) -> None:
        """Nothing comes by itself."""
        return

    @property
    def recording(self) -> ReplayFeed:
        """Itself."""
        return self

    def after(self, seq: int) -> None:
        """Nothing comes by itself."""
        return

    def history(self, span_s: float, points: int) -> dict[str, Any]:
        """Of the whole trial, or its end."""
        return self.before(self.length_s, points, span_s)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Nothing comes by itself."""
        return lambda: None

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """Any job of the trial."""
        rows = self._jobs_table.filter(pc.equal(self._jobs_table["job_id"], job_id)).to_pylist()
        if not rows:
            return None
        rows.sort(key=lambda row: row["enqueued_ns"] or row["fetched_ns"] or 0)
        kept = ("attempt", "delivery", "worker", *STAMPS, "outcome", "error")
        return {
            "id": job_id,
            "queue": rows[0]["queue"],
            "actor": rows[0]["actor"],
            "clock": {"mono_ns": 0, "wall_ns": self._wall_offset_ns},
            "attempts": [{name: row[name] for name in kept} for row in rows],
        }

    def before(
        self, position_s: float, points: int = 600, span_s: float = float("inf")
    ) -> dict[str, Any]:
        """The history up to a moment."""
        begin_s = max(0.0, position_s - span_s)
        count = max(2, min(points, int(position_s - begin_s) + 1))
        moments = [self._moment(float(at)) for at in np.linspace(begin_s, position_s, count)]
        values = [values_of(each) for each in moments]
        names = sorted({name for each in values for name in each})
        return {
            "version": HISTORY_VERSION,
            "at_s": [round(each.at_s, 3) for each in moments],
            "series": {
                name: [float(f"{each[name]:.5g}") if name in each else None for each in values]
                for name in names
            },
        }

    def at(self, position_s: float, *, speed: float = 1.0, playing: bool = False) -> Snapshot:
        """One moment, its targets judged over the minute before."""
        position_s = min(self.length_s, max(0.0, position_s))
        now = self._moment(position_s)
        states: tuple[ThresholdState, ...] = ()
        if self._thresholds:
            watch = ThresholdWatch(self._thresholds)
            now_ns = self._start_ns + round(position_s * 1e9)
            durations = functools.partial(self._jobs.quantile, now_ns)
            for at_s in np.arange(max(0.0, position_s - 60), position_s, 2.0):
                watch.states(self._moment(float(at_s)), None)
            states = watch.states(now, durations)
        shown = Replay(position_s=position_s, length_s=self.length_s, speed=speed, playing=playing)
        errors, slow = self._jobs.troubles(
            self._start_ns + round(position_s * 1e9), self._wall_offset_ns
        )
        return dataclasses.replace(
            now, replay=shown, thresholds=states, errors=errors, slow_jobs=slow
        )

    def _moment(self, position_s: float) -> Snapshot:
        """Counts, rates and durations of one moment."""
        now_ns = self._start_ns + round(position_s * 1e9)
        queues = tuple(self._queue(name, now_ns) for name in self._names)
        workers = tuple(self._workers(now_ns))
        sums: dict[str, Any] = {}
        for name in _COUNTS:
            known = [getattr(each, name) for each in queues if getattr(each, name) is not None]
            sums[name] = sum(known) if known else None
        ages = [each.oldest_age_s for each in queues if each.oldest_age_s is not None]
        alive = sum(each.alive for each in workers)
        redis = self._redis(now_ns)
        recorded = [
            *(["redis"] if redis is not None else []),
            *(["recorder"] if self._jobs.queues else []),
            "load",
            *(["processes"] if workers else []),
        ]
        fine = Source(ok=True, detail="recorded", since_s=0.0)
        return Snapshot(
            seq=int(position_s * 1000),
            at_s=(now_ns + self._wall_offset_ns) / 1e9,
            mode="replay",
            subject=self._subject,
            sources=dict.fromkeys(recorded, fine),
            totals=Totals(
                **sums,
                oldest_age_s=max(ages) if ages else None,
                rate_in=sum(each.rate_in or 0.0 for each in queues),
                rate_out=sum(each.rate_out or 0.0 for each in queues),
                rates_from="recorder",
                queues=len(queues),
                workers=len(workers),
                workers_alive=alive,
                workers_lost=sum(each.lost for each in workers),
            ),
            queues=queues,
            workers=workers,
            redis=redis,
            load=self._load(now_ns),
        )

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        sampled = {subject for metric, subject in self._samples if metric == "queue.waiting"}
        return tuple(sorted(sampled | set(self._jobs.queues)))

    def _queue(self, name: str, now_ns: int) -> Queue:
        age_ns = self._value("queue.oldest_age_ns", name, now_ns)
        counts: dict[str, Any] = {}
        for part in _COUNTS:
            value = self._value(f"queue.{part}", name, now_ns)
            counts[part] = None if value is None else int(value)
        return Queue(
            name=name,
            **counts,
            oldest_age_s=None if age_ns is None else age_ns / 1e9,
            **self._jobs.figures(name, now_ns),
        )

    def _workers(self, now_ns: int) -> list[Worker]:
        found = []
        lives = {life.name: life for life in self._facts.worker_lives}
        died_ns = {death.name: death.at_ns for death in self._facts.deaths}
        for name, role in self._facts.roles.items():
            life = lives.get(name)
            if role != "worker" or (life is not None and now_ns < life.started_ns):
                continue
            death_ns = died_ns.get(name)
            if life is not None and death_ns is not None and death_ns < life.started_ns:
                death_ns = None  # of the one that had the name before
            ended_ns = death_ns or (life.ended_ns if life is not None else None)
            alive = ended_ns is None or now_ns < ended_ns
            was_told = life is not None and life.stop_ns is not None and death_ns is None
            rss = self._value("process.rss_anon_bytes", name, now_ns)
            found.append(
                Worker(
                    name=name,
                    broker_id="",
                    role="worker",
                    alive=alive,
                    lost=not alive and not was_told,
                    in_flight=self._jobs.held_by(name, now_ns),
                    cpu=_scaled(self._rate("process.cpu_ns", name, now_ns), 1e-9),
                    rss_bytes=None if rss is None else int(rss),
                )
            )
        return found

    def _redis(self, now_ns: int) -> Redis | None:
        """The first server; None of a run that has none, such as that of a bare HTTP target."""
        servers = sorted({subject for metric, subject in self._samples if metric == "redis.up"})
        if not servers:
            return None
        name = servers[0]

        def value(metric: str) -> float | None:
            return self._value(f"redis.{metric}", name, now_ns)

        def whole(metric: str) -> int | None:
            found = value(metric)
            return None if found is None else int(found)

        return Redis(
            name=name,
            ops=value("ops_per_s"),
            memory_used_bytes=whole("memory_bytes"),
            memory_max_bytes=whole("memory_limit_bytes") or None,
            clients=whole("clients"),
            cpu=_scaled(self._rate("redis.cpu_ns", name, now_ns), 1e-9),
            round_trip_s=_scaled(value("round_trip_ns"), 1e-9),
            evicted=whole("evicted"),
            expired=whole("expired"),
            rejected_connections=whole("rejected_connections"),
            fragmentation=value("fragmentation"),
            uptime_s=value("uptime_s"),
            slow_commands=whole("slow_commands"),
        )

    def _load(self, now_ns: int) -> Load:
        instants = self._instants
        low, high = np.searchsorted(self._sent, [now_ns - _SPAN_NS, now_ns])
        due = np.searchsorted(self._intended, [now_ns - _SPAN_NS, now_ns])
        lags = self._lag_s[low:high]
        if now_ns < instants.window_start:
            phase = "warm-up"
        else:
            phase = "measure" if now_ns < instants.load_end else "drain"
        span_s = _SPAN_NS / 1e9
        return Load(
            phase=phase,
            offered=float(due[1] - due[0]) / span_s,
            achieved=float(high - low) / span_s,
            lag_p99_s=float(np.quantile(lags, 0.99)) if lags.size else None,
            sent=int(high),
            elapsed_s=(now_ns - self._start_ns) / 1e9,
            left_s=max(0.0, (int(instants.load_end) - now_ns) / 1e9),
        )

    def _value(self, metric: str, subject: str, now_ns: int) -> float | None:
        """The last reading of at most three seconds ago."""
        series = self._samples.get((metric, subject))
        if series is None:
            return None
        place = int(np.searchsorted(series[0], now_ns, side="right")) - 1
        if place < 0 or now_ns - int(series[0][place]) > 3 * _SECOND_NS:
            return None
        return float(series[1][place])

    def _rate(self, metric: str, subject: str, now_ns: int) -> float | None:
        """Growth per second over the last two seconds."""
        series = self._samples.get((metric, subject))
        if series is None:
            return None
        first, last = np.searchsorted(series[0], [now_ns - 2 * _SECOND_NS, now_ns], side="right")
        first, last = max(0, int(first) - 1), int(last) - 1
        if last <= first or now_ns - int(series[0][last]) > 3 * _SECOND_NS:
            return None
        grown = float(series[1][last] - series[1][first])
        return max(0.0, grown * 1e9 / float(series[0][last] - series[0][first]))


def _series(samples: pa.Table) -> dict[tuple[str, str], tuple[Numbers, Values]]:
    """Times and values by metric and subject, in the order of time."""
    metrics = samples["metric"].combine_chunks()
    subjects = samples["subject"].combine_chunks()
    times = np.asarray(samples["at_ns"])
    values = np.asarray(samples["value"])
    metric_at, subject_at = _codes(metrics), _codes(subjects)
    names, places = metrics.dictionary.to_pylist(), subjects.dictionary.to_pylist()
    keys = metric_at * max(1, len(places)) + subject_at
    order = np.lexsort((times, keys))
    found = {}
    for part in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        if part.size:
            key = names[metric_at[part[0]]], places[subject_at[part[0]]]
            found[key] = times[part], values[part]
    return found


def _codes(column: Any) -> Numbers:
    return np.asarray(column.indices, dtype=np.int64)


def _numbers(table: pa.Table, name: str) -> Numbers:
    """A column, 0 for null."""
    return np.asarray(pc.fill_null(table[name], 0), dtype=np.int64)


def _sorted(table: pa.Table, name: str) -> Numbers:
    values = np.sort(_numbers(table, name))
    return values[values > 0]


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def _thresholds(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    written = (facts.get("document") or {}).get("threshold") or []
    if not written:
        return ()
    from perfkit.scenario import Threshold

    return tuple(Threshold(**each) for each in written)
