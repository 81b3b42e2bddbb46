"""The core speed probe: a real loop on real cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from perfkit.clock import SystemClock
from perfkit.telemetry import CoreSpeed
from tests.waiting import wait_until

CPUS = sorted(os.sched_getaffinity(0))


@contextmanager
def _running(cpus: list[int]) -> Iterator[CoreSpeed]:
    with closing(CoreSpeed(cpus)) as probe:
        yield probe


def _until(condition: Callable[[], object]) -> None:
    wait_until(condition, 10, "the loop to have gone on")


def _is_there(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _read(probe: CoreSpeed) -> dict[tuple[str, str], float]:
    return {(each.metric, each.subject): each.value for each in probe.take(SystemClock())}


def test_each_core_has_its_own_counts_that_grow() -> None:
    with _running(CPUS) as probe:
        _until(lambda: len(_read(probe)) == 2 * len(CPUS))
        first = _read(probe)
        assert {core for _, core in first} == {f"cpu{cpu}" for cpu in CPUS}
        _until(lambda: all(value > first[key] for key, value in _read(probe).items()))
        assert probe.errors == {}


def test_the_loop_runs_on_the_cores_it_was_given_alone() -> None:
    with _running(CPUS[-1:]) as probe:
        _until(lambda: bool(_read(probe)))
        assert os.sched_getaffinity(probe.pid) == {CPUS[-1]}
        assert {core for _, core in _read(probe)} == {f"cpu{CPUS[-1]}"}


def test_what_is_counted_is_cpu_and_not_waiting() -> None:
    with _running(CPUS[:1]) as probe:
        loops, cpu_ns = (("host.loops", f"cpu{CPUS[0]}"), ("host.loop_cpu_ns", f"cpu{CPUS[0]}"))
        _until(lambda: _read(probe).get(loops, 0) > 20)
        of_loop = _read(probe)[cpu_ns]
        fields = Path(f"/proc/{probe.pid}/schedstat").read_text().split()
        assert 0 < of_loop < int(fields[0])  # which the kernel counted of the whole process


def test_it_ends_with_close_which_may_come_twice() -> None:
    probe = CoreSpeed(CPUS[:1])
    probe.close()
    assert not _is_there(probe.pid)
    probe.close()


def test_a_loop_that_was_killed_is_counted_and_keeps_what_it_had() -> None:
    with _running(CPUS[:1]) as probe:
        _until(lambda: bool(_read(probe)))
        os.kill(probe.pid, signal.SIGKILL)
        _until(lambda: (_read(probe), probe.errors)[1] != {})
        assert set(probe.errors) == {"Ended"}
        assert _read(probe)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_loop_does_not_outlive_who_started_it(number: signal.Signals) -> None:
    code = (
        "import sys\n"
        "from perfkit.telemetry import CoreSpeed\n"
        f"print(CoreSpeed([{CPUS[0]}]).pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        loop = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait()
        _until(lambda: not _is_there(loop))
