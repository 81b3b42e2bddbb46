"""The process probe: fake files where the kernel can't be told what to say, real children else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perfkit.clock import ManualClock, SystemClock
from perfkit.telemetry.process_probe import ProcessProbe, ProcessTable
from perfkit.telemetry.procfs import PAGE_BYTES, TICK_NS
from tests.waiting import wait_until

_IDLE = "print('ready', flush=True); input()"
_BUSY = "print('ready', flush=True)\nwhile True: pass"
Child = subprocess.Popen[str]


@pytest.fixture
def spawn() -> Iterator[Callable[[str], tuple[Child, str]]]:
    """Starts a Python child and gives it and its first line; all are reaped at the end."""
    children: list[Child] = []

    def start(code: str) -> tuple[Child, str]:
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield start
    for child in children:
        child.kill()
        child.communicate()


def _fake(root: Path, pid: int, *, cpu: int, waits: dict[int, int], state: str = "S") -> None:
    folder = root / str(pid)
    (folder / "task").mkdir(parents=True, exist_ok=True)
    fields = [state, "1", *["0"] * 9, str(cpu), "0", "0", "0", "20", "0", "3", "0", "99", "0"]
    (folder / "stat").write_text(f"{pid} (python) {' '.join(fields)}\n")
    (folder / "statm").write_text("900 300 100 1 0 200 0\n")
    for thread in (folder / "task").iterdir():
        if int(thread.name) not in waits:
            (thread / "schedstat").unlink(missing_ok=True)
    for number, wait_ns in waits.items():
        thread = folder / "task" / str(number)
        thread.mkdir(exist_ok=True)
        (thread / "schedstat").write_text(f"5 {wait_ns} 9\n")


def _read(probe: ProcessProbe) -> dict[tuple[str, str], float]:
    clock = ManualClock(11)
    return {(r.metric.removeprefix("process."), r.subject): r.value for r in probe.take(clock)}


def test_all_four_figures_are_read_and_waits_are_summed_over_threads(tmp_path: Path) -> None:
    _fake(tmp_path, 7, cpu=250, waits={7: 100, 8: 20, 9: 3})
    table = ProcessTable()
    table.put("worker-1", 7)
    probe = ProcessProbe(table, root=tmp_path)
    assert _read(probe) == {
        ("cpu_ns", "worker-1"): 250 * TICK_NS,
        ("rss_anon_bytes", "worker-1"): 200 * PAGE_BYTES,
        ("threads", "worker-1"): 3,
        ("run_queue_wait_ns", "worker-1"): 123,
    }
    probe.close()


def test_the_wait_never_falls_when_threads_end(tmp_path: Path) -> None:
    _fake(tmp_path, 7, cpu=1, waits={7: 100, 8: 20, 9: 3})
    table = ProcessTable()
    table.put("worker-1", 7)
    probe = ProcessProbe(table, root=tmp_path, threads_every=1)
    waits = [_read(probe)["run_queue_wait_ns", "worker-1"]]
    _fake(tmp_path, 7, cpu=1, waits={7: 110, 9: 4})  # thread 8 ended
    waits.append(_read(probe)["run_queue_wait_ns", "worker-1"])
    _fake(tmp_path, 7, cpu=1, waits={7: 110, 9: 1})  # 9 ended too, and its number was given again
    waits.append(_read(probe)["run_queue_wait_ns", "worker-1"])
    assert waits == [123, 134, 135]
    probe.close()


def test_waits_are_read_when_a_process_joins_and_then_now_and_again(tmp_path: Path) -> None:
    table = ProcessTable()
    probe = ProcessProbe(table, root=tmp_path, threads_every=4)
    for number in (1, 2):
        _fake(tmp_path, number, cpu=1, waits={number: 5})
        table.put(f"worker-{number}", number)
    told = [
        {subject for metric, subject in _read(probe) if metric == "run_queue_wait_ns"}
        for _ in range(9)
    ]
    assert told[0] == {"worker-1", "worker-2"}
    for name in ("worker-1", "worker-2"):
        assert sum(name in names for names in told[1:]) == 2
    probe.close()


def test_a_replaced_worker_goes_on_from_the_total_of_the_one_before(tmp_path: Path) -> None:
    _fake(tmp_path, 7, cpu=250, waits={7: 100})
    _fake(tmp_path, 8, cpu=3, waits={8: 1})
    table = ProcessTable()
    table.put("worker-1", 7)
    probe = ProcessProbe(table, root=tmp_path)
    _read(probe)
    table.put("worker-1", 8)
    after = _read(probe)
    assert after["cpu_ns", "worker-1"] == 253 * TICK_NS
    assert after["run_queue_wait_ns", "worker-1"] == 101
    probe.close()


def test_a_pid_that_never_was_gives_no_reading_and_no_error(tmp_path: Path) -> None:
    table = ProcessTable()
    table.put("worker-1", 4242)
    probe = ProcessProbe(table, root=tmp_path)
    assert _read(probe) == {}
    assert probe.errors == {}


def test_a_process_that_may_not_be_looked_at_is_counted_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    _fake(tmp_path, 7, cpu=1, waits={7: 1})
    (tmp_path / "8").write_text("not a folder")
    table = ProcessTable()
    table.put("redis", 8)
    table.put("worker-1", 7)
    probe = ProcessProbe(table, root=tmp_path)
    for _ in range(2):  # it is tried again: out of file descriptors, say, can pass
        assert {subject for _, subject in _read(probe)} == {"worker-1"}
    assert probe.errors == {"NotADirectoryError": 2}
    probe.close()


def test_a_zombie_is_gone(tmp_path: Path) -> None:
    _fake(tmp_path, 7, cpu=250, waits={7: 100}, state="Z")
    table = ProcessTable()
    table.put("worker-1", 7)
    assert _read(ProcessProbe(table, root=tmp_path)) == {}


def test_a_child_that_burns_cpu_is_seen_burning_and_gone_when_killed(
    spawn: Callable[[str], tuple[Child, str]],
) -> None:
    child, _ = spawn(_BUSY)
    table = ProcessTable()
    table.put("worker-1", child.pid)
    probe = ProcessProbe(table)
    cpu = ("cpu_ns", "worker-1")
    start_ns = _read(probe)[cpu]
    wait_until(lambda: _read(probe)[cpu] >= start_ns + 50_000_000, 20, "it used 50 ms of CPU")
    child.kill()
    wait_until(lambda: not _read(probe), 5, "the killed child has no readings, though unreaped")
    child.wait()
    assert _read(probe) == {}
    assert probe.errors == {}
    probe.close()


def test_memory_and_threads_are_those_of_the_status_file(
    spawn: Callable[[str], tuple[Child, str]],
) -> None:
    child, _ = spawn(_IDLE)
    table = ProcessTable()
    table.put("ingest-1", child.pid)
    probe = ProcessProbe(table)
    readings = _read(probe)
    probe.close()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert readings["threads", "ingest-1"] == int(status["Threads"]) == 1
    told = int(status["RssAnon"].split()[0]) * 1024
    assert abs(readings["rss_anon_bytes", "ingest-1"] - told) <= 64 * PAGE_BYTES
    assert told > 1024**2


def test_the_running_process_can_watch_itself() -> None:
    table = ProcessTable()
    table.put("perfkit", os.getpid())
    probe = ProcessProbe(table)
    values = {reading.metric: reading.value for reading in probe.take(SystemClock())}
    probe.close()
    assert values["process.cpu_ns"] > 0
    assert values["process.threads"] >= 1


def test_who_is_not_kept_is_not_watched_any_more() -> None:
    table = ProcessTable()
    table.put("one", os.getpid())
    table.put("two", os.getpid())
    probe = ProcessProbe(table)
    assert {each.subject for each in probe.take(SystemClock())} == {"one", "two"}
    table.keep({"two"})
    assert {each.subject for each in probe.take(SystemClock())} == {"two"}
    probe.close()
