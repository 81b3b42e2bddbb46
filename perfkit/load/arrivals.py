"""When requests come due, and when users are there: pure functions from a plan to nanoseconds.

All offsets count from the start of load. An instant is computed from its index (wrk2's rule: t0 +
i/rate), never from the instant before it, so nothing drifts. With the cumulative rate

    L(t) = integral of rate from 0 to t        rate |      ____ b
                                                    |  a _/    \\__
                                                    |____|___|____|__ t

the constant schedule is L^-1(0), L^-1(1), L^-1(2), ... and the Poisson schedule is L^-1 of a unit
Poisson process (time change; Devroye 1986, ch. VI.1). What is left of an event at the end of a
segment is carried into the next one because L runs through.

In a closed model the level is a population. User u is there while it is above u, so that the last
to come is the first to go:

    user 2  |      ____                 population |       __
    user 1  |    ________     ____                 |    __/  \\__     ____
    user 0  |  ______________________              |  _/        \\___/
            |__|_________________|__ t             |__|_________________|__ t
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from perfkit.recorder.draws import unit

__all__ = [
    "ArrivalKind",
    "Segment",
    "Spell",
    "Think",
    "constant",
    "poisson",
    "schedule",
    "think_ns",
    "user_spells",
]

ArrivalKind = Literal["constant", "poisson"]
Offsets = npt.NDArray[np.int64]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of load whose level goes in a straight line from start to end.

    The level is jobs per second in an open model, users in a closed one.
    """

    duration_ns: int
    level_start: float
    level_end: float

    def __post_init__(self) -> None:
        if self.duration_ns < 0:
            raise ValueError(f"a segment can't last {self.duration_ns} ns")
        for level in (self.level_start, self.level_end):
            if not (math.isfinite(level) and level >= 0):
                raise ValueError(f"a level must be a number from 0 up, not {level}")

    @property
    def levels(self) -> tuple[Fraction, Fraction]:
        """Start and end, exact in the decimals that were given."""
        return _exact(self.level_start), _exact(self.level_end)

    @property
    def expected(self) -> Fraction:
        """Events of the segment: the area under its rate."""
        start, end = self.levels
        return (start + end) / 2 * Fraction(self.duration_ns, _SECOND)


class Spell(NamedTuple):
    """A time in which a user is there: from ``on_ns`` to before ``off_ns``."""

    on_ns: int
    off_ns: int


@dataclass(frozen=True, slots=True)
class Think:
    """How long a user pauses: "constant" (low) or "uniform" (between low and high)."""

    dist: Literal["constant", "uniform"] = "constant"
    low_ns: int = 0
    high_ns: int = 0

    def __post_init__(self) -> None:
        if self.dist not in ("constant", "uniform"):
            raise ValueError(f'think time is "constant" or "uniform", not {self.dist!r}')
        if self.low_ns < 0 or (self.dist == "uniform" and self.high_ns < self.low_ns):
            raise ValueError(f"a think time from {self.low_ns} to {self.high_ns} ns can't be drawn")


def constant(segments: Sequence[Segment]) -> Offsets:
    """Evenly spaced arrivals, ``ceil(L(end))`` of them; the first at the start of load.

    Returns:
        Sorted int64 nanoseconds, each below the summed duration.
    """
    parts: list[Offsets] = []
    begin_ns = 0
    passed = Fraction(0)  # exact: a float sum may come out above an integer and add an event
    for segment in segments:
        reached = passed + segment.expected
        first, stop = math.ceil(passed), math.ceil(reached)
        carried = float(first - passed)  # share of an event still missing when the segment begins
        parts.append(begin_ns + _invert(segment, carried + np.arange(stop - first)))
        begin_ns += segment.duration_ns
        passed = reached
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def poisson(segments: Sequence[Segment], seed: int) -> Offsets:
    """Arrivals of a Poisson process whose rate follows the segments.

    Returns:
        Sorted int64 nanoseconds, each below the summed duration.
    """
    reached = list(accumulate((segment.expected for segment in segments), initial=Fraction(0)))
    events = _unit_process(float(reached[-1]), seed)
    edges = np.searchsorted(events, [float(each) for each in reached])
    parts: list[Offsets] = []
    begin_ns = 0
    for number, segment in enumerate(segments):
        own = events[edges[number] : edges[number + 1]] - float(reached[number])
        parts.append(begin_ns + _invert(segment, own))
        begin_ns += segment.duration_ns
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def schedule(kind: ArrivalKind, segments: Sequence[Segment], seed: int) -> Offsets:
    """The whole schedule of an open model. ``schedule(...)[i::k]`` is the part of shard i of k."""
    if kind == "constant":
        return constant(segments)
    if kind == "poisson":
        return poisson(segments, seed)
    raise ValueError(f'arrivals are "constant" or "poisson", not {kind!r}')


def user_spells(segments: Sequence[Segment]) -> list[list[Spell]]:
    """When each user of a closed model is there, as many users as the highest level.

    User u is there while the population is above u. On a ramp the crossings are evenly spread:
    from 0 to n users in d, user u comes at ``u * d // n``. Instants are whole nanoseconds, outwards
    from the exact crossing, so a spell is never empty.

    Returns:
        By user, its spells in order of time, with a gap between any two.
    """
    spells: list[list[Spell]] = []
    there: list[int] = []  # since when; user u is there if it has a place u

    def come(now_ns: int) -> None:
        user = len(there)
        if user == len(spells):
            spells.append([])
        goes_on = spells[user] and spells[user][-1].off_ns == now_ns
        there.append(spells[user].pop().on_ns if goes_on else now_ns)

    def go(now_ns: int) -> None:
        on_ns = there.pop()
        spells[len(there)].append(Spell(on_ns, now_ns))

    begin_ns = 0
    for segment in segments:
        if segment.duration_ns == 0:
            continue
        low, high = segment.levels
        while len(there) < math.ceil(low):
            come(begin_ns)
        while len(there) > math.ceil(low):
            go(begin_ns)
        # In whole numbers: fractions cost thirty times as much, and there may be many users.
        unit_level = math.lcm(low.denominator, high.denominator)
        a, b = int(low * unit_level), int(high * unit_level)
        for user in range(len(there), math.ceil(high)):
            come(begin_ns + (user * unit_level - a) * segment.duration_ns // (b - a))
        for user in reversed(range(math.ceil(high), len(there))):
            go(begin_ns - (user * unit_level - a) * segment.duration_ns // (a - b))
        begin_ns += segment.duration_ns
    while there:
        go(begin_ns)
    return spells


def think_ns(think: Think, seed: int, user: int, iteration: int) -> int:
    """The pause of ``user`` before its request number ``iteration``; a keyed draw."""
    if think.dist == "constant":
        return think.low_ns
    u = unit(seed, f"u{user}", iteration, "think")
    return think.low_ns + round(u * (think.high_ns - think.low_ns))


def _exact(level: float) -> Fraction:
    return Fraction(repr(float(level)))


def _unit_process(total: float, seed: int) -> npt.NDArray[np.float64]:
    """Event times of a Poisson process of rate 1 on [0, total)."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    gaps: list[npt.NDArray[np.float64]] = []
    drawn = 0.0
    while drawn <= total:
        left = total - drawn
        # By inversion from random(), whose stream numpy keeps; that of exponential() it may change.
        more = -np.log1p(-random.random(int(left + 6 * math.sqrt(left)) + 16))
        gaps.append(more)
        drawn += float(more.sum())
    events = np.cumsum(np.concatenate(gaps))
    return events[events < total]


def _invert(segment: Segment, n: npt.NDArray[np.floating[Any]]) -> Offsets:
    """Nanoseconds into the segment at which its own cumulative rate reaches ``n``.

    From t(n) = (a*d - sqrt(d*(a^2*d + 2n(b-a)))) / (a-b), k6's ramping arrival rate, multiplied
    out by the conjugate: 2n / (a + sqrt(a^2 + 2n(b-a)/d)). Equal in exact arithmetic, and it
    neither loses digits where a is near b nor needs a case for a = b. The radicand is clamped at 0.
    """
    a, b, d = segment.level_start, segment.level_end, segment.duration_ns / _SECOND
    if n.size == 0:
        return np.empty(0, np.int64)
    below = a + np.sqrt(np.maximum(a * a + 2 * n * (b - a) / d, 0.0))
    seconds = np.divide(2 * n, below, out=np.zeros_like(n, dtype=np.float64), where=below > 0)
    # Rounding to whole nanoseconds must not push an event over the edge of its segment.
    whole: Offsets = np.rint(seconds * _SECOND).astype(np.int64)
    return np.clip(whole, 0, segment.duration_ns - 1)
