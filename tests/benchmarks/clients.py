"""Load generators side by side: ours, k6 and Locust, each doing the same work on one core.

The work: POST with an Idempotency-Key and a JSON body of its own for each request, keep-alive,
status and id of the JSON reply read, a raw row of each request kept in a file. k6 writes its CSV
log; Locust's rows are written by a listener; ours are the ledger.

What a client costs is asked of the kernel (user + system of all its processes), what it did of the
server, both over the same stretch in the middle of the load: start and end of a program don't
count, and no client is believed about itself. A peer is found on PATH or by an environment variable
(PERFKIT_BENCH_K6, PERFKIT_BENCH_LOCUST); one that is absent is skipped with a word.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from perfkit.load.arrivals import Segment
from perfkit.load.spec import JobShare, JourneySpec, LoadSpec
from tests.leaks import descendants_of
from tests.load.sending import child, sender

Model = Literal["open", "closed"]

OURS: Final = "perfkit"
USER_CODE: Final = "user code"
SECOND: Final = 1_000_000_000
CPUS: Final = sorted(os.sched_getaffinity(0))
SERVER_CPU: Final = CPUS[0]
CLIENT_CPU: Final = CPUS[-1]
PEERS: Final = Path(__file__).resolve().parent / "peers"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAUSE: Final = threading.Event()


@dataclass(frozen=True, slots=True)
class Work:
    """What a client is asked to do. ``rate`` None: back to back."""

    connections: int
    seconds: float
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One measurement of one client."""

    requests_per_s: float
    per_core: float
    """Requests answered per second of CPU."""
    whole_per_core: float
    """The same over the whole life of the client: start, end and making its files included."""
    cpu: float
    """Share of a core."""
    lag_ms: npt.NDArray[np.float64]
    """P50, P99 and max of a constant schedule's lateness at the server; NaN without a schedule."""


class Server:
    """The counting server, pinned."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        os.sched_setaffinity(process.pid, {SERVER_CPU})
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    def count(self) -> int:
        """Requests answered until now."""
        return self._ask("count")

    def arrivals(self) -> npt.NDArray[np.int64]:
        """Instants of the requests since the last call."""
        with tempfile.NamedTemporaryFile() as file:
            self._ask(file.name)
            return np.frombuffer(Path(file.name).read_bytes(), np.int64)

    def _ask(self, words: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{words}\n".encode())
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        if said["wrong"]:
            raise SystemExit(f"{said['wrong']} requests were not the work of a run")
        return int(said["count"])


@contextmanager
def serving() -> Iterator[Server]:
    """The counting server, for as long as the block."""
    with child("tests.benchmarks.counting") as (process, port):
        yield Server(process, port)


Client = Callable[[str, Work, Path], Any]
"""Starts the client in a folder; a context that yields its process and ends when that has."""


@contextmanager
def ours(url: str, work: Work, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run's generator: an open schedule (of too many, where there is no rate)."""
    rate = work.rate or OVERLOAD_PER_S
    with sender(_spec(url, work, folder, model="open", level=rate)) as (process, _):
        yield process


@contextmanager
def user_code(url: str, work: Work, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A coroutine of a user's on our `AsyncClient`, users without think time."""
    journey = JourneySpec(name="user", user=f"{PEERS / 'journey.py'}:user")
    level = float(work.connections)
    spec = _spec(url, work, folder, model="closed", level=level)
    with sender(replace(spec, journey=journey)) as (process, _):
        yield process


def _spec(url: str, work: Work, folder: Path, *, model: Model, level: float) -> LoadSpec:
    duration_ns = round(work.seconds * SECOND)
    return LoadSpec(
        base_url=url,
        model=model,
        trial=0,
        nonce="bench",
        seed=1,
        jobs=(JobShare("payments", 1.0),),
        start_ns=0,
        load_ns=duration_ns,
        output=str(folder),
        segments=(Segment(duration_ns, level, level),),
        connections=work.connections,
        max_in_flight=10_000_000,
        grace_ns=0,
        cpus=(CLIENT_CPU,),
    )


OVERLOAD_PER_S: Final = 45_000.0
"""Above what a core can send, so that the schedule is always ahead, and all connections in use."""


@contextmanager
def k6(url: str, work: Work, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """k6 with its CSV log; the Go runtime sees one CPU."""
    variables = {
        "URL": url,
        "USERS": str(work.connections),
        "DURATION": f"{work.seconds:g}s",
        "RATE": "" if work.rate is None else f"{work.rate:g}",
        "K6_NO_USAGE_REPORT": "true",
    }
    command = [found("k6"), "run", "--quiet", "--no-summary", "--no-thresholds", "--address", ""]
    with _started(
        [*command, "--out", f"csv={folder / 'rows.csv'}", str(PEERS / "k6.js")], variables, folder
    ) as process:
        yield process


@contextmanager
def locust(url: str, work: Work, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Locust's FastHttpUser; it knows no arrival rate."""
    users = str(work.connections)
    command = [found("locust"), "-f", str(PEERS / "locustfile.py"), "--headless", "--only-summary"]
    more = ["-u", users, "-r", users, "-t", f"{work.seconds:g}s", "--host", url]
    with _started(
        [*command, *more, "--loglevel", "ERROR"], {"ROWS": str(folder / "rows.csv")}, folder
    ) as process:
        yield process


CLIENTS: Final[dict[str, Client]] = {
    OURS: ours,
    "k6": k6,
    USER_CODE: user_code,
    "locust": locust,
}


def found(name: str) -> str:
    """The program of a peer; empty where it is not installed."""
    return os.environ.get(f"PERFKIT_BENCH_{name.upper()}") or shutil.which(name) or ""


def present() -> list[str]:
    """Clients that can be measured; says which can't."""
    absent = [name for name in CLIENTS if name not in (OURS, USER_CODE) and not found(name)]
    for name in absent:
        print(f"{name}: not here, skipped (PATH, or PERFKIT_BENCH_{name.upper()})")
    return [name for name in CLIENTS if name not in absent]


@contextmanager
def _started(
    command: list[str], variables: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            env=os.environ | variables,
            preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CPU}),
        )
        try:
            yield process
            if process.wait(60):
                raise SystemExit(f"{command[0]} failed:\n{log.read_text()[-2000:]}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if (folder / "rows.csv").stat().st_size == 0:
        raise SystemExit(f"{command[0]} kept no rows:\n{log.read_text()[-2000:]}")


def measure(name: str, server: Server, work: Work) -> Found:
    """Run a client, and look at it from its first second to the last but a half."""
    with tempfile.TemporaryDirectory() as folder:
        before, used_s = server.count(), _children_cpu_s()
        server.arrivals()
        with CLIENTS[name](server.url, work, Path(folder)) as process:
            deadline_ns = monotonic_ns() + 60 * SECOND
            while server.count() == before:
                if process.poll() is not None or monotonic_ns() > deadline_ns:
                    log = Path(folder) / "log.txt"
                    raise SystemExit(f"{name} sent nothing: {log.read_text()[-2000:]}")
                _PAUSE.wait(0.02)
            _PAUSE.wait(1.0)
            first_ns, first, cpu_s = monotonic_ns(), server.count(), _cpu_s(process.pid)
            _PAUSE.wait(work.seconds - 1.5)
            last_ns, last, cpu_s = monotonic_ns(), server.count(), _cpu_s(process.pid) - cpu_s
        all_of_it = server.count() - before
        used_s = _children_cpu_s() - used_s  # the client's alone: the server has not ended
    if not (last > first and cpu_s > 0):
        raise SystemExit(
            f"{name} sent nothing for {work.seconds - 1.5:g} s: other work has the core"
        )
    wall_s = (last_ns - first_ns) / SECOND
    stamps = server.arrivals()
    inside = stamps[(stamps >= first_ns) & (stamps <= last_ns)]
    return Found(
        requests_per_s=(last - first) / wall_s,
        per_core=(last - first) / cpu_s,
        whole_per_core=all_of_it / used_s,
        cpu=cpu_s / wall_s,
        lag_ms=lateness_ms(inside, work.rate),
    )


def lateness_ms(arrivals_ns: npt.NDArray[np.int64], rate: float | None) -> npt.NDArray[np.float64]:
    """P50, P99, max of how late requests came, against the grid of a constant rate.

    The grid's begin is unknown: it lies where the earliest one is in time, so what is late for all
    is not seen, of any client. A request that was never sent shifts all that follow by a period.
    """
    if rate is None or not len(arrivals_ns):
        return np.full(3, np.nan)
    behind = arrivals_ns - arrivals_ns[0] - np.arange(len(arrivals_ns)) * (SECOND / rate)
    return np.quantile(behind - behind.min(), (0.5, 0.99, 1.0)) / 1e6


def _children_cpu_s() -> float:
    """User and system time of the children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """User and system time of a process and all below it."""
    total = 0
    for each in {pid, *descendants_of(pid)}:
        fields = Path(f"/proc/{each}/stat").read_bytes().rpartition(b")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS
