"""Targets as they stand now: over the last minute, where a report judges a whole window.

What can't be seen live is "unsure", never "pass". Latency counts from the enqueue here: the
instant at which a request was meant to be sent is known to the report alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from perfkit.monitor.snapshot import Queue, Snapshot, ThresholdState
from perfkit.stats.order import quantile_of_sorted

if TYPE_CHECKING:
    from perfkit.scenario import Threshold

__all__ = ["Durations", "ThresholdWatch", "parse_threshold"]

Durations = Callable[[str | None, str, float], float | None]
"""Queue (None: all), what (waits_s, runs_s, latencies_s), share of one -> seconds."""

_SPAN_S: Final = 60.0
_DURATIONS: Final = {
    "latency": "latencies_s",
    "response": "latencies_s",
    "queue_wait": "waits_s",
    "service": "runs_s",
}
_QUEUE: Final[dict[str, Callable[[Queue], float | None]]] = {
    "queue.waiting": lambda each: each.waiting,
    "queue.delayed": lambda each: each.delayed,
    "queue.dead": lambda each: each.dead,
    "queue.stalled": lambda each: each.stalled,
    "queue.age": lambda each: each.oldest_age_s,
    "queue.backlog": lambda each: _backlog(each),
}


def parse_threshold(text: str) -> Threshold:
    """``METRIC[:QUEUE] EXPR`` as in "queue.age:payments max<30s".

    Raises:
        UsageError: it can't be read.
    """
    from pydantic import ValidationError

    from perfkit.errors import UsageError
    from perfkit.scenario import Threshold

    metric, _, expr = text.strip().partition(" ")
    metric, _, queue = metric.partition(":")
    try:
        return Threshold(metric=metric, expr=expr.strip(), queue=queue or None)
    except (ValidationError, ValueError) as error:
        words = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UsageError(
            f"{text!r} is no threshold: {words}",
            "write METRIC[:QUEUE] EXPR, such as --threshold 'queue.age:payments max<30s'",
        ) from None


class ThresholdWatch:
    """Judges successive snapshots."""

    def __init__(self, thresholds: Iterable[Threshold]) -> None:
        # The same target twice, as of a run and of who watches it, is one.
        targets = {str(each): each for each in thresholds}.values()
        self._watched = [_Watched(each) for each in targets]

    def states(self, snapshot: Snapshot, durations: Durations | None) -> tuple[ThresholdState, ...]:
        """How each stands; ``durations`` where jobs are recorded."""
        return tuple(each.state(snapshot, durations) for each in self._watched)


class _Watched:
    def __init__(self, threshold: Threshold) -> None:
        from perfkit.scenario import unit_of

        self._threshold = threshold
        self._unit = unit_of(threshold.metric)
        self._scale = 1e9 if self._unit == "duration" else 1.0
        self._values: deque[tuple[float, float]] = deque()
        self._first: float | None = None  # of a counter

    def state(self, snapshot: Snapshot, durations: Durations | None) -> ThresholdState:
        threshold, parsed = self._threshold, self._threshold.parsed
        observed = self._observed(snapshot, durations)
        state = "unsure"
        note = self._unfit(snapshot)
        if not note and observed is not None and math.isfinite(observed):
            state = "pass" if parsed.holds(observed * self._scale) else "fail"
        return ThresholdState(
            name=str(threshold),
            metric=threshold.metric,
            expr=threshold.expr,
            queue=threshold.queue,
            observed=observed,
            unit=self._unit,
            limit=(parsed.limit if parsed.high is None else parsed.high) / self._scale,
            state=state,  # type: ignore[arg-type]
            note=note,
        )

    def _unfit(self, snapshot: Snapshot) -> str:
        """Why it is not judged now, as a report would not judge it; "" where it is."""
        needed, load = self._threshold.needs_offered_per_s, snapshot.load
        offered = 0.0 if load is None else load.offered or 0.0
        if needed is not None and offered <= needed:
            return f"not at this load (needs more than {needed:g}/s)"
        redis = snapshot.redis
        if self._threshold.metric == "redis.memory.used_ratio" and redis is not None:
            known = redis.memory_used_bytes is not None and redis.memory_max_bytes is None
            return "Redis has no limit of memory" if known else ""
        return ""

    def _observed(self, snapshot: Snapshot, durations: Durations | None) -> float | None:
        threshold, parsed = self._threshold, self._threshold.parsed
        if threshold.request is not None:
            return None
        if (what := _DURATIONS.get(threshold.metric)) is not None:
            share = {"p": (parsed.percentile or 0) / 100, "med": 0.5, "min": 0.0, "max": 1.0}.get(
                parsed.aggregate
            )
            return (
                None
                if durations is None or share is None
                else durations(threshold.queue, what, share)
            )
        value = self._value(snapshot)
        if value is not None:
            self._values.append((snapshot.at_s, value))
        while self._values and self._values[0][0] < snapshot.at_s - _SPAN_S:
            self._values.popleft()
        return self._folded(value)

    def _folded(self, value: float | None) -> float | None:
        parsed = self._threshold.parsed
        ordered = sorted(each for _, each in self._values)
        if not ordered:
            return None
        match parsed.aggregate:
            case "p":
                return quantile_of_sorted(ordered, (parsed.percentile or 0.0) / 100)
            case "med":
                return quantile_of_sorted(ordered, 0.5)
            case "min":
                return ordered[0]
            case "max":
                return ordered[-1]
            case "avg":
                return sum(ordered) / len(ordered)
            case _:
                return value

    def _value(self, snapshot: Snapshot) -> float | None:
        """Of this moment."""
        metric, queue = self._threshold.metric, self._threshold.queue
        if metric in _QUEUE:
            return _of_queues(snapshot, queue, _QUEUE[metric], worst=metric == "queue.age")
        redis, load = snapshot.redis, snapshot.load
        match metric:
            case "throughput":
                return _of_queues(snapshot, queue, lambda each: each.rate_out, worst=False)
            case "errors":
                return _error_share(snapshot, queue)
            case "dropped":
                return None if load is None or load.dropped is None else float(load.dropped)
            case "workers.cpu":
                known = [each.cpu for each in snapshot.workers if each.cpu is not None]
                return sum(known) / len(known) if known else None
            case "workers.memory":
                sizes = [each.rss_bytes for each in snapshot.workers if each.rss_bytes is not None]
                return float(sum(sizes)) if sizes else None
        if redis is None:
            return None
        match metric:
            case "redis.memory":
                return redis.memory_used_bytes
            case "redis.memory.used_ratio" if redis.memory_used_bytes and redis.memory_max_bytes:
                return redis.memory_used_bytes / redis.memory_max_bytes
            case "redis.clients":
                return redis.clients
            case "redis.round_trip":
                return redis.round_trip_s
            case "redis.cpu":
                return redis.cpu
            case "redis.evicted" if redis.evicted is not None:
                self._first = redis.evicted if self._first is None else self._first
                return max(0.0, redis.evicted - self._first)
        return None


def _of_queues(
    snapshot: Snapshot, name: str | None, value: Callable[[Queue], float | None], *, worst: bool
) -> float | None:
    chosen = [each for each in snapshot.queues if name is None or each.name == name]
    known = [found for each in chosen if (found := value(each)) is not None]
    if not known:
        return None
    return float(max(known) if worst else sum(known))


def _backlog(queue: Queue) -> float | None:
    parts = [queue.waiting, queue.in_flight, queue.delayed]
    known = [each for each in parts if each is not None]
    return float(sum(known)) if len(known) == len(parts) else None


def _error_share(snapshot: Snapshot, name: str | None) -> float | None:
    """Of the attempts that ended lately, those that raised."""
    failed = _of_queues(snapshot, name, lambda each: each.errors_rate, worst=False)
    left = _of_queues(snapshot, name, lambda each: each.rate_out, worst=False)
    return failed / left if failed is not None and left else None
