"""What the load generator costs and how late it sends, against a bare local server.

    python -m tests.benchmarks.bench_generator [--seconds 5] [--rounds 3]

Each row is the median of the rounds, which are interleaved. The server is a process of its own and
does next to nothing; with two CPUs or more, server and client are pinned to one each. "per core"
is requests answered per second of CPU that the client used, so a busy machine does not change it
much; the lag it does change, hence the last column: time the client was ready to run and could not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final, cast

from perfkit.load.arrivals import Segment, Think
from perfkit.load.opening import lead_ns
from perfkit.load.spec import JobShare, LoadSpec

ROOT: Final = Path(__file__).resolve().parents[2]
SECOND: Final = 1_000_000_000
CPUS: Final = sorted(os.sched_getaffinity(0))
CLIENT_CPU: Final = CPUS[-1]
Row = dict[str, float]

_HEAD = b"HTTP/1.1 202 Accepted\r\ncontent-length: 64\r\ncontent-type: application/json\r\n\r\n"
_KEY = b"Idempotency-Key: "


class BareServer(asyncio.Protocol):
    """Takes each piece that arrives for one request and answers 202 with its id."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        place = data.find(_KEY) + len(_KEY)
        self._transport.write(
            _HEAD + b'{"id":"' + data[place : place + 36] + b'","queue":"payments"}'
        )


async def serve() -> None:
    """Listen on a free port, print it, and stay until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(BareServer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def serving() -> Iterator[int]:
    """The bare server in its own process; yields the port."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_generator", "--serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.communicate("")


def run_load(port: int, seconds: float, **load: Any) -> Row:
    """One generator process, pinned; its figures."""
    load_ns = round(seconds * SECOND)
    with tempfile.TemporaryDirectory() as folder:
        spec = LoadSpec(
            base_url=f"http://127.0.0.1:{port}",
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
        path = Path(folder) / "spec.json"
        path.write_text(spec.to_json())
        command = [sys.executable, "-m", "perfkit.load", str(path)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [*command, "--lifeline-fd", "0", "--await-go"], stdin=pipe, stdout=pipe, cwd=ROOT
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            client.stdin.write(b"%d\n" % (monotonic_ns() + lead_ns(spec)))
            client.stdin.flush()
            while b"finished" not in client.stdout.readline():
                pass
        said = json.loads((Path(folder) / "generator.json").read_text())
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


def cases(port: int, seconds: float) -> dict[str, Callable[[], Row]]:
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
        return lambda: run_load(port, load_s, model="closed", segments=segments, **more)

    def rate(segments: tuple[Segment, ...]) -> Callable[[], Row]:
        return lambda: run_load(port, seconds, model="open", segments=segments, arrivals="poisson")

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


def print_peers(port: int, seconds: float) -> None:
    """The ceiling of a client in C, for scale."""
    for name in ("k6", "wrk"):
        if shutil.which(name) is None:
            print(f"{name}: not here, skipped")
    if shutil.which("wrk") is None:
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
                [*command.split(), f"http://127.0.0.1:{port}/jobs/payments"],
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
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        import uvloop

        os.sched_setaffinity(0, {CPUS[0]})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
        return
    with serving() as port:
        measurements = cases(port, given.seconds)
        rounds: dict[str, list[Row]] = {name: [] for name in measurements}
        for _ in range(given.rounds):
            for name, measure in measurements.items():
                rounds[name].append(measure())
        print_table(rounds)
        print_peers(port, min(given.seconds, 3.0))


if __name__ == "__main__":
    main()
