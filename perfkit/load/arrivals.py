"""When requests come due, and when users are there: pure functions from a plan to nanoseconds.

All offsets count from the start of load. An instant is computed from its index (wrk2's rule: t0 +
i/rate), never from the instant before it, so nothing drifts. With the cumulative rate

    L(t) = integral of rate from 0 to t        rate |      ____ b
                                                    |  a _/    \\__
                                                    |____|___|____|__ t

the constant schedule is L^-1(0), L^-1(1), L^-1(2), ... and the Poisson schedule is L^-1 of a unit
Poisson process (time change; Devroye 1986, ch. VI.1). What is left of an event at the end of a
segment is carried into the next one because L runs through. Where exact counts are asked for, each
segment has as many Poisson arrivals as it has constant ones, at sorted uniforms of its area: that
is the process, given its counts (ibid.). Bursts are laid over either.

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
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from perfkit.load.segments import Burst, Offsets, Segment, Wave
from perfkit.recorder.draws import unit

__all__ = [
    "ArrivalKind",
    "Burst",
    "Segment",
    "Spell",
    "Think",
    "Wave",
    "bursts",
    "constant",
    "exact_poisson",
    "poisson",
    "schedule",
    "think_ns",
    "user_spells",
]

ArrivalKind = Literal["constant", "poisson", "trace"]
"""A trace's instants are written down (`perfkit.load.spec.LoadSpec.times`), not computed."""

_STANDARD: Final = NormalDist()


class Spell(NamedTuple):
    """A time in which a user is there: from ``on_ns`` to before ``off_ns``."""

    on_ns: int
    off_ns: int


@dataclass(frozen=True, slots=True)
class Think:
    """How long a user pauses.

    "constant" (low), "uniform" (between low and high), "exponential" (by its mean) or "lognormal"
    (by its median, and sigma of its logarithm).
    """

    dist: Literal["constant", "uniform", "exponential", "lognormal"] = "constant"
    low_ns: int = 0
    high_ns: int = 0
    mean_ns: int = 0
    median_ns: int = 0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.dist not in ("constant", "uniform", "exponential", "lognormal"):
            known = '"constant", "uniform", "exponential" or "lognormal"'
            raise ValueError(f"think time is {known}, not {self.dist!r}")
        if self.low_ns < 0 or (self.dist == "uniform" and self.high_ns < self.low_ns):
            raise ValueError(f"a think time from {self.low_ns} to {self.high_ns} ns can't be drawn")
        if self.mean_ns < 0 or self.median_ns < 0 or not 0 <= self.sigma < math.inf:
            raise ValueError("mean, median and sigma of a think time are numbers from 0 up")


def constant(segments: Sequence[Segment]) -> Offsets:
    """Evenly spaced arrivals, ``ceil(L(end))`` of them; the first at the start of load.

    Returns:
        Sorted int64 nanoseconds, each below the summed duration.
    """
    parts: list[Offsets] = []
    begin_ns = 0
    for segment, first, stop, carried in _counts(segments):
        parts.append(begin_ns + segment.invert(carried + np.arange(stop - first)))
        begin_ns += segment.duration_ns
    return _joined(parts)


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
        parts.append(begin_ns + segment.invert(own))
        begin_ns += segment.duration_ns
    return _joined(parts)


def exact_poisson(segments: Sequence[Segment], seed: int) -> Offsets:
    """A Poisson process, given that each segment has as many arrivals as `constant` puts there.

    Returns:
        Sorted int64 nanoseconds, each below the summed duration.
    """
    random = _random(seed)
    parts: list[Offsets] = []
    begin_ns = 0
    for segment, first, stop, _ in _counts(segments):
        places = np.sort(random.random(stop - first)) * float(segment.expected)
        parts.append(begin_ns + segment.invert(places))
        begin_ns += segment.duration_ns
    return _joined(parts)


def bursts(segments: Sequence[Segment]) -> Offsets:
    """The requests of all bursts, sorted; those of one burst share their instant."""
    parts: list[Offsets] = []
    begin_ns = 0
    for segment in segments:
        if segment.burst is not None:
            parts.append(begin_ns + segment.burst.offsets(segment.duration_ns))
        begin_ns += segment.duration_ns
    return _joined(parts)


def schedule(
    kind: ArrivalKind, segments: Sequence[Segment], seed: int, *, exact: bool = False
) -> Offsets:
    """The whole schedule of an open model. ``schedule(...)[i::k]`` is the part of shard i of k.

    Args:
        kind: "constant" or "poisson"; the schedule of a trace is in its file.
        segments: the rate over time, and bursts.
        seed: of the Poisson process.
        exact: Poisson arrivals in exact numbers.
    """
    if kind == "constant":
        smooth = constant(segments)
    elif kind == "poisson":
        smooth = exact_poisson(segments, seed) if exact else poisson(segments, seed)
    else:
        raise ValueError(f'arrivals are "constant" or "poisson" here, not {kind!r}')
    more = bursts(segments)
    return np.sort(np.concatenate([smooth, more])) if len(more) else smooth


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
        for part in segment.monotone():
            now_ns = begin_ns + part.begin_ns
            while len(there) < math.ceil(part.first):
                come(now_ns)
            while len(there) > math.ceil(part.first):
                go(now_ns)
            for user in range(len(there), math.ceil(part.last)):
                come(begin_ns + part.reached_ns(user))
            for user in reversed(range(math.ceil(part.last), len(there))):
                go(begin_ns + part.reached_ns(user))
        begin_ns += segment.duration_ns
    while there:
        go(begin_ns)
    return spells


def think_ns(think: Think, seed: int, user: int, iteration: int) -> int:
    """The pause of ``user`` before its request number ``iteration``; a keyed draw."""
    if think.dist == "constant":
        return think.low_ns
    u = unit(seed, f"u{user}", iteration, "think")
    if think.dist == "exponential":
        return round(-think.mean_ns * math.log1p(-u))
    if think.dist == "lognormal":
        return round(think.median_ns * math.exp(think.sigma * _STANDARD.inv_cdf(u)))
    return think.low_ns + round(u * (think.high_ns - think.low_ns))


def _counts(segments: Sequence[Segment]) -> list[tuple[Segment, int, int, float]]:
    """Each segment, the indices of its first event and of the one after its last, and the share of
    an event still missing when it begins."""
    found: list[tuple[Segment, int, int, float]] = []
    passed = Fraction(0)  # exact: a float sum may come out above an integer and add an event
    for segment in segments:
        reached = passed + segment.expected
        first, stop = math.ceil(passed), math.ceil(reached)
        found.append((segment, first, stop, float(first - passed)))
        passed = reached
    return found


def _joined(parts: Sequence[Offsets]) -> Offsets:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def _unit_process(total: float, seed: int) -> npt.NDArray[np.float64]:
    """Event times of a Poisson process of rate 1 on [0, total)."""
    random = _random(seed)
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
