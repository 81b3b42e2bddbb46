"""What the simulated sampler reads at one tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MIB = 1024 * 1024
SLOW = (
    (2_300_000_000, "EVALSHA fetch", 12_400_000),
    (2_900_000_000, "EVALSHA fetch", 10_900_000),
    (4_100_000_000, "EVALSHA enqueue", 15_200_000),
)
"""Time since load began, command, and how long it took."""
STALLS = ((4_100_000_000, "command", 15_000_000), (4_700_000_000, "fork", 31_000_000))


def readings(simulation: Any, now: int) -> Iterator[tuple[str, str, float]]:
    """Metric, subject and value of every reading, in the order of the contract's list."""
    system = simulation.system
    elapsed = now - system.start_ns
    sent = len(simulation.requests)
    ran = sum(worker.jobs for worker in simulation.workers)
    yield from _redis(simulation, elapsed, sent, ran)
    yield from _queues(simulation, now)
    busy = 0.0
    for worker in simulation.workers:
        cpu = 1.8e6 * worker.jobs + worker.own_ns + 0.035 * elapsed
        busy += cpu
        if worker.alive:
            yield from _process(
                worker.name, cpu, (46 + 0.002 * worker.jobs) * MIB, 14 + system.threads
            )
    for name, cpu, mib, threads in (
        ("ingest-1", 0.55e6 * sent + 0.004 * elapsed, 38, 6),
        ("gateway", 0.45e6 * len(simulation.calls), 31, 2),
        ("redis", _redis_cpu(elapsed, ran, system.workers), 6, 5),
        ("generator", 0.32e6 * sent + 0.006 * elapsed, 44, 3),
        ("perfkit", 0.012 * elapsed, 58, 5),
    ):
        busy += cpu
        yield from _process(name, cpu, mib * MIB, threads)
    yield "host.cpu_busy_ns", "", round(busy * 1.06)
    yield "host.cpu_steal_ns", "", round(0.002 * elapsed)
    yield "host.cpu_iowait_ns", "", round(0.001 * elapsed)
    yield "host.pressure_cpu_some_ns", "", round(0.04 * busy)
    yield "host.memory_available_bytes", "", 5_800 * MIB
    yield "sampler.lag_ns", "", 400_000


def _redis_cpu(elapsed: int, ran: int, workers: int) -> float:
    return 0.14e6 * ran + 0.006 * workers * elapsed


def _redis(simulation: Any, elapsed: int, sent: int, ran: int) -> Iterator[tuple[str, str, float]]:
    workers = simulation.system.workers
    polls = round(workers * 3 * elapsed / 7.5e6)
    held = sum(len(waiting) for waiting in simulation.lists.values())
    yield "redis.round_trip_ns", "", 210_000 + 40_000 * ((elapsed // 500_000_000) % 5)
    yield "redis.memory_bytes", "", 1_400_000 + 400 * held
    yield "redis.clients", "", 4 + 5 * workers
    yield "redis.ops_per_s", "", 400 * workers + round(3 * sent / max(1, elapsed / 1e9))
    yield "redis.cpu_ns", "", round(_redis_cpu(elapsed, ran, workers))
    yield "redis.evicted", "", 0
    yield "redis.commands", "", polls + 2 * ran + sent
    yield "redis.evalsha_calls", "", polls + 2 * ran + sent
    yield "redis.evalsha_ns", "", 9_000 * (polls + 2 * ran + sent)
    yield "redis.up", "", 1
    if simulation.system.slow:
        yield "redis.slow_commands", "", sum(after <= elapsed for after, *_ in SLOW)


def events(start: int, end: int) -> Iterator[tuple[int, str, str, float]]:
    """Instant, metric, subject and value of what Redis' slow log and latency monitor kept."""
    for after, metric, subject, value in (
        *((after, "redis.slowlog_ns", command, ns) for after, command, ns in SLOW),
        *((after, "redis.latency_event_ns", event, ns) for after, event, ns in STALLS),
    ):
        if start + after < end:
            yield start + after, metric, subject, value


def _queues(simulation: Any, now: int) -> Iterator[tuple[str, str, float]]:
    for queue, waiting in simulation.lists.items():
        oldest = now - waiting[0].enqueued_ns if waiting else 0
        yield "queue.waiting", queue, len(waiting)
        yield "queue.in_flight", queue, sum(w.held[queue] for w in simulation.workers)
        yield "queue.delayed", queue, len(simulation.delayed[queue])
        yield "queue.dead", queue, len(simulation.dead[queue])
        yield "queue.oldest_age_ns", queue, oldest


def _process(name: str, cpu: float, rss: float, threads: int) -> Iterator[tuple[str, str, float]]:
    yield "process.cpu_ns", name, round(cpu)
    yield "process.rss_anon_bytes", name, round(rss / 4096) * 4096
    yield "process.run_queue_wait_ns", name, round(0.03 * cpu)
    yield "process.threads", name, threads
