"""A made-up system whose snapshots a test pushes: lively, seeded, and broken where it is asked."""

from __future__ import annotations

import dataclasses
import math

from perfkit.monitor.snapshot import (
    ErrorCount,
    Load,
    Queue,
    Redis,
    SlowCommand,
    SlowJob,
    Snapshot,
    Source,
    ThresholdState,
    Totals,
    Worker,
)

START_S = 1_795_500_000.0
HOSTILE = '<img src=x onerror="throw 1">&amp;<b>'
SAMPLE = ("notifications", "payments", "webhooks")


def queue(name: str, second: int, place: int) -> Queue:
    """One queue at one second: its backlog swings slowly."""
    swing = math.sin(second / 40 + place)
    waiting = max(0, round(60 + 60 * swing))
    return Queue(
        name=name,
        waiting=waiting,
        in_flight=8 if waiting else 2,
        delayed=place,
        dead=place % 2,
        stalled=0,
        oldest_age_s=waiting / 50,
        net_rate=1.5 * math.cos(second / 40 + place),
        rate_in=50 + 5 * swing,
        rate_out=50.0,
        errors_rate=0.5 + 0.5 * swing,
        wait_p50_s=waiting / 100,
        wait_p95_s=waiting / 50 + 0.004,
        wait_p99_s=waiting / 40 + 0.006,
        run_p50_s=0.04,
        run_p95_s=0.09 + 0.02 * swing,
        run_p99_s=0.15,
        done=50 * second,
        failed=second // 2,
    )


def worker(place: int, second: int) -> Worker:
    """One worker, alive."""
    return Worker(
        name=f"worker-{place}",
        broker_id=f"00000000-0000-4000-8000-{place:012d}",
        role="worker",
        alive=True,
        last_seen_s=0.1 * (place % 7),
        in_flight=5,
        in_flight_age_s=0.4,
        cpu=0.4 + 0.1 * math.sin(second / 10 + place),
        rss_bytes=61_000_000 + 1000 * place,
        pid=4000 + place,
    )


def snapshot(
    second: int, *, queues: tuple[str, ...] = SAMPLE, workers: int = 5, subject: str = "plant"
) -> Snapshot:
    """The whole system, all well, at ``second`` seconds after its start."""
    at_s = START_S + second
    all_queues = tuple(queue(name, second, place) for place, name in enumerate(queues))
    return Snapshot(
        seq=second,
        at_s=at_s,
        subject=subject,
        sources={
            "redis": Source(ok=True, detail="Redis 8.2.3", since_s=float(second), age_s=0.1),
            "recorder": Source(ok=True, detail="5 processes record", since_s=float(second)),
            "load": Source(ok=True, detail="measuring", since_s=float(second)),
            "processes": Source(ok=True, detail="5 processes", since_s=float(second)),
        },
        totals=Totals(
            waiting=sum(each.waiting or 0 for each in all_queues),
            in_flight=sum(each.in_flight or 0 for each in all_queues),
            stalled=0,
            rate_in=sum(each.rate_in or 0 for each in all_queues),
            rate_out=sum(each.rate_out or 0 for each in all_queues),
            rates_from="recorder",
            queues=len(queues),
            workers=workers,
            workers_alive=workers,
            workers_lost=0,
            clients_alive=0,
        ),
        queues=all_queues,
        workers=tuple(worker(place, second) for place in range(workers)),
        redis=Redis(
            ops=900 + 50 * math.sin(second / 15),
            memory_used_bytes=5_400_000 + 1000 * second,
            memory_max_bytes=64 * 1024 * 1024,
            clients=9,
            cpu=0.08,
            round_trip_s=0.00018 + 0.00005 * math.sin(second / 7),
            evicted=0,
            fragmentation=1.2,
            uptime_s=3600.0 + second,
            slow_commands=1,
            slowlog=(SlowCommand(command="EVALSHA fetch", duration_s=0.0123, at_s=at_s - 9.5),),
        ),
        load=Load(
            phase="measure",
            offered=160.0,
            achieved=159.5 + math.sin(second / 20),
            lag_p99_s=0.0012,
            sent=160 * second,
            dropped=0,
            errors=2,
            left_s=119.0,
        ),
        errors=(
            ErrorCount(
                queue=queues[0], actor="charge", type="GatewayError", count=13, last_s=at_s - 1
            ),
        ),
        slow_jobs=tuple(
            SlowJob(
                id=f"0f2c7b53-7f0f-4c43-9f7c-{place:012d}",
                queue=queues[place % len(queues)],
                actor="charge",
                latency_s=2.4 - place / 10,
                wait_s=2.2 - place / 10,
                run_s=0.2,
                outcome="done",
                at_s=START_S + place,
            )
            for place in range(6)
        ),
        thresholds=(
            ThresholdState(
                name="latency p(95)<500ms",
                metric="latency",
                expr="p(95)<500ms",
                observed=0.41,
                unit="duration",
                limit=0.5,
                state="pass",
            ),
            ThresholdState(
                name=f"queue.age of {queues[-1]} max<1s",
                metric="queue.age",
                expr="max<1s",
                queue=queues[-1],
                observed=1.25,
                unit="duration",
                limit=1.0,
                state="fail",
            ),
        ),
    )


def stalled(whole: Snapshot, name: str, jobs: int = 3) -> Snapshot:
    """Its first worker died with ``jobs`` jobs of that queue in hand."""
    queues = tuple(
        dataclasses.replace(each, stalled=jobs, rate_out=0.0) if each.name == name else each
        for each in whole.queues
    )
    lost = dataclasses.replace(whole.workers[0], alive=False, lost=True, last_seen_s=75.0, cpu=None)
    return dataclasses.replace(
        whole,
        queues=queues,
        workers=(lost, *whole.workers[1:]),
        totals=dataclasses.replace(
            whole.totals,
            stalled=jobs,
            workers_alive=len(whole.workers) - 1,
            workers_lost=1,
        ),
    )


def without_redis(whole: Snapshot, detail: str = "connection refused") -> Snapshot:
    """Redis does not answer: its figures are not known, which is not nought."""
    return dataclasses.replace(
        whole,
        sources={**whole.sources, "redis": Source(ok=False, detail=detail, since_s=12.0)},
        queues=(),
        workers=(),
        redis=None,
        totals=Totals(),
    )
