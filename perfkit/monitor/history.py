"""Hours of figures in bounded memory: by the second, by ten seconds, by the minute.

    newest   1 s x 900   |   10 s x 1440   |   60 s x 1440   oldest: a day

A coarse slot keeps the largest value of its time, so that a peak does not fade with age; of what
flows (rates) it keeps the mean.
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
_QUEUE: Final = (
    "waiting", "in_flight", "delayed", "dead", "stalled", "oldest_age_s", "rate_in", "rate_out",
    "errors_rate", "wait_p50_s", "wait_p95_s", "run_p50_s", "run_p95_s",
)  # fmt: skip
_TOTALS: Final = (
    "waiting", "in_flight", "delayed", "dead", "stalled", "oldest_age_s", "rate_in", "rate_out",
    "workers_alive", "workers_lost",
)  # fmt: skip
_REDIS: Final = ("ops", "memory_used_bytes", "clients", "cpu", "round_trip_s", "evicted")
_LOAD: Final = ("offered", "achieved", "lag_p99_s")
_FLOWS: Final = frozenset(
    {"rate_in", "rate_out", "errors_rate", "ops", "cpu", "offered", "achieved"}
)


def values_of(snapshot: Snapshot) -> dict[str, float]:
    """What is kept of a snapshot: "queues/payments/waiting" and the like; unknown ones absent."""
    found: dict[str, float] = {}
    parts: list[tuple[str, object, tuple[str, ...]]] = [("totals", snapshot.totals, _TOTALS)]
    parts += [(f"queues/{each.name}", each, _QUEUE) for each in snapshot.queues[:_MOST_QUEUES]]
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
        """One moment; time never goes back (what is older than the last is passed over)."""
        for tier in self._tiers:
            tier.add(at_s, values)

    def columns(self, span_s: float = math.inf, points: int = 600) -> dict[str, Any]:
        """JSON: ``{"version", "at_s": [...], "series": {name: [...]}}``, oldest first.

        At most about so many points; null where nothing is known.
        """
        places = self._places(span_s)
        stride = max(1, math.ceil(len(places) / max(1, points)))
        # Counted from the newest, so that the latest is always there.
        places = places[::-1][::stride][::-1]
        names = sorted({name for tier in self._tiers for name in tier.series})
        return {
            "version": HISTORY_VERSION,
            "at_s": [round(tier.times[slot], 3) for tier, slot in places],
            "series": {name: [tier.value(name, slot) for tier, slot in places] for name in names},
        }

    def _places(self, span_s: float) -> list[tuple[_Tier, int]]:
        """Slots from the oldest to the newest, each time in the finest tier that has it."""
        newest = self._tiers[0].last_s
        before = math.inf
        parts: list[list[tuple[_Tier, int]]] = []
        for tier in self._tiers:
            part = [
                (tier, slot)
                for slot in tier.slots()
                # A coarse slot that overlaps a finer one would be shown twice.
                if tier.times[slot] >= newest - span_s and tier.times[slot] + tier.step_s <= before
            ]
            if part:
                before = part[0][0].times[part[0][1]]
            parts.append(part)
        return [place for part in reversed(parts) for place in part]


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

    def value(self, name: str, slot: int) -> float | None:
        """Null where nothing is known."""
        series = self.series.get(name)
        if series is None or not math.isfinite(series[slot]):
            return None
        return float(f"{series[slot]:.5g}")

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
