"""The "core speed" probe: what a fixed loop costs on the system's cores while we measure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from perfkit.clock import Clock
from perfkit.telemetry import speed_loop
from perfkit.telemetry.reading import Reading

__all__ = ["CoreSpeed"]

_STOP_S: Final = 2.0


class CoreSpeed:
    """Runs the loop of `speed_loop` on each of the given cores, and reads how it goes.

    ``host.loops`` (times done) and ``host.loop_cpu_ns`` (CPU of it), both cumulative, by core. A
    core of a virtual machine is not always as fast: what a job costs in CPU time follows the
    neighbours, and so does what the loop costs at the same time on the same cores.
    """

    def __init__(self, cpus: Sequence[int]) -> None:
        """Start it: a process of its own, since it shares the cores of what is measured.

        Raises:
            OSError: there is no file handle, or no process, more.
        """
        self._cpus = tuple(cpus)
        self._errors: Counter[str] = Counter()
        self._file = os.fdopen(os.memfd_create("perfkit-core-speed"), "r+b", buffering=0)
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    speed_loop.__file__,
                    *map(str, (self._file.fileno(), os.getpid(), *self._cpus)),
                ],
                pass_fds=(self._file.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us
            )
        except BaseException:
            self._file.close()
            raise

    @property
    def name(self) -> str:
        return "core speed"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

    @property
    def pid(self) -> int:
        """Of the process that runs the loop."""
        return self._process.pid

    def take(self, clock: Clock) -> list[Reading]:
        readings: list[Reading] = []
        size = speed_loop.COUNTS.size
        for place, cpu in enumerate(self._cpus):
            data = os.pread(self._file.fileno(), size, place * size)
            now_ns = clock.now_ns()
            if len(data) < size:
                continue  # not done there yet
            loops, cpu_ns = speed_loop.COUNTS.unpack(data)
            if loops:
                readings += [
                    Reading("host.loops", f"cpu{cpu}", float(loops), now_ns),
                    Reading("host.loop_cpu_ns", f"cpu{cpu}", float(cpu_ns), now_ns),
                ]
        if self._process.poll() is not None:
            self._errors["Ended"] += 1
        return readings

    def close(self) -> None:
        """End the process; may be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self._process.kill()
        self._process.wait()
        self._file.close()
