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

Process CPU is what the kernel charged, and a busy neighbour makes it larger: it empties the caches
and slows the core down. Pairs cancel what is the same for both arms and lasts; the rest widens the
interval, until the claim can't be told. So how much of the cores others used is given, and a wide
interval is called that, not a pass and not a failure. Ends with 1 if the claim does not hold.
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


def report(
    name: str, rows: Sequence[dict[str, tuple[float, float]]], jobs: int
) -> tuple[float, float]:
    """Print the table of a variant; the interval of what a job costs in all."""
    print(f"{name}: {len(rows)} pairs of {jobs} no-op jobs, process CPU in us/job")
    print(f"{'phase':<10}{'without':>10}{'with':>10}{'difference':>12}   95 % interval")
    low = high = float("nan")
    for phase in ("enqueue", "work", "total"):
        without, recorded = zip(*(row[phase] for row in rows), strict=True)
        mean, low, high = interval([b - a for a, b in zip(without, recorded, strict=True)])
        print(
            f"{phase:<10}{np.mean(without):>10.1f}{np.mean(recorded):>10.1f}{mean:>12.1f}"
            f"   {low:.1f} .. {high:.1f}"
        )
    return low, high


def verdict(low: float, high: float) -> str:
    """The claim by its interval, in words."""
    if high <= LIMIT_US:
        return "holds"
    if low > LIMIT_US:
        return "does not hold"
    return "can't be told: the interval is too wide; measure while nothing else runs"


class Neighbours:
    """How many cores everybody else has used since it was made."""

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of the wall, of all cores that worked, of our own and our ended children's."""
        ticks = [
            int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        ]
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # idle, iowait
        used = os.times()
        ours = used.user + used.system + used.children_user + used.children_system
        return time.monotonic(), busy, ours

    def cores(self, server_s: float) -> float:
        """``server_s``: CPU of the server, which is none of them."""
        wall, busy, ours = (b - a for a, b in zip(self._began, self._now(), strict=True))
        return max(0.0, busy - ours - server_s) / wall


def server_cpu_s(url: str) -> float:
    with redis.Redis.from_url(url) as client:
        info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


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
    held = True
    with server(options.redis) as url, tempfile.TemporaryDirectory() as spool:
        for name in options.variant or VARIANTS:
            variant = VARIANTS[name]
            run_arm(url, 1000, variant, "")
            rows = []
            neighbours, server_s = Neighbours(), server_cpu_s(url)
            for number in range(options.pairs):
                rows.append(run_pair(url, options.jobs, variant, spool, number))
                print(f"{name}: pair {number + 1}/{options.pairs}", file=sys.stderr)
            others = neighbours.cores(server_cpu_s(url) - server_s)
            low, high = report(name, rows, options.jobs)
            print(f"meanwhile others used {others:.2f} cores")
            if name == "pinned":
                word = verdict(low, high)
                print(f"at most {LIMIT_US:g} us a job: {word} ({low:.1f} .. {high:.1f} us)")
                held = held and word != "does not hold"
            print()
        size, speed = bytes_per_event(Path(spool))
    print(f"{size:.1f} bytes per event; read back at {speed:,.0f} events/s")
    print(f"beginning a new file: {new_file_us():.2f} us/job more")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
