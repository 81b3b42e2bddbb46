"""What the load generator costs and how late it sends, against a bare local server.

    python -m tests.benchmarks.bench_generator [--seconds 5] [--rounds 3]

Each row is the median of the rounds, which are interleaved. The server is a process of its own and
does next to nothing; with two CPUs or more, server and client are pinned to one each. "per core"
is requests answered per second of CPU that the client used, so a busy machine does not change it
much; the lag it does change, hence the last column: time the client was ready to run and could not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any, Final

from perfkit.load.arrivals import Segment, Think
from perfkit.load.spec import JobShare, JourneySpec, LoadSpec
from tests.benchmarks.clients import CLIENT_CPU, serving
from tests.load.sending import send

SECOND: Final = 1_000_000_000
Row = dict[str, float]


def run_load(url: str, seconds: float, **load: Any) -> Row:
    """One generator process, pinned; its figures."""
    load_ns = round(seconds * SECOND)
    with tempfile.TemporaryDirectory() as folder:
        spec = LoadSpec(
            base_url=url,
            trial=0,
            nonce="bench",
            seed=1,
            jobs=(
                JobShare("payments", 22),
                JobShare("notifications", 47),
                JobShare("webhooks", 31),
            ),
            start_ns=0,
            load_ns=load_ns,
            output=folder,
            cpus=(CLIENT_CPU,),
            **load,
        )
        said = send(spec)
    if said["errored"] or said["dropped"]:
        raise SystemExit(f"the bare server lost requests: {said}")
    lag = said["send_lag_ns"]
    return {
        "rate": said["accepted"] / said["wall_ns"] * SECOND,
        "per core": said["accepted"] / said["cpu_ns"] * SECOND,
        "CPU": said["cpu_ns"] / said["wall_ns"],
        **{f"lag {name}": lag[name] / 1e6 for name in ("p50", "p99", "max")},
        "waited": (said["run_queue_wait_ns"] or 0) / said["wall_ns"],
    }


def cases(url: str, seconds: float) -> dict[str, Callable[[], Row]]:
    """Name and measurement."""
    think = Think("uniform", SECOND, 3 * SECOND)
    long = Think("uniform", 10 * SECOND, 30 * SECOND)
    whole = round(seconds * SECOND)

    def level(value: float, ramp_ns: int = 0) -> tuple[Segment, ...]:
        return Segment(ramp_ns, 0.0, value), Segment(60 * SECOND + whole, value, value)

    def spike(low: float, high: float) -> tuple[Segment, ...]:
        """A third each: before, a jump up, and a ramp down again."""
        third = whole // 3
        return (
            Segment(third, low, low),
            Segment(third, high, high),
            Segment(third, high, low),
        )

    def users(segments: tuple[Segment, ...], **more: Any) -> Callable[[], Row]:
        load_s = more.pop("seconds", seconds)
        return lambda: run_load(url, load_s, model="closed", segments=segments, **more)

    def rate(segments: tuple[Segment, ...]) -> Callable[[], Row]:
        return lambda: run_load(url, seconds, model="open", segments=segments, arrivals="poisson")

    return {
        # The ramp is as long as the mean think time, so that the users do not come in step.
        "1000 users, think 1-3 s": users(level(1000, 2 * SECOND), think=think),
        "spike 100 to 1000 users": users(spike(100, 1000), think=think),
        "10,000 users, think 10-30 s": users(
            level(10_000, 10 * SECOND),
            think=long,
            connections=10_000,
            idle_limit_ns=60 * SECOND,
            seconds=max(seconds, 20.0),
        ),
        "open, 500/s": rate(level(500)),
        "open, 2000/s": rate(level(2000)),
        "open, spike 200 to 2000/s": rate(spike(200, 2000)),
        "back to back, 64 connections": users(level(64)),
        "back to back, 1000 connections": users(level(1000)),
        # A coroutine of a user's with ordinary httpx calls, on the client that it is given.
        "user code, 64 users": users(
            level(64),
            journey=JourneySpec(name="customer", user="tests.benchmarks.customer:customer"),
            seconds=seconds,
        ),
    }


def print_table(rounds: dict[str, list[Row]]) -> None:
    """Medians, one line a case."""
    print(
        f"{'':32}{'requests/s':>12}{'per core':>10}{'CPU':>8}"
        f"{'lag P50':>9}{'P99':>8}{'max ms':>9}{'waited':>8}"
    )
    for name, rows in rounds.items():
        of = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        print(
            f"{name:32}{of['rate']:12,.0f}{of['per core']:10,.0f}{of['CPU']:8.1%}"
            f"{of['lag p50']:9.2f}{of['lag p99']:8.2f}{of['lag max']:9.2f}{of['waited']:8.1%}"
        )


def print_wrk(url: str, seconds: float) -> None:
    """The ceiling of a client in C, for scale; for k6 and Locust see `bench_peers`."""
    if shutil.which("wrk") is None:
        print("wrk: not here, skipped")
        return
    script = (
        'wrk.method="POST" wrk.body="{\\"key\\":\\"1/123456\\"}" '
        'wrk.headers["Idempotency-Key"]="0b24c1f0-5d8a-4c36-9a8d-000000000000"'
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        for connections in (64, 1000):
            command = f"wrk -t1 -c{connections} -d{seconds:g}s -s {file.name}"
            done = subprocess.run(
                [*command.split(), f"{url}/jobs/payments"],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CPU}),
            )
            found = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
            rate = float(found[1]) if found else float("nan")
            print(f"wrk, one prebuilt request, {connections} connections: {rate:,.0f} requests/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="load of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with serving() as server:
        measurements = cases(server.url, given.seconds)
        rounds: dict[str, list[Row]] = {name: [] for name in measurements}
        for _ in range(given.rounds):
            for name, measure in measurements.items():
                rounds[name].append(measure())
        print_table(rounds)
        print_wrk(server.url, min(given.seconds, 3.0))


if __name__ == "__main__":
    main()
