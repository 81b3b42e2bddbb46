"""What a manifest says of the machine, the packages and the source a run was made with."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from perfkit.telemetry.packages import relevant_packages
from perfkit.telemetry.procfs import parse_cpu_times, parse_kib, read_bytes

__all__ = [
    "GitState",
    "HostFacts",
    "cgroup_cpu_limit",
    "cgroup_memory_limit",
    "git_state",
    "usable_cpus",
    "versions",
]

_MEMORY_STEP: Final = 256 * 1024**2
_GIT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine.

    ``fingerprint`` is equal for two runs exactly when cpu model, cpu count, memory (to 256 MiB, as
    kernels keep back a little more or less), kernel major.minor and machine id are; of machine id
    and host name only digests are kept. ``memory_bytes`` is what the host has,
    ``memory_total_bytes`` what we may use of it (the least limit of our cgroups, or all of it):
    what shares of memory are shares of. ``cgroup_cpus`` is a limit in cores or None;
    ``virtualization`` is a hint in words or None; ``steal_share`` is since boot, of all CPU time.
    """

    fingerprint: str
    hostname_hash: str
    cpus: int
    affinity: tuple[int, ...]
    cpu_model: str
    memory_bytes: int
    memory_total_bytes: int
    kernel: str
    python: str
    clock_resolution_ns: int
    clocksource: str
    cgroup_cpus: float | None
    virtualization: str | None
    steal_share: float
    open_files_soft: int
    open_files_hard: int
    transparent_hugepage: str

    @classmethod
    def read(cls, root: Path = Path("/")) -> HostFacts:
        """Facts of this host; ``root`` holds proc, sys and etc."""
        cpuinfo = read_bytes(root / "proc/cpuinfo") or b""
        model = _cpu_model(cpuinfo)
        memory = parse_kib(read_bytes(root / "proc/meminfo") or b"", b"MemTotal") or 0
        machine_id = (read_bytes(root / "etc/machine-id") or b"").strip()
        cpus = os.cpu_count() or 1
        kernel = platform.release()
        steal = _steal_share(read_bytes(root / "proc/stat") or b"")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        clocksource = root / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        return cls(
            fingerprint=_digest(
                model,
                str(cpus),
                str(round(memory / _MEMORY_STEP)),
                ".".join(kernel.split(".")[:2]),
                _digest("machine-id", machine_id.decode("ascii", "replace")),
            ),
            # Keyed, or a list of likely names would undo it.
            hostname_hash=_digest(socket.gethostname(), key=machine_id[:64]) if machine_id else "",
            cpus=cpus,
            affinity=usable_cpus(),
            cpu_model=model,
            memory_bytes=memory,
            memory_total_bytes=min(memory, cgroup_memory_limit(root) or memory),
            kernel=kernel,
            python=f"{platform.python_implementation()} {platform.python_version()}",
            clock_resolution_ns=max(1, round(time.get_clock_info("monotonic").resolution * 1e9)),
            clocksource=_word(read_bytes(clocksource)),
            cgroup_cpus=cgroup_cpu_limit(root),
            virtualization=_virtualization(root, cpuinfo, steal),
            steal_share=steal,
            open_files_soft=soft,
            open_files_hard=hard,
            transparent_hugepage=_bracketed(
                read_bytes(root / "sys/kernel/mm/transparent_hugepage/enabled")
            ),
        )


@dataclass(frozen=True, slots=True)
class GitState:
    """The commit a checkout stands on; ``dirty`` when a file differs from it or is not in it."""

    commit: str
    dirty: bool


def git_state(checkout: Path | None) -> GitState | None:
    """State of a checkout, or None: a wheel, no repository, no commit yet, or no git."""
    if checkout is None:
        return None
    # Inside a git hook these point elsewhere; and looking must not rewrite the index.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment = kept | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_TIMEOUT_S,
        ).stdout.strip()

    try:
        return GitState(git("rev-parse", "--verify", "HEAD"), bool(git("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return None


def usable_cpus() -> tuple[int, ...]:
    """CPUs this process may run on; all of them where the system has no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def versions(packages: Iterable[str] | None = None) -> dict[str, str]:
    """Installed versions by package metadata, without importing any; absent ones are left out.

    Default: all that can change a figure, or the reading of one.
    """
    found: dict[str, str] = {}
    for package in relevant_packages() if packages is None else packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cgroup_cpu_limit(root: Path = Path("/")) -> float | None:
    """Cores this process may use by its cgroup (v2 or v1) and all above it; None: no limit."""
    limits = (
        _cpus_v1(folder) if old else _cpus_v2(folder) for folder, old in _cgroups(root, "cpu")
    )
    return min((limit for limit in limits if limit is not None), default=None)


def cgroup_memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes this process may use by its cgroup (v2 or v1) and all above it; None: no limit.

    Without a limit the older cgroups tell a number beyond any memory.
    """
    told = (
        read_bytes(folder / ("memory.limit_in_bytes" if old else "memory.max")) or b""
        for folder, old in _cgroups(root, "memory")
    )
    return min((int(text) for text in map(bytes.strip, told) if text.isdigit()), default=None)


def _cgroups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Folders of our cgroup and of all above it, and whether they are of version 1."""
    for line in (
        (read_bytes(root / "proc/self/cgroup") or b"").decode("utf-8", "replace").splitlines()
    ):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        folder = mount / path.strip("/")
        for place in (folder, *folder.parents):
            yield place, bool(controllers)
            if place == mount:
                break


def _cpus_v2(folder: Path) -> float | None:
    match (read_bytes(folder / "cpu.max") or b"").split():
        case [quota, period] if quota.isdigit() and period.isdigit() and int(period) > 0:
            return int(quota) / int(period)
    return None


def _cpus_v1(folder: Path) -> float | None:
    quota = (read_bytes(folder / "cpu.cfs_quota_us") or b"").strip()
    period = (read_bytes(folder / "cpu.cfs_period_us") or b"").strip()
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        return int(quota) / int(period)
    return None


def _cpu_model(cpuinfo: bytes) -> str:
    for key in (b"model name", b"Hardware", b"CPU part"):  # the last two: ARM
        for line in cpuinfo.splitlines():
            if line.startswith(key):
                return " ".join(line.partition(b":")[2].decode("utf-8", "replace").split())
    return platform.machine()


def _virtualization(root: Path, cpuinfo: bytes, steal_share: float) -> str | None:
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return "container"
    for line in cpuinfo.splitlines():
        if line.startswith(b"flags") and b" hypervisor" in line:
            return "virtual machine"
    return "virtual machine (time was stolen)" if steal_share > 0 else None


def _steal_share(stat: bytes) -> float:
    times = parse_cpu_times(stat)
    if times is None:
        return 0.0
    total = times.busy_ns + times.idle_ns + times.iowait_ns + times.steal_ns
    return times.steal_ns / total if total else 0.0


def _word(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace").strip()


def _bracketed(data: bytes | None) -> str:
    """The chosen one of "always [madvise] never"."""
    return _word(data).partition("[")[2].partition("]")[0]


def _digest(*parts: str, key: bytes = b"") -> str:
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=8, key=key).hexdigest()
