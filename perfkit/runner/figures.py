"""What is known of a trial while it runs: for progress, for scaling, for aborting.

Names are those of thresholds (`perfkit.scenario.TELEMETRY`), of one queue with its name, as in
``queue.age:payments``; beside them the generator's counts since the start of load. They mean what
`perfkit.frames` makes of the stored samples afterwards, from one tick: of all queues together
counts are added up and the age is that of the oldest; of several servers the used ratio is that of
the fullest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.telemetry import Snapshot

__all__ = ["LiveFigures"]

_COUNTS: Final = ("planned", "sent", "dropped", "errors")
_QUEUES: Final = {
    "queue.waiting": ("queue.waiting",),
    "queue.in_flight": ("queue.in_flight",),
    "queue.delayed": ("queue.delayed",),
    "queue.dead": ("queue.dead",),
    "queue.stalled": ("queue.stalled",),
    "queue.backlog": ("queue.waiting", "queue.in_flight", "queue.delayed"),
}
_REDIS: Final = {
    "redis.memory": "redis.memory_bytes",
    "redis.clients": "redis.clients",
    "redis.evicted": "redis.evicted",
}
_CPU: Final = {
    "workers.cpu": "worker",
    "ingest.cpu": "ingest",
    "redis.cpu": "redis",
    "generator.cpu": "generator",
}


class LiveFigures:
    """Makes the figures of each moment; remembers the tick before, for what grows.

    Args:
        memory_bytes: of the host.
        cpus: of the host.
    """

    def __init__(self, memory_bytes: int, cpus: int) -> None:
        self._memory_bytes = memory_bytes
        self._cpus = cpus
        self._before: Snapshot | None = None
        self._grown: dict[str, float] = {}

    def of(
        self,
        generator: Mapping[str, Any],
        snapshot: Snapshot | None,
        roles: Mapping[str, str],
    ) -> dict[str, float]:
        """All that is known now; what is not is absent.

        Args:
            generator: its counts so far.
            snapshot: the last tick of the sampler.
            roles: process name -> role.
        """
        figures = {name: float(generator[name]) for name in _COUNTS if name in generator}
        if snapshot is None:
            return figures
        if self._before is None or snapshot.tick != self._before.tick:
            self._grown = dict(self._growing(snapshot))
            self._before = snapshot
        if "sent" in figures and snapshot.unfinished is not None:
            figures["done"] = max(0.0, figures["sent"] - snapshot.unfinished)
        figures.update(_queues(snapshot))
        figures.update(self._redis(snapshot))
        figures.update(_processes(snapshot, roles))
        return self._grown | figures

    def _redis(self, snapshot: Snapshot) -> Iterator[tuple[str, float]]:
        for name, metric in _REDIS.items():
            yield from _summed(name, snapshot.by_subject(metric))
        for queue, trip_ns in (trips := snapshot.by_subject("redis.round_trip_ns")).items():
            yield _named("redis.round_trip", queue), trip_ns
        if trips:
            yield "redis.round_trip", max(trips.values())
        memory = snapshot.by_subject("redis.memory_bytes")
        limits = snapshot.by_subject("redis.memory_limit_bytes")
        if not memory:
            return
        if all(limits.get(server) for server in memory):
            ratios = {server: used / limits[server] for server, used in memory.items()}
            yield "redis.memory.used_ratio", max(ratios.values())
        else:
            ratios = {server: used / self._memory_bytes for server, used in memory.items()}
            yield "redis.memory.used_ratio", sum(ratios.values())
        for queue, ratio in ratios.items():
            if queue:
                yield _named("redis.memory.used_ratio", queue), ratio

    def _growing(self, snapshot: Snapshot) -> Iterator[tuple[str, float]]:
        """Shares of CPU time that the kernel or Redis counts up, over the last tick."""
        before = self._before
        if before is None or snapshot.at_ns <= before.at_ns:
            return
        for name, metric, cores in (
            ("host.cpu", "host.cpu_busy_ns", self._cpus),
            # Of a server that perfkit did not start; one of our own is seen as a process.
            ("redis.cpu", "redis.cpu_ns", 1),
        ):
            now, then = snapshot.by_subject(metric), before.by_subject(metric)
            used = [now[subject] - then[subject] for subject in now if subject in then]
            if used and min(used) >= 0:
                lasted_ns = (snapshot.at_ns - before.at_ns) * len(used)
                yield name, sum(used) / lasted_ns / cores


def _queues(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    for name, metrics in _QUEUES.items():
        parts = [snapshot.by_subject(metric) for metric in metrics]
        queues = set.intersection(*(set(part) for part in parts))
        yield from _summed(name, {queue: sum(part[queue] for part in parts) for queue in queues})
    ages = snapshot.by_subject("queue.oldest_age_ns")
    for queue, age_ns in ages.items():
        yield _named("queue.age", queue), age_ns
    if ages:
        yield "queue.age", max(ages.values())


def _processes(snapshot: Snapshot, roles: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, role in _CPU.items():
        shares = [share for who, share in snapshot.cpu_cores.items() if roles.get(who) == role]
        if shares:
            # A load shard at its limit is late, however idle the others are.
            busiest = role == "generator"
            yield name, max(shares) if busiest else sum(shares) / len(shares)
    memory = snapshot.by_subject("process.rss_anon_bytes")
    if workers := [size for who, size in memory.items() if roles.get(who) == "worker"]:
        yield "workers.memory", sum(workers)


def _summed(name: str, values: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    for subject, value in values.items():
        if subject:
            yield _named(name, subject), value
    if values:
        yield name, sum(values.values())


def _named(name: str, queue: str) -> str:
    return f"{name}:{queue}" if queue else name
