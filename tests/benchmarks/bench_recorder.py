"""What the recorder costs: process CPU per no-op job with and without it, in interleaved pairs.

    python -m tests.benchmarks.bench_recorder [--pairs 10] [--jobs 20000] [--redis URL]

Each arm is a fresh process that enqueues all jobs and then works them off with one dramatiq Worker
of 8 threads; its CPU time (user + system) of both phases is divided by the number of jobs. The arms
of a pair run one after the other, and the order alternates. The difference of a pair is one value;
the interval is Student's t over the pairs. A server of its own is started unless --redis is given,
whose current database is emptied.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import redis
from scipy import stats

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def arm(url: str, jobs: int, spool: str) -> dict[str, float]:
    """One arm, in this process. CPU in microseconds per job; ``spool`` empty: not recorded."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    left = iter(range(jobs - 1))

    @dramatiq.actor(broker=broker)
    def nothing() -> None:
        next(left, None)

    recorder: Any = None
    if spool:
        from perfkit.recorder import install

        recorder = install(broker, Path(spool), name="bench", role="worker")
    for _ in range(20):
        broker.do_qsize("default")  # connect and load the script
    begin = time.process_time()
    for _ in range(jobs):
        nothing.send()
    enqueued = time.process_time()
    worker = dramatiq.Worker(broker, worker_threads=8)
    worker.start()
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: not client.hlen("dramatiq:default.msgs"), 600, "all jobs are done")
    done = time.process_time()
    worker.stop()
    if recorder is not None:
        recorder.close()
    return {"enqueue": (enqueued - begin) / jobs * 1e6, "work": (done - enqueued) / jobs * 1e6}


def run_arm(url: str, jobs: int, spool: str) -> dict[str, float]:
    """The same in a process of its own, on an empty database."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    command = [sys.executable, "-m", __spec__.name, "--arm", spool, "--jobs", str(jobs)]
    environment = os.environ | {"REDIS_URL": url, "dramatiq_queue_prefetch": "256"}
    out = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(out.stdout))


@contextlib.contextmanager
def server(url: str | None) -> Iterator[str]:
    """The given server, or a private one on a socket."""
    if url:
        yield url
        return
    from tests.conftest import server_binary

    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        settings = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen([server_binary(), *settings], stdout=subprocess.DEVNULL)
        try:
            wait_until(Path(socket).exists, 10, "the server listens")
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the 95 % interval of Student's t."""
    data = np.asarray(values)
    mean = float(data.mean())
    if len(data) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(data) - 1) * stats.sem(data))
    return mean, mean - half, mean + half


def bytes_per_event(spool: Path) -> tuple[float, float]:
    """Bytes of slots and sidecar per event, and events per second of one reading."""
    from perfkit.recorder import read_spools
    from perfkit.recorder.events import SLOT_BYTES

    begin = time.process_time()
    events = sum(len(contents.events) for contents in read_spools(spool))
    speed = events / (time.process_time() - begin)
    names = sum(path.stat().st_size for path in spool.glob("*.jsonl"))
    return SLOT_BYTES + names / events, speed


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm is not None:
        print(json.dumps(arm(os.environ["REDIS_URL"], options.jobs, options.arm)))
        return 0
    with server(options.redis) as url, tempfile.TemporaryDirectory() as spool:
        run_arm(url, 1000, "")
        rows = []
        for pair in range(options.pairs):
            order = ("", spool) if pair % 2 == 0 else (spool, "")
            found = {bool(where): run_arm(url, options.jobs, where) for where in order}
            rows.append((found[False], found[True]))
            print(f"pair {pair + 1}/{options.pairs}", file=sys.stderr)
        size, speed = bytes_per_event(Path(spool))
    print(f"{options.pairs} pairs of {options.jobs} no-op jobs, process CPU in us/job")
    print(f"{'phase':<10}{'without':>10}{'with':>10}{'difference':>12}   95 % interval")
    for phase in ("enqueue", "work", "total"):
        without, recorded = (
            [row[side]["enqueue"] + row[side]["work"] if phase == "total" else row[side][phase]
             for row in rows]
            for side in (0, 1)
        )  # fmt: skip
        mean, low, high = interval([b - a for a, b in zip(without, recorded, strict=True)])
        print(
            f"{phase:<10}{np.mean(without):>10.1f}{np.mean(recorded):>10.1f}{mean:>12.1f}"
            f"   {low:.1f} .. {high:.1f}"
        )
    print(f"{size:.1f} bytes per event; read back at {speed:,.0f} events/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
