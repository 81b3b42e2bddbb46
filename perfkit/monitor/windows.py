"""Numbers of the last minute in bounded memory: counts by the second, and a sample of durations."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from perfkit.stats.order import quantile_of_sorted

__all__ = ["Second", "Window"]

SPAN_S: Final = 60
_RATE_S: Final = 5
_KEPT: Final = 256  # durations of one second; of more a random part, so that quantiles hold


@dataclass(slots=True)
class Second:
    """What happened in one second of wall time."""

    at_s: int
    came: int = 0
    left: int = 0
    failed: int = 0
    done: int = 0
    ended: int = 0
    waits_s: list[float] = field(default_factory=list)
    runs_s: list[float] = field(default_factory=list)

    @property
    def latencies_s(self) -> list[float]:
        """From enqueued to finished."""
        return [wait_s + run_s for wait_s, run_s in zip(self.waits_s, self.runs_s, strict=True)]

    def took(self, wait_s: float, run_s: float) -> None:
        """An attempt has ended."""
        self.ended += 1
        if len(self.runs_s) < _KEPT:
            self.waits_s.append(wait_s)
            self.runs_s.append(run_s)
        elif (place := random.randrange(self.ended)) < _KEPT:
            self.waits_s[place], self.runs_s[place] = wait_s, run_s


class Window:
    """The last minute of one queue."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque()
        self.came = 0  # since the beginning
        self.done = 0
        self.failed = 0

    def at(self, wall_s: float) -> Second:
        """The second of an event, to be counted in. One of what is too old is not kept."""
        second = int(wall_s)
        seconds = self._seconds
        if not seconds or second > seconds[-1].at_s:
            seconds.append(Second(second))
            while seconds[0].at_s <= second - SPAN_S:
                seconds.popleft()
            return seconds[-1]
        if second <= seconds[-1].at_s - SPAN_S:
            return Second(second)
        place = len(seconds)
        while place and seconds[place - 1].at_s > second:
            place -= 1
        if not place or seconds[place - 1].at_s < second:
            seconds.insert(place, Second(second))
            return seconds[place]
        return seconds[place - 1]

    def rate(self, now_s: float, what: str) -> float:
        """Per second, over the last five that are over."""
        last = int(now_s)
        total = sum(
            getattr(each, what) for each in self._seconds if last - _RATE_S <= each.at_s < last
        )
        return float(total) / _RATE_S

    def values(self, now_s: float, what: str) -> list[float]:
        """The durations of the last minute."""
        return [
            value
            for each in self._seconds
            if each.at_s > now_s - SPAN_S
            for value in getattr(each, what)
        ]

    def quantiles(self, now_s: float, what: str, *shares: float) -> tuple[float | None, ...]:
        """Of the durations of the last minute; None where nothing ended."""
        values = sorted(self.values(now_s, what))
        return tuple(quantile_of_sorted(values, share) if values else None for share in shares)
