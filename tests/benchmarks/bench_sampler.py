"""What a tick of the sampler costs: 3 queues, 8 processes of 20 threads, one Redis.

    python tests/benchmarks/bench_sampler.py [TICKS]

Prints CPU and wall time per tick, per probe and in all, and the share of a core at 5 Hz.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from perfkit.clock import SystemClock
from perfkit.telemetry import (
    HostProbe,
    Probe,
    ProcessProbe,
    ProcessTable,
    QueueProbe,
    RedisProbe,
    Sampler,
    SampleSink,
    SlowLogProbe,
    StalledProbe,
)
from tests.conftest import private_redis

_QUEUES = ("payments", "notifications", "webhooks")
_PROCESSES = 8
_PERIOD_NS = 50_000_000  # caches go cold between ticks, as at 5 Hz, but we need not wait as long
_IDLE = """
import threading
over = threading.Event()
for _ in range(19):
    threading.Thread(target=over.wait, daemon=True).start()
print("ready", flush=True)
over.wait()
"""


def _per_tick_us(probe: Probe, ticks: int) -> tuple[float, float]:
    clock = SystemClock()
    probe.take(clock)
    cpu_ns = time.thread_time_ns()
    walls_ns = []
    for _ in range(ticks):
        start_ns = clock.now_ns()
        probe.take(clock)
        walls_ns.append(clock.now_ns() - start_ns)
    return (time.thread_time_ns() - cpu_ns) / ticks / 1e3, statistics.median(walls_ns) / 1e3


def _fill(url: str) -> None:
    broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    for queue in _QUEUES:
        broker.declare_queue(queue)
        for number in range(100):
            broker.enqueue(
                dramatiq.Message(
                    queue_name=queue, actor_name="work", args=(number,), kwargs={}, options={}
                )
            )
    broker.close()


def measure(ticks: int) -> dict[str, float]:
    """CPU µs and median wall µs per tick for each probe and for the whole."""
    with tempfile.TemporaryDirectory() as folder, private_redis() as server:
        children = [
            subprocess.Popen([sys.executable, "-c", _IDLE], stdout=subprocess.PIPE)
            for _ in range(_PROCESSES - 1)
        ]
        try:
            for child in children:
                assert child.stdout is not None
                child.stdout.readline()
            _fill(server.url)
            pids = [server.pid, *(child.pid for child in children)]
            return _measure_all(server.url, Path(folder), pids, ticks)
        finally:
            for child in children:
                child.kill()
                child.wait()
                if child.stdout is not None:
                    child.stdout.close()


def _measure_all(url: str, folder: Path, pids: list[int], ticks: int) -> dict[str, float]:
    table = ProcessTable()
    for number, pid in enumerate(pids):
        table.put(f"worker-{number}", pid)
    probes: list[Probe] = [
        ProcessProbe(table),
        HostProbe(),
        RedisProbe(url),
        QueueProbe(url, _QUEUES),
        StalledProbe(url, _QUEUES),
        SlowLogProbe(url),
    ]
    figures: dict[str, float] = {}
    for probe in probes:
        cpu_us, wall_us = _per_tick_us(probe, ticks)
        figures[f"{probe.name} cpu us"], figures[f"{probe.name} wall us"] = cpu_us, wall_us
    clock = SystemClock()
    sampler = Sampler(
        probes, clock=clock, sink=SampleSink(folder / "samples.arrow", 0), period_ns=_PERIOD_NS
    )
    sampler.run_until(clock.now_ns() + ticks * _PERIOD_NS)
    summary = sampler.stop()
    figures["whole tick cpu us"] = summary.cpu_ns / summary.ticks / 1e3
    figures["percent of a core at 5 Hz"] = figures["whole tick cpu us"] * 5 / 1e6 * 100
    figures["bytes per tick"] = (folder / "samples.arrow").stat().st_size / summary.ticks
    return figures


if __name__ == "__main__":
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=2))
