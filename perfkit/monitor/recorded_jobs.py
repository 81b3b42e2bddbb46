"""The jobs of a trial by time: rates, durations and troubles of any moment, by binary search."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from perfkit.monitor.snapshot import ErrorCount, SlowJob
from perfkit.stats.order import quantile_of_sorted

__all__ = ["RecordedJobs"]

_RATE_NS: Final = 5_000_000_000
_SPAN_NS: Final = 60_000_000_000
_SLOW_NS: Final = 300_000_000_000
_SLOW: Final = 20
_MOST: Final = 4_000  # durations that quantiles are made of
_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_WHAT: Final = {"waits_s": "wait", "runs_s": "run", "latencies_s": "latency"}
Numbers = npt.NDArray[np.int64]


class _OfQueue:
    """Sorted instants of one queue, and the durations of its attempts by when they ended."""

    def __init__(self, table: pa.Table) -> None:
        self.came = _stamps(table, "enqueued_ns")
        self.left = _stamps(table, "acked_ns")
        ended = table.filter(pc.is_valid(table["finished_ns"]))
        finished = _numbers(ended, "finished_ns")
        order = np.argsort(finished, kind="stable")
        self.finished = finished[order]
        enqueued, started = (_numbers(ended, name)[order] for name in ("enqueued_ns", "started_ns"))
        self.known = (enqueued > 0) & (started > 0)
        self.durations = {
            "wait": (started - enqueued) / 1e9,
            "run": (self.finished - started) / 1e9,
            "latency": (self.finished - enqueued) / 1e9,
        }
        outcome = ended["outcome"].cast(pa.string())
        is_failed = np.asarray(pc.is_in(outcome, pa.array(["failed", "dead"])))[order]
        self.failed = self.finished[is_failed]
        self.done = self.finished[~is_failed]

    def quantile_values(self, what: str, now_ns: int) -> npt.NDArray[np.float64]:
        """Durations of the last minute, sorted; of very many an even part."""
        low, high = np.searchsorted(self.finished, [now_ns - _SPAN_NS, now_ns], side="right")
        values = self.durations[what][low:high][self.known[low:high]]
        return np.sort(values[:: max(1, values.size // _MOST)])


class RecordedJobs:
    """The table ``jobs`` of one trial."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        names = table["queue"].cast(pa.string())
        self.queues = sorted(each for each in pc.unique(names).to_pylist() if each)
        self._of = {name: _OfQueue(table.filter(pc.equal(names, name))) for name in self.queues}
        self._workers = self._spans()
        ended = table.filter(pc.is_valid(table["finished_ns"]))
        self._ended = ended.take(pc.sort_indices(ended["finished_ns"]))
        self._ends = _numbers(self._ended, "finished_ns")

    def figures(self, queue: str, now_ns: int) -> dict[str, Any]:
        """What `Queue` has of rates, durations and counts."""
        of = self._of.get(queue)
        if of is None:
            return {}
        found: dict[str, Any] = {
            "rate_in": _rate(of.came, now_ns),
            "rate_out": _rate(of.left, now_ns),
            "errors_rate": _rate(of.failed, now_ns),
            "enqueued": _until(of.came, now_ns),
            "done": _until(of.done, now_ns),
            "failed": _until(of.failed, now_ns),
        }
        for what in ("latency", "wait", "run"):
            values = of.quantile_values(what, now_ns)
            for name, share in _SHARES.items():
                found[f"{what}_{name}_s"] = (
                    quantile_of_sorted(values, share) if values.size else None
                )
        return found

    def quantile(self, now_ns: int, queue: str | None, what: str, share: float) -> float | None:
        """Of the last minute, of one queue or of all."""
        parts = [self._of[name] for name in self.queues if queue in (None, name)]
        found = [each.quantile_values(_WHAT[what], now_ns) for each in parts]
        values = np.sort(np.concatenate(found)) if found else np.empty(0)
        return quantile_of_sorted(values, share) if values.size else None

    def held_by(self, worker: str, now_ns: int) -> int:
        """Jobs it had fetched and not acknowledged."""
        spans = self._workers.get(worker)
        if spans is None:
            return 0
        return _until(spans[0], now_ns) - _until(spans[1], now_ns)

    def troubles(
        self, now_ns: int, wall_offset_ns: int
    ) -> tuple[tuple[ErrorCount, ...], tuple[SlowJob, ...]]:
        """Errors by type so far, and the slowest attempts of the last minutes."""
        low, high = np.searchsorted(self._ends, [now_ns - _SLOW_NS, now_ns], side="right")
        return (
            self._errors(self._ended.slice(0, int(high)), wall_offset_ns),
            self._slow(self._ended.slice(int(low), int(high - low)), wall_offset_ns),
        )

    def _errors(self, ended: pa.Table, wall_offset_ns: int) -> tuple[ErrorCount, ...]:
        raised = ended.filter(pc.is_valid(ended["error"]))
        plain = pa.table(
            {name: raised[name].cast(pa.string()) for name in ("queue", "actor", "error")}
            | {"at": raised["finished_ns"]}
        )
        counted = plain.group_by(["queue", "actor", "error"]).aggregate(
            [("at", "count"), ("at", "max")]
        )
        rows = sorted(counted.to_pylist(), key=lambda row: -row["at_max"])
        return tuple(
            ErrorCount(
                queue=row["queue"],
                actor=row["actor"],
                type=row["error"],
                count=row["at_count"],
                last_s=(row["at_max"] + wall_offset_ns) / 1e9,
            )
            for row in rows
        )

    def _slow(self, ended: pa.Table, wall_offset_ns: int) -> tuple[SlowJob, ...]:
        finished, started, enqueued = (
            _numbers(ended, name) for name in ("finished_ns", "started_ns", "enqueued_ns")
        )
        latency = np.where((enqueued > 0) & (started > 0), finished - enqueued, -1)
        slowest = np.argsort(-latency, kind="stable")[:_SLOW]
        rows = ended.take(pa.array(slowest[latency[slowest] >= 0])).to_pylist()
        return tuple(
            SlowJob(
                id=row["job_id"],
                queue=row["queue"],
                actor=row["actor"],
                latency_s=(row["finished_ns"] - row["enqueued_ns"]) / 1e9,
                wait_s=(row["started_ns"] - row["enqueued_ns"]) / 1e9,
                run_s=(row["finished_ns"] - row["started_ns"]) / 1e9,
                outcome=row["outcome"],
                at_s=(row["finished_ns"] + wall_offset_ns) / 1e9,
            )
            for row in rows
        )

    def _spans(self) -> dict[str, tuple[Numbers, Numbers]]:
        """By worker: when it took jobs, and when it gave them out of its hands."""
        fetched = self._table.filter(pc.is_valid(self._table["fetched_ns"]))
        names = fetched["worker"].cast(pa.string())
        over = pc.coalesce(fetched["acked_ns"], fetched["requeued_ns"])
        fetched = fetched.append_column("over_ns", over)
        return {
            name: (_stamps(part, "fetched_ns"), _stamps(part, "over_ns"))
            for name in pc.unique(names).to_pylist()
            if name
            for part in [fetched.filter(pc.equal(names, name))]
        }


def _numbers(table: pa.Table, name: str) -> Numbers:
    return np.asarray(pc.fill_null(table[name], 0), dtype=np.int64)


def _stamps(table: pa.Table, name: str) -> Numbers:
    """Those that are known, sorted."""
    values = np.sort(_numbers(table, name))
    return values[values > 0]


def _until(stamps: Numbers, now_ns: int) -> int:
    return int(np.searchsorted(stamps, now_ns, side="right"))


def _rate(stamps: Numbers, now_ns: int) -> float:
    low, high = np.searchsorted(stamps, [now_ns - _RATE_NS, now_ns], side="right")
    return float(high - low) * 1e9 / _RATE_NS
