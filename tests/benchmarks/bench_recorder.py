"""What the recorder costs: process CPU per no-op job with and without it.

    python -m tests.benchmarks.bench_recorder [--variant plain] [--rounds 80] [--block 500]
                                              [--redis URL]

CPU time (user + system) of a process that enqueues jobs and works them off with 8 threads, divided
by their number. Two variants, the claim is the first:

alternating  one process on one core, the server on another if there is one, with two brokers, one
             of which is recorded. They take turns by blocks of jobs, in rounds of ABBA or BAAB:
             what a core costs drifts by a tenth within seconds, and a block is over before that
plain        each arm is a process of its own on all cores, 20,000 jobs: what an application sees,
             and what threads on two cores do to each other over the interpreter's lock, which
             differs from process to process and is most of the width of that interval

The interval is Student's t over rounds (over pairs of processes), at 95 %. Nothing is left out that
the recorder does; a block begins once the spool is open, and what a new file costs is given beside
it. Whether all jobs are acked is told by the last of them, not by asking the server, which would
cost CPU in both arms. A server of its own is started unless --redis is given, whose current
database is emptied.

Process CPU is what the kernel charged, and a busy neighbour makes it larger: it empties the caches
and slows the core down. So how much of the cores others used is given, and a wide interval is
called that, not a pass and not a failure. Ends with 1 if the claim does not hold.
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
from pathlib import Path
from typing import Any

import numpy as np
import redis
from scipy import stats

from tests.conftest import private_redis

ROOT = Path(__file__).resolve().parents[2]


LIMIT_US = 15.0
JOBS = 20_000
EVENTS_PER_JOB = 4  # ENQ, START, END, ACK


Row = tuple[float, float]
"""CPU without and with the recorder, in microseconds per job."""


class Arm:
    """A broker with one actor, and a worker of 8 threads, which only polls between the blocks."""

    def __init__(self, url: str, name: str, spool: str) -> None:
        """``spool`` empty: not recorded."""
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        self._broker = RedisBroker(url=url, namespace=name)  # type: ignore[no-untyped-call]
        self._left: Iterator[int] = iter(())
        self._last = threading.Event()
        arm = self

        class Counting(dramatiq.Middleware):
            def after_ack(self, broker: dramatiq.Broker, message: Any) -> None:
                if next(arm._left) == 0:
                    arm._last.set()

        self._broker.add_middleware(Counting())

        @dramatiq.actor(broker=self._broker)
        def nothing() -> None:
            pass

        self._actor = nothing
        self._recorder: Any = None
        if spool:
            from perfkit.recorder import install

            self._recorder = install(self._broker, Path(spool), name=name, role="worker")
        self._worker = dramatiq.Worker(self._broker, worker_threads=8)
        self._worker.start()

    def block(self, jobs: int) -> float:
        """CPU in seconds of enqueuing so many jobs and working them off."""
        self._left = itertools.count(jobs - 1, -1)  # one step of it is atomic
        self._last.clear()
        begin = time.process_time()
        for _ in range(jobs):
            self._actor.send()
        assert self._last.wait(600), "the jobs are not done"
        return time.process_time() - begin

    def close(self) -> None:
        """End the worker, then the spool."""
        self._worker.stop()
        if self._recorder is not None:
            self._recorder.close()


def alternate(url: str, spool: str, rounds: int, block: int) -> list[Row]:
    """One row for each round, measured in this process."""
    arms = (Arm(url, "plain", ""), Arm(url, "recorded", spool))
    try:
        for each in (*arms, *arms):
            each.block(block)  # connect, load the script, warm up
        rows = []
        for number in range(rounds):
            used = [0.0, 0.0]
            for side in (0, 1, 1, 0) if number % 2 == 0 else (1, 0, 0, 1):
                used[side] += arms[side].block(block)
            rows.append(_row(used, 2 * block))
        return rows
    finally:
        for each in arms:
            each.close()


def one_arm(url: str, jobs: int, spool: str) -> float:
    """CPU in seconds of one arm of a pair of processes, in this one."""
    mine = Arm(url, "recorded" if spool else "plain", spool)
    try:
        mine.block(100)
        return mine.block(jobs)
    finally:
        mine.close()


def run_pair(url: str, jobs: int, spool: str, number: int) -> Row:
    """Both arms, each in a process of its own."""
    used = [0.0, 0.0]
    for side in (0, 1) if number % 2 == 0 else (1, 0):
        used[side] = _child(url, "--arm", spool if side else "", "--block", str(jobs))
    return _row(used, jobs)


def _row(used_s: Sequence[float], jobs: int) -> Row:
    without, recorded = (each / jobs * 1e6 for each in used_s)
    return without, recorded


def _child(url: str, *arguments: str, cores: set[int] | None = None) -> Any:
    """What this module prints as JSON when it is run with these arguments."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    out = subprocess.run(
        [sys.executable, "-m", __spec__.name, *arguments],
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": url, "dramatiq_queue_prefetch": "256"},
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores or os.sched_getaffinity(0)),
    )
    return json.loads(out.stdout)


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


def report(title: str, rows: Sequence[Row]) -> tuple[float, float]:
    """Print the line of a variant; the interval of what a job costs."""
    without, recorded = zip(*rows, strict=True)
    mean, low, high = interval([b - a for a, b in zip(without, recorded, strict=True)])
    print(
        f"{title}: {np.mean(without):.1f} us of process CPU a job, with the recorder "
        f"{np.mean(recorded):.1f}; difference {mean:.1f}, 95 % CI {low:.1f} .. {high:.1f}"
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
    parser.add_argument("--variant", choices=("alternating", "plain"), action="append")
    parser.add_argument("--rounds", type=int, default=80, help="of the alternating variant")
    parser.add_argument("--block", type=int, default=500, help="jobs of a block")
    parser.add_argument("--pairs", type=int, default=6, help="of the plain variant")
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--alternate", metavar="SPOOL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alternate is not None:
        url = os.environ["REDIS_URL"]
        print(json.dumps(alternate(url, options.alternate, options.rounds, options.block)))
        return 0
    if options.arm is not None:
        print(json.dumps(one_arm(os.environ["REDIS_URL"], options.block, options.arm)))
        return 0
    held = True
    with server(options.redis) as url, tempfile.TemporaryDirectory() as spool:
        for name in options.variant or ("alternating", "plain"):
            neighbours, server_s = Neighbours(), server_cpu_s(url)
            if name == "plain":
                rows = [run_pair(url, JOBS, spool, number) for number in range(options.pairs)]
                title = f"plain: {len(rows)} pairs of processes, {JOBS} no-op jobs each"
            else:
                sizes = ("--rounds", str(options.rounds), "--block", str(options.block))
                one_core = {min(os.sched_getaffinity(0))}
                rows = _child(url, "--alternate", spool, *sizes, cores=one_core)
                title = f"alternating: {len(rows)} rounds of 4 blocks of {options.block} no-op jobs"
            others = neighbours.cores(server_cpu_s(url) - server_s)
            low, high = report(title, rows)
            print(f"meanwhile others used {others:.2f} cores")
            if name == "alternating":
                word = verdict(low, high)
                print(f"at most {LIMIT_US:g} us a job: {word} ({low:.1f} .. {high:.1f} us)")
                held = word != "does not hold"
            print()
        size, speed = bytes_per_event(Path(spool))
    print(f"{size:.1f} bytes per event; read back at {speed:,.0f} events/s")
    print(f"beginning a new file: {new_file_us():.2f} us/job more")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
