"""Is this machine set up to measure on? One small check each, for `perfkit doctor`.

A check that is not fulfilled is a value, never an exception: ``ok`` False means that something will
not work, None that it works but should be known of.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perfkit.clock import Clock
from perfkit.errors import PerfkitError
from perfkit.telemetry.facts import cgroup_cpu_limit, usable_cpus, versions
from perfkit.telemetry.packages import needed_packages
from perfkit.telemetry.procfs import CpuTimes, parse_cpu_times, parse_kib, read_bytes
from perfkit.units import format_bytes, format_count, format_duration, format_percent

__all__ = [
    "Check",
    "check_clock",
    "check_cores",
    "check_hugepages",
    "check_memory",
    "check_open_files",
    "check_overcommit",
    "check_packages",
    "check_pressure",
    "check_python",
    "check_redis_clients",
    "check_redis_server",
    "check_results",
    "check_steal",
    "check_system",
    "check_timer",
]

_OLDEST_PYTHON: Final = (3, 11)
_SPARE_FILES: Final = 200  # sockets to workers and Redis, spools, logs, libraries
_SERVER_FILES: Final = 32  # what a Redis server keeps for itself beside its clients
_LEAST_MEMORY: Final = 1024**3
_LEAST_DISK: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: True fine, False must be mended, None worth knowing."""

    name: str
    ok: bool | None
    detail: str
    mend: str = ""


def check_system(platform: str = sys.platform) -> Check:
    """Measuring needs Linux; reading runs does not."""
    if platform.startswith("linux"):
        return Check("system", True, "Linux")
    return Check(
        "system", False, platform, "measure on Linux; reports can be read and rendered here"
    )


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Python 3.11 or later."""
    written = ".".join(str(part) for part in version)
    if tuple(version[:2]) >= _OLDEST_PYTHON:
        return Check("python", True, written)
    return Check("python", False, written, "install Python 3.11 or later and run `make setup`")


def check_open_files(connections: int, limits: tuple[int, int] | None = None) -> Check:
    """Whether the hard limit allows so many connections."""
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE_FILES
    detail = (
        f"soft {_limit(soft)}, hard {_limit(hard)}; "
        f"{connections} connections need about {needed} files"
    )
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Check("open files", True, detail)
    return Check(
        "open files",
        False,
        detail,
        f"raise the hard limit (`ulimit -Hn {needed}` as root, or LimitNOFILE= of the service), "
        "or lower load.connections or users",
    )


def check_redis_clients(profile: str, clients: int, limits: tuple[int, int] | None = None) -> Check:
    """Whether a server of our own gets as many clients as a profile asks for.

    Never False: a server that may not open so many files starts all the same, with fewer.
    """
    _, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"the profile {profile} asks for {format_count(clients)}"
    needed = clients + _SERVER_FILES
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Check("redis clients", True, detail)
    return Check(
        "redis clients",
        None,
        f"{detail}; the hard limit of {format_count(hard)} open files allows "
        f"{format_count(max(0, hard - _SERVER_FILES))}",
        f"matters only for that profile: `ulimit -Hn {needed}` as root, or LimitNOFILE= of the "
        "service",
    )


def check_cores(
    root: Path = Path("/"), *, affinity: Iterable[int] | None = None, total: int | None = None
) -> Check:
    """Enough cores that the instrument can have one of its own."""
    allowed = len(set(affinity if affinity is not None else usable_cpus()))
    total = total or os.cpu_count() or allowed
    limit = cgroup_cpu_limit(root)
    detail = f"{allowed} of {total} usable"
    if limit is not None and limit < allowed:
        detail += f", limited to {limit:g} by the cgroup"
    usable = min(allowed, limit if limit is not None else math.inf)
    if usable >= 4:
        return Check("cores", True, detail)
    return Check(
        "cores",
        None,
        f"{detail}: the instrument shares them with what it measures",
        "four cores or more give it one of its own; with fewer, trust differences more than levels",
    )


def check_memory(root: Path = Path("/")) -> Check:
    """A gigabyte left for Redis, workers and the analysis."""
    left = parse_kib(read_bytes(root / "proc/meminfo") or b"", b"MemAvailable")
    if left is None:
        return Check("memory", None, "not told by the kernel", "")
    detail = f"{format_bytes(left)} available"
    if left >= _LEAST_MEMORY:
        return Check("memory", True, detail)
    return Check("memory", False, detail, "end other programs until 1 GiB is free")


def check_pressure(root: Path = Path("/")) -> Check:
    """Pressure files, which tell a busy host from a slow system."""
    found = [kind for kind in ("cpu", "memory", "io") if read_bytes(root / "proc/pressure" / kind)]
    if "cpu" in found:
        return Check("pressure", True, ", ".join(found))
    return Check(
        "pressure",
        None,
        "the kernel tells no CPU pressure",
        "boot with psi=1 so that reports can tell a busy host from a slow system",
    )


def check_clock(resolution_ns: int, clocksource: str = "") -> Check:
    """Resolution of the monotonic clock: microseconds are measured with it."""
    detail = f"monotonic to {format_duration(resolution_ns)}"
    if clocksource:
        detail += f", by {clocksource}"
    if resolution_ns > 1_000:
        return Check(
            "clock",
            False,
            detail,
            "choose a clocksource with nanoseconds, such as tsc or kvm-clock",
        )
    if clocksource in ("hpet", "acpi_pm", "jiffies"):
        return Check(
            "clock",
            None,
            f"{detail}: reading it is slow",
            "choose tsc or kvm-clock in /sys/devices/system/clocksource",
        )
    return Check("clock", True, detail)


def check_timer(clock: Clock, *, sleeps: int = 200, sleep_ns: int = 1_000_000) -> Check:
    """How late a sleeper is woken: P99 over some short sleeps (about 0.2 s).

    Jobs are sent by such wake-ups, so this is the floor of the send lag.
    """
    overshoots: list[int] = []
    for _ in range(sleeps):
        due_ns = clock.now_ns() + sleep_ns
        clock.sleep_until(due_ns)
        overshoots.append(clock.now_ns() - due_ns)
    overshoots.sort()
    p99 = overshoots[math.ceil(0.99 * len(overshoots)) - 1]
    detail = (
        f"{sleeps} sleeps of {format_duration(sleep_ns)}: woken late by "
        f"{format_duration(p99)} at P99, {format_duration(overshoots[-1])} at most"
    )
    if p99 <= 1_000_000:
        return Check("timer", True, detail)
    return Check(
        "timer", None, detail, "quiet the host: other programs or other guests take its cores"
    )


def check_steal(clock: Clock, root: Path = Path("/"), *, span_ns: int = 500_000_000) -> Check:
    """Time other guests take from this one, now."""
    before = _cpu_times(root)
    clock.sleep_until(clock.now_ns() + span_ns)
    after = _cpu_times(root)
    if before is None or after is None:
        return Check("steal", None, "not told by the kernel")
    stolen = after.steal_ns - before.steal_ns
    passed = stolen + sum(
        getattr(after, part) - getattr(before, part) for part in ("busy_ns", "idle_ns", "iowait_ns")
    )
    share = stolen / passed if passed > 0 else 0.0
    detail = f"{format_percent(share)} of CPU time over {format_duration(span_ns)}"
    if share < 0.01:
        return Check("steal", True, detail)
    return Check("steal", None, detail, "other guests take part of this machine: measure later")


def check_packages(packages: Iterable[str] | None = None) -> Check:
    """Whether all that perfkit stands on is installed (by metadata; nothing is imported)."""
    needed = needed_packages() if packages is None else tuple(packages)
    if not needed:
        return Check("packages", False, "perfkit itself is not installed", "run `make setup`")
    found = versions(needed)
    missing = [package for package in needed if package not in found]
    if not missing:
        return Check("packages", True, f"all {len(needed)} installed")
    return Check(
        "packages", False, f"missing: {', '.join(missing)}", "run `make setup`, or install them"
    )


def check_results(folder: Path) -> Check:
    """Whether runs can be written there; the folder itself is not made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Check(
            "results",
            False,
            f"{folder} can't be written: {error.strerror or error}",
            "choose another folder with --results or PERFKIT_RESULTS",
        )
    detail = f"{folder}, {format_bytes(free)} free"
    if free >= _LEAST_DISK:
        return Check("results", True, detail)
    return Check("results", None, detail, "a long run may need more: free some disk")


def check_redis_server(find: Callable[[], object]) -> Check:
    """Whether a server binary is found; ``find`` returns what it found or raises PerfkitError."""
    try:
        found = find()
    except PerfkitError as error:
        return Check("redis server", False, error.what, error.mend)
    return Check("redis server", True, str(found))


def check_overcommit(root: Path = Path("/")) -> Check:
    """Redis forks to save; without overcommit that fork can fail."""
    mode = (read_bytes(root / "proc/sys/vm/overcommit_memory") or b"").strip()
    if mode == b"1":
        return Check("overcommit", True, "vm.overcommit_memory = 1")
    return Check(
        "overcommit",
        None,
        f"vm.overcommit_memory = {mode.decode('ascii', 'replace') or 'unknown'}",
        "matters only for profiles that save, with much data: sysctl vm.overcommit_memory=1",
    )


def check_hugepages(root: Path = Path("/")) -> Check:
    """Transparent huge pages on "always" make Redis' forks slow and its memory larger."""
    text = (read_bytes(root / "sys/kernel/mm/transparent_hugepage/enabled") or b"").decode()
    chosen = text.partition("[")[2].partition("]")[0]
    if chosen != "always":
        return Check("huge pages", True, chosen or "not built in")
    return Check(
        "huge pages",
        None,
        "always",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled for steadier Redis latency",
    )


def _cpu_times(root: Path) -> CpuTimes | None:
    return parse_cpu_times(read_bytes(root / "proc/stat") or b"")


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)
