"""The level of a load over time, piece by piece: its area, and where the area reaches a number.

    straight        a wave              a burst, beside either

    |    __/        |   _               | |   |   |
    | __/           | _/ \\_/            | |   |   |      so many at once, again and again
    |/______        |_________          |_|___|___|__

The level is jobs per second in an open model, users in a closed one. With the level r, an arrival
of index n comes where the area L(t) = integral of r from 0 to t reaches n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Burst", "Monotone", "Offsets", "Segment", "Wave"]

Offsets = npt.NDArray[np.int64]

_SECOND: Final = 1_000_000_000
_TURN: Final = 2 * math.pi
_CLOSE: Final = 1e-15  # of a turn: less than a nanosecond of a week
_SIMPLE: Final = 1_000_000  # the largest denominator of a fraction that somebody meant
_STEPS: Final = 60  # of Newton's method, with bisection: each at least halves the interval


@dataclass(frozen=True, slots=True)
class Wave:
    """A level that swings as ``low + (high - low) * (1 - cos(2 pi t / period)) / 2``.

    It begins at ``low`` and is back there after each period.
    """

    low: float
    high: float
    period_ns: int

    def __post_init__(self) -> None:
        if self.period_ns <= 0:
            raise ValueError(f"a wave can't have a period of {self.period_ns} ns")
        if not (math.isfinite(self.high) and 0 <= self.low <= self.high):
            raise ValueError(f"a wave goes up from 0 or more, not from {self.low} to {self.high}")

    def level(self, at_ns: int) -> float:
        """The level at an instant."""
        return self.low + (self.high - self.low) * self._risen(at_ns % self.period_ns)

    def area(self, until_ns: int) -> Fraction:
        """Events until an instant; exact after each whole period."""
        rest_ns = until_ns % self.period_ns
        mean = (exact(self.low) + exact(self.high)) / 2
        swing = (self.high - self.low) / 2 * self.period_ns / _SECOND / _TURN
        less = swing * math.sin(_TURN * (rest_ns / self.period_ns)) if rest_ns else 0.0
        # Of a nanosecond or so, rounding may leave less than nothing.
        return max(Fraction(0), mean * Fraction(until_ns, _SECOND) - Fraction(less))

    def invert(self, n: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Nanoseconds at which the area reaches ``n``.

        With E = 2 pi t / period this is Kepler's equation, M = E - e sin E, where e is the swing
        over the mean. It is solved within one turn, so that no digits are lost over many.
        """
        mean, swing = (self.low + self.high) / 2, (self.high - self.low) / 2
        if mean == 0:
            return np.zeros(len(n))
        turns = n * _SECOND / (mean * self.period_ns)
        whole = np.floor(turns)
        anomaly = (turns - whole) * _TURN
        eccentricity = swing / mean
        angle = _solved(anomaly, eccentricity)
        nanoseconds: npt.NDArray[np.float64] = (whole + angle / _TURN) * self.period_ns
        return nanoseconds

    def _risen(self, into_ns: int) -> float:
        # As a square: near the bottom 1 - cos would lose its digits.
        return math.sin(math.pi * into_ns / self.period_ns) ** 2


def _solved(anomaly: npt.NDArray[np.float64], eccentricity: float) -> npt.NDArray[np.float64]:
    """E of Kepler's equation, by Newton's method inside an interval that shrinks."""
    solved = anomaly.copy()
    open_ = np.arange(len(anomaly))  # those that still move
    low, high = np.zeros(len(anomaly)), np.full(len(anomaly), _TURN)
    for _ in range(_STEPS):
        angle, wanted = solved[open_], anomaly[open_]
        above = angle - eccentricity * np.sin(angle) - wanted
        high, low = np.where(above > 0, angle, high), np.where(above > 0, low, angle)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = angle - above / (1 - eccentricity * np.cos(angle))
        after = np.where((better > low) & (better < high), better, (low + high) / 2)
        solved[open_] = after
        moving = np.abs(after - angle) > _CLOSE
        open_, low, high = open_[moving], low[moving], high[moving]
        if not len(open_):
            break
    return solved


@dataclass(frozen=True, slots=True)
class Burst:
    """So many requests at one instant: at the begin of its segment, then every so often."""

    size: int
    every_ns: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.every_ns <= 0:
            raise ValueError(f"{self.size} requests every {self.every_ns} ns are no burst")

    def offsets(self, duration_ns: int) -> Offsets:
        """All its requests in a segment of this length, from the segment's begin."""
        instants = np.arange(0, duration_ns, self.every_ns, dtype=np.int64)
        return np.repeat(instants, self.size)


class Monotone(NamedTuple):
    """A part of a segment in which the level only rises or only falls (or stays)."""

    begin_ns: int  # from the begin of the segment
    duration_ns: int
    first: float
    last: float
    wave: Wave | None

    def reached_ns(self, user: int) -> int:
        """When the level passes ``user``, from the begin of the segment; outwards in whole ns.

        It must lie between the part's first and last level.
        """
        if self.wave is None:
            return self.begin_ns + _straight_ns(self, user)
        wave = self.wave
        share = (user - wave.low) / (wave.high - wave.low)
        way = wave.period_ns / math.pi * math.asin(math.sqrt(min(1.0, max(0.0, share))))
        turn_ns = self.begin_ns // wave.period_ns * wave.period_ns
        rises = self.last >= self.first
        at_ns = math.floor(way) if rises else wave.period_ns - math.floor(way)
        return min(max(turn_ns + at_ns, self.begin_ns), self.begin_ns + self.duration_ns)


def _straight_ns(part: Monotone, user: int) -> int:
    """In whole numbers: fractions cost thirty times as much, and there may be many users."""
    low, high = exact(part.first), exact(part.last)
    unit_level = math.lcm(low.denominator, high.denominator)
    a, b = int(low * unit_level), int(high * unit_level)
    if b > a:
        return (user * unit_level - a) * part.duration_ns // (b - a)
    return -((user * unit_level - a) * part.duration_ns // (a - b))


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of load: its level in a straight line from start to end, or as a wave.

    A wave begins with its segment, whose two levels then say where it begins and is cut off. A
    burst comes on top of the level, and is of an open model.
    """

    duration_ns: int
    level_start: float
    level_end: float
    wave: Wave | None = None
    burst: Burst | None = None

    def __post_init__(self) -> None:
        if self.duration_ns < 0:
            raise ValueError(f"a segment can't last {self.duration_ns} ns")
        for level in (self.level_start, self.level_end):
            if not (math.isfinite(level) and level >= 0):
                raise ValueError(f"a level must be a number from 0 up, not {level}")

    @property
    def levels(self) -> tuple[Fraction, Fraction]:
        """Start and end, exact in the decimals that were given."""
        return exact(self.level_start), exact(self.level_end)

    @property
    def highest(self) -> float:
        """The highest level in it; 0 where it is empty."""
        return max((max(part.first, part.last) for part in self.monotone()), default=0.0)

    @property
    def expected(self) -> Fraction:
        """Events of the segment: the area under its level; bursts are not in it."""
        if self.wave is not None:
            return self.wave.area(self.duration_ns)
        start, end = self.levels
        return (start + end) / 2 * Fraction(self.duration_ns, _SECOND)

    def monotone(self) -> Iterator[Monotone]:
        """Its parts in order of time; a wave has two in each period."""
        if self.duration_ns == 0:
            return
        if self.wave is None:
            yield Monotone(0, self.duration_ns, self.level_start, self.level_end, None)
            return
        wave, begin_ns, half = self.wave, 0, 1
        while begin_ns < self.duration_ns:
            end_ns = min(half * wave.period_ns // 2, self.duration_ns)
            if end_ns > begin_ns:
                whole = end_ns == half * wave.period_ns // 2
                top = wave.high if half % 2 else wave.low
                last = top if whole else wave.level(end_ns)
                first = wave.low if half % 2 else wave.high
                yield Monotone(begin_ns, end_ns - begin_ns, first, last, wave)
            begin_ns, half = end_ns, half + 1

    def invert(self, n: npt.NDArray[np.floating[Any]]) -> Offsets:
        """Nanoseconds into the segment at which its own area reaches ``n``.

        Of a straight one from t(n) = (a*d - sqrt(d*(a^2*d + 2n(b-a)))) / (a-b), k6's ramping
        arrival rate, multiplied out by the conjugate: 2n / (a + sqrt(a^2 + 2n(b-a)/d)). Equal in
        exact arithmetic, and it neither loses digits where a is near b nor needs a case for a = b.
        The radicand is clamped at 0.
        """
        if n.size == 0:
            return np.empty(0, np.int64)
        if self.wave is not None:
            nanoseconds = self.wave.invert(n)
        else:
            a, b, d = self.level_start, self.level_end, self.duration_ns / _SECOND
            below = a + np.sqrt(np.maximum(a * a + 2 * n * (b - a) / d, 0.0))
            nanoseconds = _SECOND * np.divide(
                2 * n, below, out=np.zeros_like(n, dtype=np.float64), where=below > 0
            )
        # Rounding to whole nanoseconds must not push an event over the edge of its segment.
        whole: Offsets = np.rint(nanoseconds).astype(np.int64)
        return np.clip(whole, 0, self.duration_ns - 1)


@lru_cache(maxsize=256)
def exact(level: float) -> Fraction:
    """A level as it was given: a simple fraction, such as one in an hour, or else its decimals."""
    simple = Fraction(level).limit_denominator(_SIMPLE)
    return simple if float(simple) == level else Fraction(repr(float(level)))
