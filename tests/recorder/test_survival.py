"""What the spool is for: a SIGKILL or an asynchronous exception at any moment.

How it is known what was committed: each thread publishes in shared memory which event it is about
to record and which one has returned (`tests.recorder.victim`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.recorder import Event, SpoolContents, SpoolFollower, read_spools
from tests.fresh import ROOT, in_fresh_interpreter
from tests.recorder.victim import event_of, progress
from tests.waiting import wait_until

THREADS = 8

INTERRUPTED = """
import ctypes, json, random, sys, threading
from pathlib import Path
from perfkit.recorder import SpoolWriter
from tests.recorder.victim import record
class Interrupt(BaseException):
    pass
folder, interrupts, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.setswitchinterval(1e-5)
writer = SpoolWriter(folder, name="interrupted", role="worker", slots=2000)
begun, returned, caught = [0] * threads, [[] for _ in range(threads)], [0] * threads
def work(thread):
    draw = random.Random(thread)
    while sum(caught) < interrupts:
        begun[thread] += 1
        record(writer, thread, begun[thread])
        returned[thread].append(begun[thread])
        if draw.random() < 0.05:  # as the thread of a time limit does it to another one
            ident = ctypes.c_ulong(running[draw.randrange(threads)].ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Interrupt))
def write(thread):
    while True:
        try:
            while True:
                try:
                    return work(thread)
                except Interrupt:
                    caught[thread] += 1
        except Interrupt:  # between two of the inner
            caught[thread] += 1
running = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(threads)]
for thread in running:
    thread.start()
for thread in running:
    thread.join()
print(json.dumps({"begun": begun, "returned": returned, "caught": sum(caught)}))
"""

Kill = Callable[..., list[tuple[int, int]]]


@pytest.fixture
def kill(tmp_path: Path) -> Iterator[Kill]:
    """Let process NUMBER record that many events or more, kill it; (begun, returned) by thread."""
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.recorder.victim", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    alive: set[int] = set()

    def one(
        number: int, events: int, meanwhile: Callable[[], object] = lambda: True
    ) -> list[tuple[int, int]]:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        print(number, THREADS, file=nursery.stdin, flush=True)
        pid = int(nursery.stdout.readline())
        alive.add(pid)
        said = tmp_path / f"{number}.progress"

        def so_far() -> int:
            return sum(returned for _, returned in progress(said, THREADS))

        wait_until(
            lambda: meanwhile() and so_far() >= events,
            30,
            f"process {number} has recorded {events}",
        )
        os.kill(pid, signal.SIGKILL)
        alive.discard(pid)
        wait_until(lambda: not _is_running(pid), 10, f"process {number} is gone")
        return list(progress(said, THREADS))

    yield one
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    nursery.stdin.close()
    nursery.wait()
    nursery.stdout.close()


def _is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def by_thread(events: list[Event]) -> dict[int, list[int]]:
    """Numbers of the events of each thread; every event is as it was written."""
    found: dict[int, list[int]] = defaultdict(list)
    for event in events:
        assert event.t1_ns is not None
        assert event == event_of(event.thread_id, event.t1_ns)
        found[event.thread_id].append(event.t1_ns)
    return found


def assert_all_and_nothing_else(
    contents: SpoolContents, begun_and_returned: list[tuple[int, int]]
) -> None:
    assert (contents.corrupt, contents.lost, contents.dropped) == (0, 0, 0)
    assert contents.holes <= THREADS, "a thread dies between one claim and its write, or none"
    found = by_thread(contents.events)
    for thread, (begun, returned) in enumerate(begun_and_returned):
        # The last one may have been written without having returned.
        assert found[thread] in (list(range(1, returned + 1)), list(range(1, begun + 1)))
        assert begun - returned <= 1


def assert_kills_harm_nothing(kill: Kill, folder: Path, kills: int) -> None:
    draw = random.Random(kills)
    for number in range(kills):
        told = kill(number, draw.choice((0, 1, draw.randrange(3000))))
        spools = read_spools(folder / str(number)) if (folder / str(number)).is_dir() else []
        if not spools:
            assert not any(returned for _, returned in told), "killed before its first line"
            continue
        [contents] = spools
        assert_all_and_nothing_else(contents, told)


def test_a_kill_at_any_moment_loses_and_garbles_nothing_committed(
    kill: Kill, tmp_path: Path
) -> None:
    assert_kills_harm_nothing(kill, tmp_path, 25)


@pytest.mark.full
def test_five_hundred_kills_lose_and_garble_nothing_committed(kill: Kill, tmp_path: Path) -> None:
    assert_kills_harm_nothing(kill, tmp_path, 500)


def test_a_follower_reads_each_event_once_while_eight_threads_write(
    kill: Kill, tmp_path: Path
) -> None:
    follower: list[SpoolFollower] = []
    events: list[Event] = []
    readings = 0

    def follow() -> bool:
        nonlocal readings
        if not follower and (tmp_path / "0").is_dir():
            follower.append(SpoolFollower(tmp_path / "0"))
        for contents in follower[0].read() if follower else ():
            readings += bool(contents.events)
            events.extend(contents.events)
        return readings >= 3

    told = kill(0, 3000, follow)
    follow()
    [last] = follower[0].read()
    assert last.events == []
    # A hole that was filled later comes later.
    events.sort(key=lambda event: (event.thread_id, event.t1_ns))
    assert_all_and_nothing_else(replace(last, events=events), told)


def assert_interrupts_harm_nothing(folder: Path, interrupts: int) -> None:
    said = json.loads(in_fresh_interpreter(INTERRUPTED, folder, interrupts, THREADS, timeout_s=150))
    assert said["caught"] >= interrupts
    [contents] = read_spools(folder)
    assert (contents.corrupt, contents.lost, contents.dropped) == (0, 0, 0)
    assert contents.holes <= said["caught"]
    found = by_thread(contents.events)
    for thread, (begun, returned) in enumerate(zip(said["begun"], said["returned"], strict=True)):
        assert found[thread] == sorted(set(found[thread])), "each once, in order"
        assert set(returned) <= set(found[thread]), "an event that returned is missing"
        assert max(found[thread], default=0) <= begun


def test_asynchronous_exceptions_in_eight_threads_leave_holes_and_nothing_else(
    tmp_path: Path,
) -> None:
    assert_interrupts_harm_nothing(tmp_path, 1000)


@pytest.mark.full
def test_ten_thousand_asynchronous_exceptions_leave_holes_and_nothing_else(tmp_path: Path) -> None:
    assert_interrupts_harm_nothing(tmp_path, 10_000)
