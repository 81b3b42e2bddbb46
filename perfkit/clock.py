"""Time as a parameter: one clock for every process of a host.

``now_ns`` is CLOCK_MONOTONIC, which all processes of one boot share; that is what lets a request
stamped in the generator be joined with a job stamped in a worker. Wall time is only in anchors.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Anchor", "Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """What the instrument needs of time."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def sleep_until(self, instant_ns: int) -> None:
        """Return when ``now_ns() >= instant_ns``."""
        ...


class SystemClock:
    """The host's clocks."""

    __slots__ = ()

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def sleep_until(self, instant_ns: int) -> None:
        while (rest := instant_ns - time.monotonic_ns()) > 0:
            time.sleep(rest / 1e9)


class ManualClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    __slots__ = ("_now_ns", "_wall_offset_ns")

    def __init__(self, now_ns: int = 0, wall_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._wall_offset_ns = wall_ns - now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        return self._now_ns + self._wall_offset_ns

    def sleep_until(self, instant_ns: int) -> None:
        self._now_ns = max(self._now_ns, instant_ns)

    def advance(self, by_ns: int) -> None:
        """Move forward; time never runs backwards."""
        if by_ns < 0:
            raise ValueError(f"a clock can't move back by {by_ns} ns")
        self._now_ns += by_ns


@dataclass(frozen=True, slots=True)
class Anchor:
    """One instant read on both clocks, so that monotonic stamps can be dated."""

    mono_ns: int
    wall_ns: int

    @classmethod
    def take(cls, clock: Clock) -> Anchor:
        """Read both clocks, the wall between two monotonic readings."""
        before = clock.now_ns()
        wall = clock.wall_ns()
        after = clock.now_ns()
        return cls(mono_ns=(before + after) // 2, wall_ns=wall)
