"""The host probe on files like the kernel's, and on the kernel's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.clock import ManualClock, SystemClock
from perfkit.telemetry.host_probe import HostProbe
from perfkit.telemetry.procfs import (
    TICK_NS,
    parse_cpu_times,
    parse_kib,
    parse_pressure_some_ns,
    parse_process_stat,
    parse_rss_anon,
    read_bytes,
)

_STAT = "cpu  100 20 30 4000 500 6 7 80 9 1\ncpu0 50 10 15 2000 250 3 3 40 4 0\nintr 1\n"
_MEMINFO = "MemTotal:   2048 kB\nMemFree:    10 kB\nMemAvailable:   1024 kB\n"
_PRESSURE = (
    "some avg10=3.35 avg60=1.27 avg300=0.53 total=9654817\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
)


def _proc(folder: Path) -> Path:
    (folder / "pressure").mkdir()
    (folder / "stat").write_text(_STAT)
    (folder / "meminfo").write_text(_MEMINFO)
    for kind in ("cpu", "memory", "io"):
        (folder / "pressure" / kind).write_text(_PRESSURE)
    return folder


def _values(probe: HostProbe) -> dict[str, float]:
    return {reading.metric: reading.value for reading in probe.take(ManualClock(7))}


def test_every_figure_of_the_host_is_read_in_its_unit(tmp_path: Path) -> None:
    probe = HostProbe(root=_proc(tmp_path))
    assert _values(probe) == {
        "host.cpu_busy_ns": (100 + 20 + 30 + 6 + 7) * TICK_NS,
        "host.cpu_steal_ns": 80 * TICK_NS,
        "host.cpu_iowait_ns": 500 * TICK_NS,
        "host.pressure_cpu_some_ns": 9_654_817_000,
        "host.pressure_memory_some_ns": 9_654_817_000,
        "host.pressure_io_some_ns": 9_654_817_000,
        "host.memory_available_bytes": 1024 * 1024,
    }
    assert probe.errors == {}
    probe.close()
    probe.close()


def test_files_are_read_anew_on_every_tick(tmp_path: Path) -> None:
    probe = HostProbe(root=_proc(tmp_path))
    first = _values(probe)
    (tmp_path / "stat").write_text(_STAT.replace("cpu  100", "cpu  150"))
    second = _values(probe)
    assert second["host.cpu_busy_ns"] - first["host.cpu_busy_ns"] == 50 * TICK_NS
    probe.close()


def test_a_kernel_without_pressure_files_is_no_fault(tmp_path: Path) -> None:
    for file in (folder := _proc(tmp_path) / "pressure").iterdir():
        file.unlink()
    folder.rmdir()
    probe = HostProbe(root=tmp_path)
    assert not [metric for metric in _values(probe) if "pressure" in metric]
    assert probe.errors == {}
    probe.close()


def test_a_missing_or_unreadable_file_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    _proc(tmp_path)
    (tmp_path / "stat").write_text("cpu  a b c\n")
    (tmp_path / "meminfo").unlink()
    probe = HostProbe(root=tmp_path)
    _values(probe)
    assert set(_values(probe)) == {
        f"host.pressure_{kind}_some_ns" for kind in ("cpu", "memory", "io")
    }
    assert probe.errors == {"UnreadableStat": 2, "Missing(meminfo)": 1}
    probe.close()


def test_the_real_host_gives_plausible_figures() -> None:
    probe = HostProbe()
    values = {reading.metric: reading.value for reading in probe.take(SystemClock())}
    probe.close()
    assert values["host.cpu_busy_ns"] > 0
    assert values["host.memory_available_bytes"] > 1024**2
    assert probe.errors == {}


@pytest.mark.parametrize(
    "data", [b"", b"cpu", b"cpu 1 2 3", b"cpu0 1 2 3 4 5 6 7 8", b"cpu a b c d e f g h"]
)
def test_a_torn_cpu_line_gives_nothing(data: bytes) -> None:
    assert parse_cpu_times(data) is None


def test_a_size_is_found_by_its_whole_name() -> None:
    text = b"SwapCached: 7 kB\nCached: 5 kB\nThreads:\t12\nEmpty:\nOdd: x kB\n"
    assert parse_kib(text, b"Cached") == 5 * 1024
    assert parse_kib(text, b"Threads") == 12
    assert [parse_kib(text, key) for key in (b"Empty", b"Odd", b"None")] == [None, None, None]


@pytest.mark.parametrize("data", [b"", b"full total=1\n", b"some avg10=0\n", b"some total=x\n"])
def test_a_torn_pressure_file_gives_nothing(data: bytes) -> None:
    assert parse_pressure_some_ns(data) is None


def test_a_process_name_with_spaces_and_brackets_does_not_shift_the_fields() -> None:
    fields = ["S", "1", *["0"] * 9, "250", "50", "0", "0", "20", "0", "8", "0", "99"]
    stat = parse_process_stat(b"42 (a) b) c) " + " ".join(fields).encode())
    assert stat is not None
    assert (stat.state, stat.cpu_ns, stat.threads) == ("S", 300 * TICK_NS, 8)
    assert not stat.ended
    assert parse_process_stat(b"42 (short) S 1 2") is None
    assert parse_rss_anon(b"0 0 0 0 0 0 0\n") is None
    assert parse_rss_anon(b"") is None


def test_a_file_that_is_not_there_reads_as_none(tmp_path: Path) -> None:
    assert read_bytes(tmp_path / "none") is None
    assert read_bytes(tmp_path) is None
