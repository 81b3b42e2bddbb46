"""What the generator costs, so that a report can answer "was it your client?"."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "Usage"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Used by the generator's process between two readings."""

    wall_ns: int
    cpu_ns: int  # user + system, all threads
    run_queue_wait_ns: int | None  # main thread, ready but not running; None: the kernel hides it


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading of this process."""

    wall_ns: int
    cpu_ns: int
    waited_ns: int | None

    @classmethod
    def now(cls) -> Usage:
        """Read the clocks and /proc/self/schedstat."""
        try:
            waited = int(Path("/proc/self/schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            waited = None
        return cls(time.monotonic_ns(), time.process_time_ns(), waited)

    def until(self, later: Usage) -> Cost:
        """What was used from here to a later reading."""
        waited = (
            None
            if self.waited_ns is None or later.waited_ns is None
            else later.waited_ns - self.waited_ns
        )
        return Cost(later.wall_ns - self.wall_ns, later.cpu_ns - self.cpu_ns, waited)
