"""Many users from several generators on one clock, against a bare local server.

    python -m tests.benchmarks.bench_shards [--users N] [--rate R] [--shards K] [--seconds S]

Every user has a connection of its own and pauses between its requests so that all together send
the rate. The generators are started, merged and ended as a run does it; the server is a process of
its own and does next to nothing. All share the CPUs of this machine, none is pinned. "KiB a user"
is the largest resident memory of the shards, by the users: interpreter and libraries are in it.

Exit code 1: a request was lost, or a user costs 60 KiB or more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from perfkit.load.arrivals import Segment, Think
from perfkit.load.shards import merge
from perfkit.load.spec import JobShare, LoadSpec
from perfkit.runner.bare import serving
from perfkit.runner.shards import ShardedGenerator

SECOND: Final = 1_000_000_000
_PAUSE: Final = threading.Event()
_KIB_A_USER: Final = 60


def measure(url: str, users: int, rate: float, shards: int, seconds: float) -> dict[str, Any]:
    """One load, in steps as of a trial; ``generator.json``, and the memory of each shard in KiB."""
    think_ns = round(users / rate * SECOND)
    ramp_ns = think_ns  # so long that the users do not come in step
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        spec = LoadSpec(
            base_url=url,
            model="closed",
            trial=0,
            nonce="bench",
            seed=1,
            jobs=(JobShare("payments", 22), JobShare("webhooks", 78)),
            start_ns=0,
            load_ns=ramp_ns + round(seconds * SECOND),
            output=name,
            segments=(Segment(ramp_ns, 0, users), Segment(3600 * SECOND, users, users)),
            think=Think("uniform", think_ns // 2, think_ns * 3 // 2),
            connections=users,
            max_in_flight=users,
            idle_limit_ns=540 * SECOND,
        )
        generator = ShardedGenerator(spec, folder, shards)
        try:
            generator.wait_loaded()
            generator.go(time.monotonic_ns() + generator.lead_ns)
            memory = dict.fromkeys(generator.processes, 0)
            while not generator.ended():
                for name, pid in generator.processes.items():
                    memory[name] = max(memory[name], _peak_kib(pid))
                _PAUSE.wait(0.2)
            if generator.death is not None:
                raise SystemExit(generator.death.text)
        finally:
            generator.close()
        merge(folder)
        said: dict[str, Any] = json.loads((folder / "generator.json").read_text())
    return said | {"memory_kib": memory}


def _peak_kib(pid: int) -> int:
    """Largest resident set so far; 0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=2000.0, help="requests/s of all of them")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="after the ramp")
    given = parser.parse_args()
    with serving() as url:
        said = measure(url, given.users, given.rate, given.shards, given.seconds)
    lag, memory = said["send_lag_ns"], said["memory_kib"]
    a_user = sum(memory.values()) / given.users
    print(
        f"{given.users:,} users on connections of their own, {given.rate:,.0f} requests/s, "
        f"{given.shards} shards: {said['sent']:,} sent, {said['accepted']:,} accepted, "
        f"{said['dropped']:,} dropped, errors {said['errors'] or 'none'}"
    )
    for each in said["by_shard"]:
        name, share = f"generator-{each['shard']}", each["cpu_ns"] / each["wall_ns"]
        waited = (each["run_queue_wait_ns"] or 0) / each["wall_ns"]
        print(
            f"  shard {each['shard']}: {each['sent']:,} sent, {share:.1%} of a core, "
            f"waited {waited:.1%} of the time for one, lag P99 "
            f"{each['send_lag_ns']['p99'] / 1e6:.2f} ms, "
            f"{memory[name] / 1024:.0f} MiB"
        )
    print(
        f"  send lag P50 {lag['p50'] / 1e6:.2f} ms, P99 {lag['p99'] / 1e6:.2f} ms, "
        f"max {lag['max'] / 1e6:.2f} ms; {said['late']:,} late; "
        f"{said['cpu_ns'] / said['sent'] / 1e3:.0f} us a request; {a_user:.1f} KiB a user"
    )
    return int(bool(said["errors"] or said["dropped"]) or a_user >= _KIB_A_USER)


if __name__ == "__main__":
    sys.exit(main())
