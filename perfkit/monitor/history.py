"""Hours of figures in bounded memory: by the second, by ten seconds, by the minute.

    newest   1 s x 900   |   10 s x 1440   |   60 s x 1440   oldest: a day

A coarse slot keeps the largest value of its time, so that a peak does not fade with age; of what
flows (rates) it keeps the mean. Where fewer points are asked for they are thinned in the same way.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.monitor.snapshot import Snapshot

__all__ = ["HISTORY_VERSION", "History", "values_of"]

HISTORY_VERSION: Final = 1

_TIERS: Final = ((1.0, 900), (10.0, 1440), (60.0, 1440))
_MOST_SERIES: Final = 900  # x 15 KB
_MOST_QUEUES: Final = 64
_BACK_S: Final = 60.0  # a clock that was set back by more begins anew
_QUEUE: Final = (
    "waiting", "in_flight", "delayed", "dead", "stalled", "oldest_age_s", "rate_in", "rate_out",
    "errors_rate", "wait_p50_s", "wait_p95_s", "run_p50_s", "run_p95_s",
)  # fmt: skip
_TOTALS: Final = (
    "waiting", "in_flight", "delayed", "dead", "stalled", "oldest_age_s", "rate_in", "rate_out",
    "workers_alive", "workers_lost",
)  # fmt: skip
_REDIS: Final = (
    "ops", "memory_used_bytes", "memory_max_bytes", "clients", "cpu", "round_trip_s", "evicted",
)  # fmt: skip
_LOAD: Final = ("offered", "achieved", "lag_p99_s")
_FLOWS: Final = frozenset(
    {"rate_in", "rate_out", "errors_rate", "ops", "cpu", "offered", "achieved"}
)


def values_of(snapshot: Snapshot) -> dict[str, float]:
    """What is kept of a snapshot: "queues/payments/waiting" and the like; unknown ones absent."""
    found: dict[str, float] = {}
    parts: list[tuple[str, object, tuple[str, ...]]] = [("totals", snapshot.totals, _TOTALS)]
    parts += [(f"queues/{each.name}", each, _QUEUE) for each in snapshot.queues[:_MOST_QUEUES]]
    if cores := [each.cpu for each in snapshot.workers if each.cpu is not None]:
        found["totals/cpu"] = sum(cores)
    if snapshot.redis is not None:
        parts.append(("redis", snapshot.redis, _REDIS))
    if snapshot.load is not None:
        parts.append(("load", snapshot.load, _LOAD))
    for prefix, part, names in parts:
        for name in names:
            value = getattr(part, name)
            if value is not None:
                found[f"{prefix}/{name}"] = float(value)
    return found


class History:
    """Series by name. Written by one thread; readers may see the newest slot half filled."""

    def __init__(self) -> None:
        self._tiers = tuple(_Tier(step_s, slots) for step_s, slots in _TIERS)

    def add(self, at_s: float, values: Mapping[str, float]) -> None:
        """One moment. What is a little older than the last is passed over; a clock that was set
        back begins a new history, since the old one lies in its future.
        """
        if at_s < self._tiers[0].last_s - _BACK_S:
            self._tiers = tuple(_Tier(step_s, slots) for step_s, slots in _TIERS)
        for tier in self._tiers:
            tier.add(at_s, values)

    def columns(self, span_s: float = math.inf, points: int = 600) -> dict[str, Any]:
        """JSON: ``{"version", "at_s": [...], "series": {name: [...]}}``, oldest first.

        At most about so many points; null where nothing is known.
        """
        parts = self._parts(span_s)
        times = [tier.times[slot] for tier, slots in parts for slot in slots]
        stride = max(1, math.ceil(len(times) / max(1, points)))
        # Counted from the newest, so that the latest is always there.
        ends = range(len(times), 0, -stride)[::-1]
        groups = [slice(max(0, end - stride), end) for end in ends]
        names = sorted({name for tier in self._tiers for name in tier.series})
        return {
            "version": HISTORY_VERSION,
            "at_s": [round(times[group.stop - 1], 3) for group in groups],
            "series": {name: list(_merged(name, parts, groups)) for name in names},
        }

    def _parts(self, span_s: float) -> list[tuple[_Tier, list[int]]]:
        """Slots from the oldest to the newest, each time in the finest tier that has it."""
        newest = self._tiers[0].last_s
        before = math.inf
        parts: list[tuple[_Tier, list[int]]] = []
        for tier in self._tiers:
            slots = [
                slot
                for slot in tier.slots()
                # A coarse slot that overlaps a finer one would be shown twice.
                if tier.times[slot] >= newest - span_s and tier.times[slot] + tier.step_s <= before
            ]
            if slots:
                before = tier.times[slots[0]]
            parts.append((tier, slots))
        return parts[::-1]


def _merged(
    name: str, parts: list[tuple[_Tier, list[int]]], groups: list[slice]
) -> Iterator[float | None]:
    """One value per group of slots; null where nothing is known."""
    is_flow = name.rpartition("/")[2] in _FLOWS
    values: list[float] = []
    for tier, slots in parts:
        series = tier.series.get(name)
        values += [math.nan] * len(slots) if series is None else [series[slot] for slot in slots]
    for group in groups:
        # What is no number is not itself: the fastest way to leave it out, of millions.
        known = [value for value in values[group] if value == value]
        merged = math.nan if not known else sum(known) / len(known) if is_flow else max(known)
        yield float(f"{merged:.5g}") if math.isfinite(merged) else None


class _Tier:
    """Slots of one width, used round and round."""

    def __init__(self, step_s: float, size: int) -> None:
        self.step_s = step_s
        self.size = size
        self.times = array("d", [math.nan]) * size
        self.series: dict[str, array[float]] = {}
        self.last_s = -math.inf
        self._seen_s: dict[str, float] = {}
        self._at = -1
        self._count = 0
        self._means: dict[str, int] = {}  # values so far in the slot under way

    def add(self, at_s: float, values: Mapping[str, float]) -> None:
        slot_s = math.floor(at_s / self.step_s) * self.step_s if self.step_s > 1 else at_s
        if slot_s < self.last_s or (self.step_s == 1 and slot_s == self.last_s):
            return
        if slot_s > self.last_s:
            self._begin(slot_s)
        at = self._at
        for name, value in values.items():
            series = self.series.get(name)
            if series is None:
                series = self._start(name)
            self._seen_s[name] = at_s
            before = series[at]
            if math.isnan(before):
                series[at] = value
                self._means[name] = 1
            elif name.rpartition("/")[2] in _FLOWS:
                count = self._means[name] = self._means.get(name, 1) + 1
                series[at] = before + (value - before) / count
            else:
                series[at] = max(before, value)

    def slots(self) -> Iterator[int]:
        """In the order of time."""
        first = (self._at - self._count + 1) % self.size
        for place in range(self._count):
            yield (first + place) % self.size

    def _begin(self, slot_s: float) -> None:
        self.last_s = slot_s
        self._at = (self._at + 1) % self.size
        self._count = min(self._count + 1, self.size)
        self._means.clear()
        for series in self.series.values():
            series[self._at] = math.nan
        self.times[self._at] = slot_s

    def _start(self, name: str) -> array[float]:
        if len(self.series) >= _MOST_SERIES:  # who was not seen for longest makes room
            oldest = min(self.series, key=lambda each: self._seen_s[each])
            del self.series[oldest], self._seen_s[oldest]
        series = self.series[name] = array("f", [math.nan]) * self.size
        return series
