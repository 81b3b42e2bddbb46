"""What the recorder costs: process CPU per no-op job with and without it, in interleaved pairs.

    python -m tests.benchmarks.bench_recorder [--variant plain] [--pairs 10] [--jobs 20000]
                                              [--redis URL]

An arm enqueues its jobs and then works them off with one dramatiq Worker; its CPU time (user +
system, of both phases) is divided by the number of jobs. The difference of a pair of arms is one
value; the interval is Student's t over the pairs, at 95 %. Three variants, the claim is the first:

pinned   8 threads on one core, the server on another if there is one. An arm is two fresh processes
         of half its jobs, in the order ABBA or BAAB, so that a drift of the machine, if it is
         straight, falls out of each pair
single   the same with one thread: nobody waits for the interpreter's lock
plain    8 threads on all cores, an arm is one process, the order alternates. What threads on two
         cores do to each other over the interpreter's lock is most of what is seen here, and
         differs from process to process: the widest interval

Nothing is left out that the recorder does: the phases are those of a stock broker (its middleware,
prefetch 256, both consumers of the queue polling), and an arm begins once the spool is open. What a
new file costs is given beside it, since the jobs of one arm fit into the first. Whether all jobs
are done is told by the last of them, not by asking the server, which would cost CPU in both arms.
A server of its own is started unless --redis is given, whose current database is emptied.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from scipy import stats

from tests.conftest import private_redis
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Variant:
    """How a pair of arms is run."""

    threads: int
    pinned: bool


VARIANTS = {"pinned": Variant(8, True), "single": Variant(1, True), "plain": Variant(8, False)}
LIMIT_US = 15.0
EVENTS_PER_JOB = 4  # ENQ, START, END, ACK


def arm(url: str, jobs: int, threads: int, spool: str) -> dict[str, float]:
    """One arm, in this process. CPU in seconds; ``spool`` empty: not recorded."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    left = itertools.count(jobs - 1, -1)
    last = threading.Event()

    @dramatiq.actor(broker=broker)
    def nothing() -> None:
        if next(left) == 0:
            last.set()

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
    worker = dramatiq.Worker(broker, worker_threads=threads)
    worker.start()
    assert last.wait(600), "the jobs are not done"
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: not client.hlen("dramatiq:default.msgs"), 60, "all jobs are acked")
    done = time.process_time()
    worker.stop()
    if recorder is not None:
        recorder.close()
    return {"enqueue": enqueued - begin, "work": done - enqueued}


def run_arm(url: str, jobs: int, variant: Variant, spool: str) -> dict[str, float]:
    """The same in a process of its own, on an empty database."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    command = [sys.executable, "-m", __spec__.name, "--arm", spool, "--jobs", str(jobs)]
    environment = os.environ | {"REDIS_URL": url, "dramatiq_queue_prefetch": "256"}
    cores = {min(os.sched_getaffinity(0))} if variant.pinned else os.sched_getaffinity(0)
    out = subprocess.run(
        [*command, "--threads", str(variant.threads)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return dict(json.loads(out.stdout))


def run_pair(
    url: str, jobs: int, variant: Variant, spool: str, number: int
) -> dict[str, tuple[float, float]]:
    """Phase -> CPU without and with the recorder, in microseconds per job."""
    first, second = ("", spool) if number % 2 == 0 else (spool, "")
    order = (first, second, second, first) if variant.pinned else (first, second)
    share = jobs * 2 // len(order)
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for where in order:
        found[bool(where)].append(run_arm(url, share, variant, where))
    us = {
        phase: tuple(
            sum(part[phase] for part in found[side]) / (share * len(found[side])) * 1e6
            for side in (False, True)
        )
        for phase in ("enqueue", "work")
    }
    us["total"] = tuple(sum(each) for each in zip(*us.values(), strict=True))
    return {phase: (without, recorded) for phase, (without, recorded) in us.items()}


@contextlib.contextmanager
def server(url: str | None) -> Iterator[str]:
    """The given server, or a private one on a socket."""
    if url:
        yield url
        return
    with private_redis(by_socket=True) as own:
        os.sched_setaffinity(own.pid, {max(os.sched_getaffinity(0))})
        yield own.url


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


def new_file_us() -> float:
    """CPU of beginning a new file, in microseconds for each of the jobs that fill it."""
    from perfkit.recorder import SpoolWriter
    from perfkit.recorder.spool import SLOTS_PER_FILE

    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        for number in range(5):
            SpoolWriter(Path(folder), name=f"w{number}", role="worker").close()
        return (time.process_time() - begin) / 5 * 1e6 / (SLOTS_PER_FILE / EVENTS_PER_JOB)


def report(name: str, rows: Sequence[dict[str, tuple[float, float]]], jobs: int) -> float:
    """Print the table of a variant; the upper limit of what a job costs."""
    print(f"{name}: {len(rows)} pairs of {jobs} no-op jobs, process CPU in us/job")
    print(f"{'phase':<10}{'without':>10}{'with':>10}{'difference':>12}   95 % interval")
    high = float("nan")
    for phase in ("enqueue", "work", "total"):
        without, recorded = zip(*(row[phase] for row in rows), strict=True)
        mean, low, high = interval([b - a for a, b in zip(without, recorded, strict=True)])
        print(
            f"{phase:<10}{np.mean(without):>10.1f}{np.mean(recorded):>10.1f}{mean:>12.1f}"
            f"   {low:.1f} .. {high:.1f}"
        )
    return high


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, action="append")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--threads", type=int, default=8, help=argparse.SUPPRESS)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm is not None:
        url = os.environ["REDIS_URL"]
        print(json.dumps(arm(url, options.jobs, options.threads, options.arm)))
        return 0
    with server(options.redis) as url, tempfile.TemporaryDirectory() as spool:
        for name in options.variant or VARIANTS:
            variant = VARIANTS[name]
            run_arm(url, 1000, variant, "")
            rows = []
            for number in range(options.pairs):
                rows.append(run_pair(url, options.jobs, variant, spool, number))
                print(f"{name}: pair {number + 1}/{options.pairs}", file=sys.stderr)
            high = report(name, rows, options.jobs)
            if name == "pinned":
                print(f"at most {high:.1f} us a job; the limit is {LIMIT_US:g} us")
            print()
        size, speed = bytes_per_event(Path(spool))
    print(f"{size:.1f} bytes per event; read back at {speed:,.0f} events/s")
    print(f"beginning a new file: {new_file_us():.2f} us/job more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
