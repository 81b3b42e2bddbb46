"""Set-up checks: each says what it found, and how to mend it where it must be mended."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from perfkit.clock import ManualClock, SystemClock
from perfkit.errors import ServerNotFound
from perfkit.telemetry.checks import (
    Check,
    check_clock,
    check_cores,
    check_hugepages,
    check_memory,
    check_open_files,
    check_overcommit,
    check_packages,
    check_pressure,
    check_python,
    check_redis_clients,
    check_redis_server,
    check_results,
    check_steal,
    check_system,
    check_timer,
)

_SECOND = 1_000_000_000


def _file(root: Path, relative: str, text: str) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return root


class _Sleepy(ManualClock):
    """A clock whose sleepers are woken late, more so every hundredth time."""

    def __init__(self, late_ns: int, worst_ns: int) -> None:
        super().__init__()
        self._late = (late_ns, worst_ns)
        self._sleeps = 0

    def sleep_until(self, instant_ns: int) -> None:
        super().sleep_until(instant_ns)
        self._sleeps += 1
        self.advance(self._late[self._sleeps % 100 == 0])


def test_only_linux_can_measure() -> None:
    assert check_system("linux").ok is True
    assert check_system("darwin").ok is False


def test_python_must_be_new_enough() -> None:
    assert check_python((3, 14, 0)).ok is True
    assert check_python((3, 10, 9)).ok is False
    assert check_python().ok is True


def test_the_hard_limit_decides_how_many_connections_fit() -> None:
    assert check_open_files(1000, (1024, 4096)).ok is True
    short = check_open_files(5000, (1024, 4096))
    assert short.ok is False
    assert "5000 connections need about 5200 files" in short.detail
    assert "5200" in short.mend
    assert "lower load.connections or users" in short.mend
    assert check_open_files(10**7, (1024, resource.RLIM_INFINITY)).ok is True
    assert check_open_files(1).ok is True


def test_a_profile_that_asks_for_more_clients_than_the_host_allows_is_worth_knowing() -> None:
    assert check_redis_clients("lru-4gb", 50_000, (1024, 65_536)).ok is True
    assert check_redis_clients("lru-4gb", 50_000, (1024, resource.RLIM_INFINITY)).ok is True
    fewer = check_redis_clients("lru-4gb", 50_000, (1024, 20_000))
    assert fewer.ok is None
    assert "asks for 50\u202f000" in fewer.detail
    assert "allows 19\u202f968" in fewer.detail
    assert "ulimit -Hn 50032" in fewer.mend


def test_few_cores_are_worth_knowing_and_a_cgroup_can_make_them_fewer(tmp_path: Path) -> None:
    assert check_cores(tmp_path, affinity=range(4), total=8).ok is True
    assert check_cores(tmp_path, affinity=range(2), total=8).ok is None
    _file(tmp_path, "proc/self/cgroup", "0::/\n")
    _file(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    limited = check_cores(tmp_path, affinity=range(8), total=8)
    assert limited.ok is None
    assert "1.5" in limited.detail


def test_a_gigabyte_of_memory_must_be_left(tmp_path: Path) -> None:
    assert check_memory(tmp_path).ok is None
    assert check_memory(_file(tmp_path, "proc/meminfo", "MemAvailable: 2097152 kB\n")).ok is True
    assert check_memory(_file(tmp_path, "proc/meminfo", "MemAvailable: 1024 kB\n")).ok is False


def test_pressure_is_wished_for_but_not_needed(tmp_path: Path) -> None:
    assert check_pressure(tmp_path).ok is None
    assert check_pressure(_file(tmp_path, "proc/pressure/cpu", "some total=1\n")).ok is True


def test_a_coarse_or_slow_clock_is_told() -> None:
    assert check_clock(1, "tsc").ok is True
    assert check_clock(1, "hpet").ok is None
    assert check_clock(4_000_000).ok is False


def test_late_wake_ups_are_told_with_their_p99() -> None:
    assert check_timer(ManualClock()).ok is True
    assert check_timer(_Sleepy(60_000, 900_000)).ok is True
    late = check_timer(_Sleepy(2_000_000, 50_000_000))
    assert late.ok is None
    assert "2.00 ms at P99" in late.detail
    assert "50.0 ms at most" in late.detail


def test_the_real_timer_can_be_measured() -> None:
    assert check_timer(SystemClock(), sleeps=5).name == "timer"


@pytest.mark.parametrize(("stolen", "ok"), [(0, True), (20, None)])
def test_steal_is_measured_over_a_moment(tmp_path: Path, stolen: int, ok: bool | None) -> None:
    class Waiting(ManualClock):
        def sleep_until(self, instant_ns: int) -> None:
            super().sleep_until(instant_ns)
            _file(tmp_path, "proc/stat", f"cpu  40 0 0 140 0 0 0 {5 + stolen} 0 0\n")

    _file(tmp_path, "proc/stat", "cpu  20 0 0 100 0 0 0 5 0 0\n")
    check = check_steal(Waiting(), tmp_path)
    assert check.ok is ok
    assert ("25.0 %" in check.detail) is (ok is None)


def test_without_a_stat_file_steal_is_unknown(tmp_path: Path) -> None:
    assert check_steal(ManualClock(), tmp_path).ok is None


def test_missing_packages_are_all_named() -> None:
    assert check_packages().ok is True
    missing = check_packages(["redis", "no-such-one", "nor-this"])
    assert missing.ok is False
    assert "no-such-one, nor-this" in missing.detail
    assert check_packages([]).ok is False  # no metadata of our own: not installed at all


def test_the_results_folder_need_not_exist_but_must_be_possible(tmp_path: Path) -> None:
    assert check_results(tmp_path / "a" / "b").ok in (True, None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert check_results(tmp_path / "file").ok is False


def test_a_server_that_is_not_found_gives_its_own_mend() -> None:
    def missing() -> str:
        raise ServerNotFound("no Redis here", "install one")

    assert check_redis_server(lambda: "/usr/bin/redis-server").detail == "/usr/bin/redis-server"
    assert check_redis_server(missing) == Check(
        "redis server", False, "no Redis here", "install one"
    )


def test_kernel_settings_that_redis_minds_are_notes(tmp_path: Path) -> None:
    assert check_overcommit(tmp_path).ok is None
    assert check_overcommit(_file(tmp_path, "proc/sys/vm/overcommit_memory", "1\n")).ok is True
    assert check_hugepages(tmp_path).ok is True
    setting = "sys/kernel/mm/transparent_hugepage/enabled"
    assert check_hugepages(_file(tmp_path, setting, "[always] madvise never\n")).ok is None
