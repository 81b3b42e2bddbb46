"""What the manifest says of the host, the packages and the source."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.telemetry.facts import (
    HostFacts,
    cgroup_cpu_limit,
    cgroup_memory_limit,
    git_state,
    versions,
)

_CPUINFO = "processor : 0\nmodel name\t: Some  CPU @ 3GHz\nflags\t\t: fpu vme hypervisor sse\n"


def _root(
    folder: Path, *, memory_kib: int = 16_000_000, machine: str = "abc", model: str = _CPUINFO
) -> Path:
    for place in ("proc/self", "etc", "sys/kernel/mm/transparent_hugepage", "sys/fs/cgroup"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "proc/cpuinfo").write_text(model)
    (folder / "proc/meminfo").write_text(f"MemTotal: {memory_kib} kB\n")
    (folder / "proc/stat").write_text("cpu  10 0 10 70 0 0 0 10 0 0\n")
    (folder / "etc/machine-id").write_text(machine + "\n")
    (folder / "sys/kernel/mm/transparent_hugepage/enabled").write_text("always [madvise] never\n")
    return folder


def test_facts_are_read_from_the_files_of_the_kernel(tmp_path: Path) -> None:
    facts = HostFacts.read(_root(tmp_path))
    assert facts.cpu_model == "Some CPU @ 3GHz"
    assert facts.memory_bytes == facts.memory_total_bytes == 16_000_000 * 1024
    assert facts.steal_share == 0.1
    assert facts.virtualization == "virtual machine"
    assert facts.transparent_hugepage == "madvise"
    assert facts.cgroup_cpus is None
    assert facts.affinity == tuple(sorted(os.sched_getaffinity(0)))
    assert facts.open_files_soft <= facts.open_files_hard or facts.open_files_hard == -1
    json.dumps(dataclasses.asdict(facts))


def test_the_fingerprint_is_stable_and_knows_another_machine(tmp_path: Path) -> None:
    names = iter("abcdef")

    def fingerprint(**changes: object) -> str:
        return HostFacts.read(_root(tmp_path / next(names), **changes)).fingerprint  # type: ignore[arg-type]

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint(memory_kib=16_000_000 + 3_000) == first  # as after another boot
    assert fingerprint(memory_kib=32_000_000) != first
    assert fingerprint(machine="abd") != first
    assert fingerprint(model=_CPUINFO.replace("3GHz", "4GHz")) != first


def test_no_fact_holds_the_host_name_or_the_machine_id(tmp_path: Path) -> None:
    machine = "0123456789abcdef0123456789abcdef"
    text = json.dumps(dataclasses.asdict(HostFacts.read(_root(tmp_path, machine=machine))))
    assert machine not in text
    assert f'"{socket.gethostname()}"' not in text


def test_a_host_that_tells_nothing_still_has_facts(tmp_path: Path) -> None:
    facts = HostFacts.read(tmp_path)
    assert facts.memory_bytes == 0
    assert facts.hostname_hash == ""
    assert facts.virtualization is None
    assert len(facts.fingerprint) == 16


def test_the_real_host_has_a_model_and_memory() -> None:
    facts = HostFacts.read()
    assert facts.memory_bytes >= facts.memory_total_bytes > 0
    assert facts.cpu_model
    assert facts == HostFacts.read() or facts.steal_share != HostFacts.read().steal_share


def test_the_tightest_cgroup_limit_above_us_counts(tmp_path: Path) -> None:
    root = _root(tmp_path)
    (root / "proc/self/cgroup").write_text("0::/a b/c\n")
    (root / "sys/fs/cgroup/a b/c").mkdir(parents=True)
    (root / "sys/fs/cgroup/a b/c/cpu.max").write_text("max 100000\n")
    assert cgroup_cpu_limit(root) is None
    (root / "sys/fs/cgroup/a b/cpu.max").write_text("150000 100000\n")
    assert cgroup_cpu_limit(root) == 1.5


def test_a_limit_of_the_older_cgroups_is_found_too(tmp_path: Path) -> None:
    root = _root(tmp_path)
    (root / "proc/self/cgroup").write_text("3:memory:/x\n2:cpu,cpuacct:/x\n0::/\n")
    folder = root / "sys/fs/cgroup/cpu/x"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert cgroup_cpu_limit(root) is None
    (folder / "cpu.cfs_quota_us").write_text("200000\n")
    assert cgroup_cpu_limit(root) == 2


def test_shares_of_memory_are_of_what_the_cgroups_leave_us(tmp_path: Path) -> None:
    root = _root(tmp_path)
    (root / "proc/self/cgroup").write_text("0::/a/b\n")
    (root / "sys/fs/cgroup/a/b").mkdir(parents=True)
    (root / "sys/fs/cgroup/a/b/memory.max").write_text("max\n")
    assert cgroup_memory_limit(root) is None
    assert HostFacts.read(root).memory_total_bytes == 16_000_000 * 1024
    fingerprint = HostFacts.read(root).fingerprint
    (root / "sys/fs/cgroup/a/memory.max").write_text("2147483648\n")
    (root / "sys/fs/cgroup/memory.max").write_text("4294967296\n")
    limited = HostFacts.read(root)
    assert limited.memory_total_bytes == 2 * 1024**3
    assert limited.memory_bytes == 16_000_000 * 1024
    assert limited.fingerprint == fingerprint  # the machine is the same


def test_the_older_cgroups_limit_memory_too_and_say_so_where_they_do_not(tmp_path: Path) -> None:
    root = _root(tmp_path)
    (root / "proc/self/cgroup").write_text("3:memory:/x\n2:cpu,cpuacct:/x\n")
    folder = root / "sys/fs/cgroup/memory/x"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert HostFacts.read(root).memory_total_bytes == 16_000_000 * 1024
    (folder / "memory.limit_in_bytes").write_text("1073741824\n")
    assert HostFacts.read(root).memory_total_bytes == 1024**3


def test_versions_come_without_importing_the_packages() -> None:
    code = (
        "import sys\n"
        "from perfkit.telemetry.facts import versions\n"
        "found = versions()\n"
        "assert found['pandas'] and found['dramatiq'], found\n"
        "assert not {'pandas', 'duckdb', 'dramatiq'} & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    assert versions(["no-such-package-anywhere"]) == {}


def _git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *name, *arguments], check=True, capture_output=True)


def test_a_checkout_has_a_commit_and_says_when_it_is_dirty(tmp_path: Path) -> None:
    assert git_state(None) is None
    assert git_state(tmp_path) is None
    _git(tmp_path, "init")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("one")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "commit", "-m", "first")
    clean = git_state(tmp_path)
    assert clean is not None
    assert len(clean.commit) == 40
    assert not clean.dirty
    (tmp_path / "file").write_text("two")
    changed = git_state(tmp_path)
    assert changed is not None
    assert changed.dirty


def test_a_host_without_git_has_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None
