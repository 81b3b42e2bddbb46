"""A snapshot in the text format of Prometheus.

Quantiles are those of the last minute, as a summary has them. What is not known is absent: an alert
on it must say ``absent()``, or ask ``perfkit_source_up``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from perfkit.monitor.snapshot import Queue, Redis, Snapshot, Worker

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_QUEUE: Final = {
    "waiting": "Jobs waiting in the queue.",
    "in_flight": "Jobs fetched by a worker and not acknowledged.",
    "delayed": "Jobs put off, and retries in backoff.",
    "dead": "Dead letters.",
    "stalled": "Jobs held by a worker that is dead or silent.",
    "oldest_age_seconds": "How long the job at the head has waited.",
    "enqueued_per_second": "Jobs enqueued per second, over the last seconds.",
    "finished_per_second": "Jobs acknowledged per second, over the last seconds.",
}
_ATTRIBUTE: Final = {
    "oldest_age_seconds": "oldest_age_s",
    "enqueued_per_second": "rate_in",
    "finished_per_second": "rate_out",
}
_SHARES: Final = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
_DURATIONS: Final = {
    "latency": "From enqueued to finished.",
    "wait": "From enqueued to started.",
    "run": "From started to finished.",
}
_WORKER: Final = {
    "last_seen_seconds": ("last_seen_s", "Since its last command."),
    "in_flight": ("in_flight", "Jobs it holds."),
    "cpu_ratio": ("cpu", "CPU it uses, in cores."),
    "memory_bytes": ("rss_bytes", "Its private memory."),
}
_REDIS: Final = {
    "operations_per_second": ("ops", "Commands per second."),
    "memory_used_bytes": ("memory_used_bytes", "Memory in use."),
    "memory_max_bytes": ("memory_max_bytes", "Limit of memory, absent where there is none."),
    "clients": ("clients", "Connected clients."),
    "cpu_ratio": ("cpu", "CPU it uses, in cores."),
    "round_trip_seconds": ("round_trip_s", "Round trip of a PING."),
    "uptime_seconds": ("uptime_s", "Since it was started."),
}
_REDIS_COUNTERS: Final = {
    "evicted_keys": ("evicted", "Keys evicted for want of memory."),
    "expired_keys": ("expired", "Keys that expired."),
    "rejected_connections": ("rejected_connections", "Connections refused at the limit."),
}


def exposition(snapshot: Snapshot | None) -> bytes:
    """The text; before the first snapshot it says that nothing is up."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(snapshot))
    return generate_latest(registry)


class _Of(Collector):
    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        if snapshot is None:
            yield GaugeMetricFamily("perfkit_up", "Whether there are figures.", value=0)
            return
        yield GaugeMetricFamily("perfkit_up", "Whether there are figures.", value=1)
        source = GaugeMetricFamily(
            "perfkit_source_up", "Whether a source of figures works.", labels=["source"]
        )
        for name, each in snapshot.sources.items():
            source.add_metric([name], float(each.ok))
        yield source
        yield from _of_queues(snapshot.queues)
        yield from _of_workers(snapshot)
        yield from _of_redis([each for each in (snapshot.redis, *snapshot.more_redis) if each])
        yield from _of_load(snapshot)
        yield from _of_thresholds(snapshot)


def _of_queues(queues: tuple[Queue, ...]) -> Iterator[Metric]:
    for name, text in _QUEUE.items():
        family = GaugeMetricFamily(f"perfkit_queue_{name}", text, labels=["queue"])
        for each in queues:
            if (value := getattr(each, _ATTRIBUTE.get(name, name))) is not None:
                family.add_metric([each.name], float(value))
        yield family
    enqueued = CounterMetricFamily(
        "perfkit_jobs_enqueued", "Jobs enqueued, retries included.", labels=["queue"]
    )
    ended = CounterMetricFamily("perfkit_jobs", "Attempts that ended.", labels=["queue", "outcome"])
    for each in queues:
        if each.enqueued is not None:
            enqueued.add_metric([each.name], each.enqueued)
        for outcome in ("done", "failed"):
            if (count := getattr(each, outcome)) is not None:
                ended.add_metric([each.name, outcome], count)
    yield enqueued
    yield ended
    for what, text in _DURATIONS.items():
        summary = Metric(f"perfkit_job_{what}_seconds", f"{text} Of the last minute.", "summary")
        for each in queues:
            for share, name in _SHARES.items():
                if (value := getattr(each, f"{what}_{name}_s")) is not None:
                    labels = {"queue": each.name, "quantile": share}
                    summary.add_sample(summary.name, labels, value)
        yield summary


def _of_workers(snapshot: Snapshot) -> Iterator[Metric]:
    workers = [each for each in snapshot.workers if each.role != "producer"]
    up = GaugeMetricFamily(
        "perfkit_worker_up", "Whether it is alive.", labels=["worker", "broker_id"]
    )
    for each in workers:
        up.add_metric(_labels(each), float(each.alive))
    yield up
    for name, (attribute, text) in _WORKER.items():
        family = GaugeMetricFamily(f"perfkit_worker_{name}", text, labels=["worker", "broker_id"])
        for each in workers:
            if (value := getattr(each, attribute)) is not None:
                family.add_metric(_labels(each), float(value))
        yield family
    totals = snapshot.totals
    for name, count, text in (
        ("workers_alive", totals.workers_alive, "Workers that are alive."),
        ("workers_lost", totals.workers_lost, "Workers that died, or left jobs behind."),
        ("clients_alive", totals.clients_alive, "Clients that may be workers, or only enqueue."),
    ):
        if count is not None:
            yield GaugeMetricFamily(f"perfkit_{name}", text, value=count)


def _labels(worker: Worker) -> list[str]:
    return [worker.name, worker.broker_id]


def _of_redis(servers: list[Redis]) -> Iterator[Metric]:
    for name, (attribute, text) in _REDIS.items():
        family = GaugeMetricFamily(f"perfkit_redis_{name}", text, labels=["server"])
        for each in servers:
            if (value := getattr(each, attribute)) is not None:
                family.add_metric([each.name], float(value))
        yield family
    for name, (attribute, text) in _REDIS_COUNTERS.items():
        counter = CounterMetricFamily(f"perfkit_redis_{name}", text, labels=["server"])
        for each in servers:
            if (value := getattr(each, attribute)) is not None:
                counter.add_metric([each.name], float(value))
        yield counter


def _of_load(snapshot: Snapshot) -> Iterator[Metric]:
    load = snapshot.load
    if load is None:
        return
    for name, value, text in (
        ("offered_per_second", load.offered, "Requests per second that came due."),
        ("achieved_per_second", load.achieved, "Requests per second that were sent."),
        ("lag_seconds", load.lag_p99_s, "How late requests are sent, P99."),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"perfkit_load_{name}", text, value=value)


def _of_thresholds(snapshot: Snapshot) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "perfkit_threshold_ok",
        "Whether a target holds now; absent where that can't be seen.",
        labels=["threshold"],
    )
    for each in snapshot.thresholds:
        if each.state != "unsure":
            family.add_metric([each.name], float(each.state == "pass"))
    yield family
    errors = CounterMetricFamily(
        "perfkit_job_errors",
        "Attempts that raised, by type.",
        labels=["queue", "actor", "type"],
    )
    for error in snapshot.errors:
        errors.add_metric([error.queue, error.actor, error.type], error.count)
    yield errors
