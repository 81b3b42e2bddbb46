"""Reading /proc: files held open, and parsers of what the kernel writes in them.

Field numbers and units are those of proc(5) and Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "PAGE_BYTES",
    "TICK_NS",
    "CpuTimes",
    "HeldFile",
    "HeldFolder",
    "ProcessStat",
    "parse_cpu_times",
    "parse_kib",
    "parse_pressure_some_ns",
    "parse_process_stat",
    "parse_rss_anon",
    "read_bytes",
]

TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Length of the kernel's accounting tick, usually 10 ms: the resolution of CPU readings."""

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class HeldFile:
    """A file kept open and read from its start: half the price of opening it each time.

    A held file of a process stays bound to that process: once it is gone the read raises
    ProcessLookupError, even where its pid has been given to another.
    """

    __slots__ = ("_descriptor", "_size")

    def __init__(self, path: Path, size: int = 8192) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = size

    def read(self) -> bytes:
        """The first ``size`` bytes as they are now."""
        return os.pread(self._descriptor, self._size, 0)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class HeldFolder:
    """A folder kept open: its files are found without walking the path, in the same process."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def names(self) -> list[str]:
        """What is in it; nothing when it is gone."""
        try:
            return os.listdir(self._descriptor)  # noqa: PTH208 - a descriptor has no path
        except OSError:
            return []

    def read(self, relative: str) -> bytes:
        """The first 256 bytes of a file in it, or nothing where that can't be read."""
        try:
            descriptor = os.open(relative, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._descriptor)
        except OSError:
            return b""
        try:
            return os.read(descriptor, 256)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the folder; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_bytes(path: Path | str) -> bytes | None:
    """The whole of a small file, or None where there is none or it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(descriptor, 65_536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Time of all CPUs since boot, in ns. ``busy_ns`` counts neither idle, iowait nor steal."""

    busy_ns: int
    idle_ns: int
    iowait_ns: int
    steal_ns: int


def parse_cpu_times(data: bytes) -> CpuTimes | None:
    """The first line of /proc/stat; guest time is in user already and not counted twice."""
    line, _, _ = data.partition(b"\n")
    label, *fields = line.split() or [b""]
    if label != b"cpu" or len(fields) < 8:
        return None
    try:
        ticks = [int(field) for field in fields[:8]]
    except ValueError:
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = ticks
    return CpuTimes(
        busy_ns=(user + nice + system + irq + softirq) * TICK_NS,
        idle_ns=idle * TICK_NS,
        iowait_ns=iowait * TICK_NS,
        steal_ns=steal * TICK_NS,
    )


def parse_kib(data: bytes, key: bytes) -> int | None:
    """Bytes of a line "Key:   123 kB" in /proc/meminfo or /proc/<pid>/status."""
    _, found, rest = (b"\n" + data).partition(b"\n" + key + b":")
    words = rest.partition(b"\n")[0].split()
    if not found or not words or not words[0].isdigit():
        return None
    return int(words[0]) * (1024 if words[-1] == b"kB" else 1)


def parse_pressure_some_ns(data: bytes) -> int | None:
    """Total time in which some task waited, from a file of /proc/pressure (written in µs)."""
    for line in data.splitlines():
        if line.startswith(b"some "):
            _, found, total = line.rpartition(b"total=")
            return int(total) * 1000 if found and total.isdigit() else None
    return None


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What is used of /proc/<pid>/stat; ``cpu_ns`` is user + system of all its threads."""

    state: str
    cpu_ns: int
    threads: int

    @property
    def ended(self) -> bool:
        """Whether it is only waiting to be reaped."""
        return self.state in "ZX"


def parse_process_stat(data: bytes) -> ProcessStat | None:
    """Fields 3, 14, 15 and 20; the name before them may hold spaces and brackets."""
    _, _, rest = data.rpartition(b")")
    fields = rest.split(None, 18)
    if len(fields) < 18 or not (fields[11] + fields[12] + fields[17]).isdigit():
        return None
    return ProcessStat(
        state=fields[0].decode("ascii", "replace"),
        cpu_ns=(int(fields[11]) + int(fields[12])) * TICK_NS,
        threads=int(fields[17]),
    )


def parse_rss_anon(data: bytes) -> int | None:
    """Bytes of anonymous memory from /proc/<pid>/statm: resident less shared pages.

    The same counters as RssAnon in /proc/<pid>/status, at a fifth of the price; None for a process
    that has no memory any more.
    """
    fields = data.split(None, 3)
    if len(fields) < 3 or not (fields[1] + fields[2]).isdigit() or fields[1] == b"0":
        return None
    return (int(fields[1]) - int(fields[2])) * PAGE_BYTES
