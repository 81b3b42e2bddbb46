"""What the monitor costs: CPU of the server it looks at, and its own CPU and memory.

Three servers: 3 queues and 5 workers, 50 queues and 200 workers, and a million foreign keys. The
server's share is its CPU beside the monitor less its CPU without it, each over the same time.

    python -m tests.benchmarks.bench_monitor [--seconds 20]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.conftest import private_redis

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """A server, and what its monitor may take."""

    name: str
    queues: int
    workers: int
    foreign: int
    server_share: float
    monitor_share: float
    monitor_bytes: int


CASES = (
    Case("3 queues, 5 workers", 3, 5, 0, 0.001, 0.02, 120_000_000),
    Case("50 queues, 200 workers", 50, 200, 0, 0.05, 0.05, 120_000_000),
    Case("a million foreign keys", 3, 5, 1_000_000, 0.01, 0.05, 120_000_000),
)


def _fill(client: redis.Redis, case: Case) -> None:
    """Queues with jobs that wait and jobs in hand, of workers that live."""
    with client.pipeline(transaction=False) as batch:
        for queue in range(case.queues):
            ids = [f"{queue}-{number}" for number in range(20)]
            body = '{"message_timestamp": 1700000000000, "options": {}}'
            batch.rpush(f"dramatiq:q{queue}", *ids[10:])
            batch.hset(f"dramatiq:q{queue}.msgs", mapping=dict.fromkeys(ids, body))
            for worker in range(case.workers):
                batch.sadd(f"dramatiq:__acks__.w{worker}.q{queue}", ids[worker % 10])
        batch.execute()
    for start in range(0, case.foreign, 10_000):
        client.mset({f"session:{start + number}": "x" for number in range(10_000)})


@contextmanager
def _beating(client: redis.Redis, case: Case) -> Iterator[None]:
    """Heartbeats, once a second: the same work beside the monitor and without it."""
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            now_ms = time.time() * 1000
            beats = {f"w{worker}": now_ms for worker in range(case.workers)}
            client.zadd("dramatiq:__heartbeats__", beats)
            over.wait(1.0)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _server_cpu_s(client: redis.Redis) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _spent(client: redis.Redis, seconds: float, pid: int | None) -> tuple[float, float]:
    """Shares of a core: the server's, and the monitor's."""
    began, server = time.monotonic(), _server_cpu_s(client)
    own = _cpu_s(pid) if pid is not None else 0.0
    threading.Event().wait(seconds)
    lasted = time.monotonic() - began
    server = _server_cpu_s(client) - server
    own = _cpu_s(pid) - own if pid is not None else 0.0
    return server / lasted, own / lasted


def _measure(case: Case, seconds: float) -> bool:
    with private_redis() as server, redis.Redis.from_url(server.url) as client:
        _fill(client, case)
        with _beating(client, case):
            _spent(client, _SETTLE_S, None)
            without, _ = _spent(client, seconds, None)
            monitor = subprocess.Popen(
                [sys.executable, "-m", "perfkit", "monitor", "--port", "0", "--redis", server.url],
                stdout=subprocess.PIPE,
            )
            try:
                assert monitor.stdout is not None
                monitor.stdout.readline()  # it answers: what it takes to begin is not counted
                _spent(client, _SETTLE_S, monitor.pid)
                beside, own = _spent(client, seconds, monitor.pid)
                resident = _resident(monitor.pid)
            finally:
                monitor.terminate()
                monitor.wait()
    share = beside - without
    within = (
        share <= case.server_share and own <= case.monitor_share and resident <= case.monitor_bytes
    )
    print(
        f"{case.name:<26} server {share:+8.3%} of a core (at most {case.server_share:.1%}; "
        f"{without:.3%} without)   monitor {own:6.2%} (at most {case.monitor_share:.0%})   "
        f"{resident / 1e6:5.0f} MB (at most {case.monitor_bytes / 1e6:.0f})   "
        f"{'within' if within else 'ABOVE'}",
        flush=True,
    )
    return within


def main() -> int:
    """Print a line for each case; 1 when one is above its limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    within = [_measure(case, seconds) for case in CASES]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
