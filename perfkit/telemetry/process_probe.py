"""The "processes" probe: CPU, memory and run-queue wait of every process that has a name."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from perfkit.clock import Clock
from perfkit.telemetry.procfs import (
    HeldFile,
    HeldFolder,
    parse_process_stat,
    parse_rss_anon,
)
from perfkit.telemetry.reading import Reading

__all__ = ["ProcessProbe", "ProcessTable", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A process to watch."""

    name: str
    pid: int


class ProcessTable:
    """Who is watched: a mapping name -> pid that any thread may change while it is read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._targets: dict[str, Target] = {}

    def put(self, name: str, pid: int) -> None:
        """Watch ``pid`` under ``name`` from the next tick on, instead of what had the name."""
        with self._lock:
            self._targets[name] = Target(name, pid)

    def keep(self, names: Collection[str]) -> None:
        """Watch none but these any more."""
        with self._lock:
            for name in self._targets.keys() - set(names):
                del self._targets[name]

    def targets(self) -> tuple[Target, ...]:
        """Who is watched now, in the order of joining."""
        with self._lock:
            return tuple(self._targets.values())


class ProcessProbe:
    """Readings per name in the table; a process that is gone yields none.

    ``process.cpu_ns`` and ``process.run_queue_wait_ns`` are cumulative per *name*: when a worker is
    replaced, the total goes on from where it was, so that the difference over a window is what the
    name used in it. CPU has the kernel's tick of 10 ms. The
    run-queue wait is the sum over threads (the file of the process itself tells of its first thread
    only). As that takes one file for each thread, it is read on every ``threads_every``-th tick of
    a name, and of different names on different ticks.
    """

    def __init__(
        self, table: ProcessTable, *, root: Path = Path("/proc"), threads_every: int = 10
    ) -> None:
        self._table = table
        self._root = root
        self._threads_every = threads_every
        self._ticks = 0
        self._series: dict[str, _Series] = {}
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return "processes"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

    def take(self, clock: Clock) -> list[Reading]:
        self._ticks += 1
        readings: list[Reading] = []
        targets = self._table.targets()
        for name in self._series.keys() - {target.name for target in targets}:
            self._series.pop(name).leave()
        for position, target in enumerate(targets):
            deep = (self._ticks + position) % self._threads_every == 0
            series = self._series.setdefault(target.name, _Series(self._root))
            try:
                joined = series.follow(target.pid)
                readings += series.read(target.name, deep or joined, clock)
            except OSError as error:  # not allowed to look, or out of file descriptors
                self._errors[type(error).__name__] += 1
        return readings

    def close(self) -> None:
        for series in self._series.values():
            series.leave()


@dataclass(slots=True)
class _Series:
    """The process behind one name, and what those before it have used."""

    root: Path
    pid: int | None = None
    process: _Process | None = None
    gone_cpu_ns: int = 0
    gone_wait_ns: int = 0

    def follow(self, pid: int) -> bool:
        """Take in who has the name now; True when that is somebody new."""
        if pid == self.pid:
            return False
        self.leave()
        self.pid = pid
        try:
            self.process = _Process(self.root / str(pid))
        except (FileNotFoundError, ProcessLookupError):
            return False  # ended before we could look: no reading
        except OSError:
            self.pid = None  # looked at again on the next tick
            raise
        return True

    def read(self, name: str, deep: bool, clock: Clock) -> list[Reading]:
        process = self.process
        if process is None:
            return []
        if not process.read():
            self.leave()
            return []
        now_ns = clock.now_ns()
        cpu_ns = self.gone_cpu_ns + process.cpu_ns
        readings = [
            Reading("process.cpu_ns", name, float(cpu_ns), now_ns),
            Reading("process.rss_anon_bytes", name, float(process.rss_anon_bytes), now_ns),
            Reading("process.threads", name, float(process.threads), now_ns),
        ]
        if deep and process.read_waits():
            wait_ns = self.gone_wait_ns + process.wait_ns
            readings.append(
                Reading("process.run_queue_wait_ns", name, float(wait_ns), clock.now_ns())
            )
        return readings

    def leave(self) -> None:
        """Keep what the process has used, and let go of its files."""
        process, self.process = self.process, None
        if process is not None:
            self.gone_cpu_ns += process.cpu_ns
            self.gone_wait_ns += process.wait_ns
            process.close()


class _Process:
    """One process, by files that stay bound to it even if its pid is given to another."""

    __slots__ = (
        "_ended_waits_ns",
        "_memory",
        "_stat",
        "_tasks",
        "_waits_ns",
        "cpu_ns",
        "rss_anon_bytes",
        "threads",
    )

    def __init__(self, folder: Path) -> None:
        with ExitStack() as held:
            self._stat = HeldFile(folder / "stat", 1024)
            held.callback(self._stat.close)
            self._memory = HeldFile(folder / "statm", 256)
            held.callback(self._memory.close)
            self._tasks = HeldFolder(folder / "task")
            held.pop_all()
        self._waits_ns: dict[str, int] = {}
        self._ended_waits_ns = 0
        self.cpu_ns = 0
        self.rss_anon_bytes = 0
        self.threads = 0

    @property
    def wait_ns(self) -> int:
        """Time its threads were ready to run and did not, threads that ended included."""
        return self._ended_waits_ns + sum(self._waits_ns.values())

    def read(self) -> bool:
        """Bring the readings up to date; False when the process has ended."""
        try:
            stat = parse_process_stat(self._stat.read())
            rss_anon_bytes = parse_rss_anon(self._memory.read())
        except ProcessLookupError:
            return False
        if stat is None:
            return False
        self.cpu_ns = stat.cpu_ns
        if stat.ended or rss_anon_bytes is None:
            return False
        self.rss_anon_bytes, self.threads = rss_anon_bytes, stat.threads
        return True

    def read_waits(self) -> bool:
        """Sum the waits of all threads; False where the kernel does not tell them."""
        waits_ns: dict[str, int] = {}
        for thread in self._tasks.names():
            fields = self._tasks.read(f"{thread}/schedstat").split()
            if len(fields) >= 2 and fields[1].isdigit():
                waits_ns[thread] = int(fields[1])
        if not waits_ns:
            return False
        for thread, before_ns in self._waits_ns.items():
            if waits_ns.get(thread, -1) < before_ns:  # ended, or its number belongs to a new one
                self._ended_waits_ns += before_ns
        self._waits_ns = waits_ns
        return True

    def close(self) -> None:
        self._stat.close()
        self._memory.close()
        self._tasks.close()
