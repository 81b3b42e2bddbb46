"""What the spool is for: a SIGKILL or an asynchronous exception at any moment."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from perfkit.recorder import read_spools

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
THREADS = 3

VICTIM = """
import os, struct, sys, threading
from pathlib import Path
from perfkit.recorder import Kind, SpoolWriter
sys.setswitchinterval(1e-5)
writer = SpoolWriter(Path(sys.argv[1]), name="victim", role="worker", slots=300)
identity = writer.identity("order-1", None, "payments", "pay", 0)
def write(thread):
    number = 0
    while True:
        number += 1
        writer.record(identity, Kind.START, number, number * 2, number * 3, 0, thread)
        os.write(1, struct.pack("<qq", thread, number))  # after the event was committed
for thread in range(1, 1 + int(sys.argv[2])):
    threading.Thread(target=write, args=(thread,)).start()
"""

INTERRUPTED = """
import ctypes, json, random, sys, threading
from pathlib import Path
from perfkit.recorder import Kind, SpoolWriter
sys.setswitchinterval(1e-5)
class Interrupt(BaseException):
    pass
writer = SpoolWriter(Path(sys.argv[1]), name="interrupted", role="worker", slots=2000)
identity = writer.identity("order-1", None, "payments", "pay", 0)
done = threading.Event()
returned = [[] for _ in range(8)]
caught = [0] * 8
def write(thread):
    number = 0
    while not done.is_set():
        try:
            while not done.is_set():
                number += 1
                writer.record(identity, Kind.START, number, 0, 0, 0, thread)
                returned[thread].append(number)
        except Interrupt:
            caught[thread] += 1
threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(8)]
for thread in threads:
    thread.start()
sent = 0
for _ in range(500):
    ident = ctypes.c_ulong(random.choice(threads).ident)
    sent += ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Interrupt))
    done.wait(0.001)
done.set()
for thread in threads:
    thread.join()
print(json.dumps({"returned": returned, "sent": sent, "caught": sum(caught)}))
"""


def kill_after(reports: int, folder: Path) -> dict[int, int]:
    """Kill a writer after that many reports; the highest number that each thread committed."""
    record = struct.Struct("<qq")
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(folder), str(THREADS)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert victim.stdout is not None
    with victim.stdout as pipe:
        said = pipe.read(record.size * reports)
        victim.kill()
        said += pipe.read()
    victim.wait()
    committed: dict[int, int] = defaultdict(int)
    for thread, number in record.iter_unpack(said[: len(said) // record.size * record.size]):
        committed[thread] = max(committed[thread], number)
    return committed


def test_a_kill_at_any_moment_loses_and_garbles_nothing_committed(tmp_path: Path) -> None:
    draw = random.Random(20)
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        committed = kill_after(draw.randrange(1, 3000), folder)
        [contents] = read_spools(folder)
        assert contents.corrupt == contents.lost == 0
        assert contents.holes <= THREADS
        series: dict[int, list[int]] = defaultdict(list)
        for event in contents.events:
            assert event.t1_ns is not None
            assert (event.t2_ns, event.t3_ns) == (event.t1_ns * 2, event.t1_ns * 3)
            assert (event.queue, event.actor, event.message_id) == ("payments", "pay", "order-1")
            series[event.thread_id].append(event.t1_ns)
        for thread, highest in committed.items():
            # One more may have been written without having been reported.
            assert series[thread] in (
                list(range(1, highest + 1)),
                list(range(1, highest + 2)),
            )


def test_asynchronous_exceptions_in_eight_threads_leave_holes_and_nothing_else(
    tmp_path: Path,
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    assert said["caught"] > 100
    [contents] = read_spools(tmp_path)
    assert contents.corrupt == contents.lost == 0
    assert contents.holes <= said["sent"]
    series: dict[int, list[int]] = defaultdict(list)
    for event in contents.events:
        assert event.t1_ns is not None
        series[event.thread_id].append(event.t1_ns)
    for thread, returned in enumerate(said["returned"]):
        assert series[thread] == sorted(set(series[thread]))
        assert set(returned) <= set(series[thread]), "an event that returned is missing"
