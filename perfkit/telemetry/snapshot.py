"""The last tick at a glance, for progress displays and for aborting on a threshold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from perfkit.telemetry.reading import Reading

__all__ = ["Snapshot", "SnapshotFold"]

_SPAN_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one tick read.

    ``values`` maps (metric, subject) to the reading of that tick; what could not be read, or is
    not read on each tick, is absent. ``cpu_cores`` is CPU used by each process over about the last
    two seconds, in cores; absent until two readings exist.
    """

    at_ns: int
    tick: int
    values: Mapping[tuple[str, str], float]
    cpu_cores: Mapping[str, float]

    def value(self, metric: str, subject: str = "") -> float | None:
        """One reading, or None."""
        return self.values.get((metric, subject))

    def by_subject(self, metric: str) -> dict[str, float]:
        """All readings of a metric: subject -> value."""
        return {subject: value for (name, subject), value in self.values.items() if name == metric}

    @property
    def waiting(self) -> dict[str, float]:
        """Jobs waiting in each queue."""
        return self.by_subject("queue.waiting")

    @property
    def in_flight(self) -> dict[str, float]:
        """Jobs of each queue that a worker holds."""
        return self.by_subject("queue.in_flight")

    @property
    def stalled(self) -> dict[str, float]:
        """Those of them that wait for recovery: their worker is dead, silent, or dropped them."""
        return self.by_subject("queue.stalled")

    @property
    def unfinished(self) -> float | None:
        """Jobs waiting, held or delayed in all queues; None when no queue could be read."""
        parts = [
            value
            for (metric, _), value in self.values.items()
            if metric in ("queue.waiting", "queue.in_flight", "queue.delayed")
        ]
        return sum(parts) if parts else None


class SnapshotFold:
    """Makes snapshots of successive ticks; remembers just enough for rates."""

    def __init__(self) -> None:
        self._ticks = 0
        self._histories: dict[str, deque[tuple[int, float]]] = {}

    def fold(self, at_ns: int, readings: Iterable[Reading]) -> Snapshot:
        """The snapshot after one more tick."""
        self._ticks += 1
        values: dict[tuple[str, str], float] = {}
        cores: dict[str, float] = {}
        for reading in readings:
            values[reading.metric, reading.subject] = reading.value
            if reading.metric == "process.cpu_ns":
                history = self._histories.setdefault(reading.subject, deque())
                history.append((reading.at_ns, reading.value))
                while len(history) > 2 and reading.at_ns - history[1][0] >= _SPAN_NS:
                    history.popleft()
                (start_ns, start), (end_ns, end) = history[0], history[-1]
                if end_ns > start_ns:
                    cores[reading.subject] = max(0.0, (end - start) / (end_ns - start_ns))
        for name in [n for n in self._histories if ("process.cpu_ns", n) not in values]:
            del self._histories[name]
        return Snapshot(
            at_ns=at_ns,
            tick=self._ticks,
            values=MappingProxyType(values),
            cpu_cores=MappingProxyType(cores),
        )
