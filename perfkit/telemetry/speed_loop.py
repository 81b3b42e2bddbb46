"""A fixed piece of work, again and again on given cores: how fast are they just now?

    python speed_loop.py HANDLE PARENT_PID CPU [CPU ...]

Run as a file, with the standard library alone. Into the memory file behind HANDLE go two int64 for
each core, in the order given: how often the work was timed there, and the CPU nanoseconds of it;
both only grow. Ends when its parent is gone.

The work is short and done often, since what is asked is how fast a core was on average, and its
speed changes within milliseconds: on a shared machine a neighbour comes and goes on the same
physical core. CPU time is counted, so it does not matter who else wanted the core meanwhile.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

__all__ = ["COUNTS", "main"]

COUNTS: Final = struct.Struct("<qq")  # times done, CPU ns

ROUNDS: Final = 80
"""About 0.05 ms, and twice that with the warming: one percent of a core."""
PERIOD_NS: Final = 10_000_000
"""From one time to the next on one core; half of it from core to core where there are several."""


def work() -> None:
    """What applications do: short texts, lists and a dictionary, made and forgotten.

    Of several loops tried, what this costs went along best with what others cost beside it (JSON,
    hashing, arithmetic) while neighbours came and went.
    """
    kept: dict[str, list[int]] = {}
    for number in range(ROUNDS):
        name = str(number)
        kept[name] = [number]
        "%s-%s" % (name, number)  # noqa: B018, UP031 - what it costs is what it is for


def main(handle: int, parent: int, cpus: Sequence[int]) -> None:
    """Take the cores by turns until the parent is gone."""
    period_ns = PERIOD_NS if len(cpus) == 1 else PERIOD_NS // 2
    counts = [[0, 0] for _ in cpus]
    turn = 0
    due_ns = time.monotonic_ns()
    while os.getppid() == parent:
        place = turn % len(cpus)
        if turn < 1 or len(cpus) > 1:
            os.sched_setaffinity(0, {cpus[place]})
        work()  # after a sleep the first time costs what fetching it into the caches does
        began_ns = time.thread_time_ns()
        work()
        used_ns = time.thread_time_ns() - began_ns
        counts[place][0] += 1
        counts[place][1] += used_ns
        os.pwrite(handle, COUNTS.pack(*counts[place]), place * COUNTS.size)
        turn += 1
        now_ns = time.monotonic_ns()
        due_ns = max(due_ns + period_ns, now_ns)  # what was missed is not made up for
        time.sleep((due_ns - now_ns) / 1e9)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [int(each) for each in sys.argv[3:]])
