"""Operational laws: what holds of every system, and so betrays a wrong stamp or finds a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perfkit.stats.estimate import Estimate
from perfkit.stats.spread import between_trials

__all__ = ["Demand", "LittlesLaw", "littles_law", "service_demand"]

Array = npt.NDArray[np.float64]

_TOLERANCE: Final = 1e-9
_MOST: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class LittlesLaw:
    """N = X R over a window, each side counted in its own way."""

    number_mean: float
    """Jobs in the system, on average: the area under the count of comings less goings."""
    rate: float
    """Arrivals inside the window per unit of time."""
    time_mean: float
    """Time inside the window per job that spent some there."""
    difference: float
    """Area under the count less the sum of the jobs' times, as a share of the larger."""
    holds: bool
    """Whether that is 0 of integers, below 1e-9 of floats; else a clock or a join is wrong."""
    n: int
    unfinished: int
    warnings: tuple[str, ...] = ()


def littles_law(
    arrivals: npt.ArrayLike,
    departures: npt.ArrayLike,
    *,
    start: float | None = None,
    end: float | None = None,
) -> LittlesLaw:
    """Check that the area under N(t) is the sum of the jobs' times in the window.

    The area lies between two staircases, comings and goings, each sorted for itself, so that
    nothing knows which departure is whose; the sum is taken job by job, and no time is negative
    (Little 1961; in this exact form Stidham 1974). They differ where a job leaves before it comes.
    Of integers (nanoseconds of a clock) both are exact.

    Args:
        arrivals: shape (jobs,), any order.
        departures: shape (jobs,); NaN or +infinity of a job that has not left.
        start: of the window; default: the first arrival.
        end: of the window; default: the last instant known.

    Returns:
        ``holds`` is false, with a warning, where there is no job or no window.

    Raises:
        ValueError: shapes differ, or an arrival is not finite, or a departure is -infinity.
    """
    came, left = np.asarray(arrivals), np.asarray(departures)
    if came.shape != left.shape or came.ndim != 1:
        raise ValueError(f"{came.shape} arrivals for {left.shape} departures")
    if not np.isfinite(came).all():
        raise ValueError("arrivals must be finite; leave out jobs that never came")
    gone = np.isfinite(left)
    if np.isneginf(left).any():
        raise ValueError("a departure is -infinity; write NaN for a job that has not left")
    unfinished = int((~gone).sum())
    if not len(came):
        return _nothing(0, 0, "no jobs")
    first = came.min() if start is None else start
    last = max(came.max(), left[gone].max() if gone.any() else came.max()) if end is None else end
    # Relative to the start, so that nanoseconds of a clock keep their last digit.
    span = last - first
    if not (math.isfinite(span) and span > 0):
        return _nothing(len(came), unfinished, "the window has no length")
    exact = _exact(came, left, first, last)
    kind = np.int64 if exact else np.float64
    entered = np.clip((came - first).astype(kind), 0, span)
    departed = np.clip(np.where(gone, left - first, span).astype(kind), 0, span)
    # In slices one job high: from the i-th coming to the i-th going, whoever that was.
    area = (np.sort(departed) - np.sort(entered)).sum().item()
    times = np.maximum(departed - entered, 0)
    total = times.sum().item()
    difference = float(area - total) / max(abs(area), total) if area or total else 0.0
    spent = int((times > 0).sum())
    inside = int(((came >= first) & (came <= last)).sum())
    backwards = int((gone & (left < came)).sum())
    warnings = [f"{backwards} jobs left before they came"] if backwards else []
    if unfinished:
        warnings.append(f"{unfinished} jobs have not left: counted to the end of the window")
    return LittlesLaw(
        number_mean=float(area / span),
        rate=float(inside / span),
        time_mean=total / spent if spent else 0.0,
        difference=difference,
        holds=abs(difference) <= (0 if exact else _TOLERANCE) and not backwards,
        n=len(came),
        unfinished=unfinished,
        warnings=tuple(warnings),
    )


def _exact(came: npt.NDArray[Any], left: npt.NDArray[Any], first: Any, last: Any) -> bool:
    """Whether all are integers whose area fits into 64 bits."""
    whole = all(np.issubdtype(np.asarray(each).dtype, np.integer) for each in (came, left))
    ends = all(isinstance(each, int | np.integer) for each in (first, last))
    return whole and ends and len(came) * int(last - first) < _MOST


def _nothing(n: int, unfinished: int, why: str) -> LittlesLaw:
    return LittlesLaw(
        number_mean=math.nan,
        rate=math.nan,
        time_mean=math.nan,
        difference=math.nan,
        holds=False,
        n=n,
        unfinished=unfinished,
        warnings=(why,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one job asks of one resource; intervals between trials."""

    resource: str
    demand: Estimate
    """Busy time per job: D = B / C."""
    utilisation: Estimate
    """Of all units, a share: U = B / (m T) = X D / m."""
    units: float
    bound: float
    """Throughput that the resource can't exceed: m / D."""
    headroom: float
    """By how much throughput could grow until then: bound / throughput - 1."""


def service_demand(
    busy: npt.ArrayLike,
    completions: npt.ArrayLike,
    elapsed: npt.ArrayLike,
    *,
    resources: Sequence[str],
    units: npt.ArrayLike = 1.0,
    level: float = 0.95,
) -> tuple[Demand, ...]:
    """Service demand, utilisation and bound of each resource, the tightest bound first.

    The utilisation law (Denning and Buzen 1978): U = X D with D = B / C. The tightest bound is
    where the bottleneck must be if throughput stops growing there; whether it does is measured,
    not computed.

    Args:
        busy: shape (resources, trials), time in use, summed over units.
        completions: shape (trials,), jobs done.
        elapsed: shape (trials,), length of the window, in the unit of ``busy``.
        resources: their names.
        units: m, shape (resources,) or one for all: cores, slots.
        level: confidence of the intervals.

    Returns:
        A trial without a completed job has no demand: it is left out, with a warning. All numbers
        are NaN where no trial has one, and of a resource that is NaN in a trial.

    Raises:
        ValueError: shapes do not fit; a busy time is negative or infinite; a completion is
            negative; an elapsed time or a unit is not positive.
    """
    used = np.atleast_2d(np.asarray(busy, dtype=np.float64))
    done = np.atleast_1d(np.asarray(completions, dtype=np.float64))
    spans = np.broadcast_to(np.asarray(elapsed, dtype=np.float64), done.shape)
    counts = np.broadcast_to(np.asarray(units, dtype=np.float64), (len(resources),))
    if used.shape != (len(resources), len(done)):
        raise ValueError(
            f"busy is {used.shape}, for {len(resources)} resources x {len(done)} trials"
        )
    if (used < 0).any() or np.isinf(used).any():
        raise ValueError("a busy time must be finite and not negative; did a counter restart?")
    if not ((done >= 0).all() and np.isfinite(done).all()):
        raise ValueError("completions must be counts")
    if not ((spans > 0).all() and np.isfinite(spans).all() and (counts > 0).all()):
        raise ValueError("elapsed times and units must be positive")
    found = [
        _demand(name, used[place], done, spans, float(counts[place]), level)
        for place, name in enumerate(resources)
    ]
    return tuple(sorted(found, key=lambda each: (math.isnan(each.bound), each.bound)))


def _demand(
    name: str, busy: Array, done: Array, spans: Array, units: float, level: float
) -> Demand:
    some = done > 0
    warnings = [f"{int((~some).sum())} trials without a completed job"] if not some.all() else []
    if np.isnan(busy).any():
        warnings.append("not sampled in every trial")
        some &= False
    demand = between_trials(busy[some] / done[some], level=level, scale="difference")
    use = between_trials(busy[some] / spans[some] / units, level=level, scale="difference")
    throughput = float((done[some] / spans[some]).mean()) if some.any() else math.nan
    # Of a resource that was not used, no bound is known.
    bound = units / demand.point if demand.point else math.inf
    return Demand(
        resource=name,
        demand=_warned(demand, warnings),
        utilisation=_warned(use, warnings),
        units=units,
        bound=bound,
        headroom=bound / throughput - 1,
    )


def _warned(found: Estimate, warnings: list[str]) -> Estimate:
    return Estimate(
        point=found.point,
        low=found.low,
        high=found.high,
        confidence=found.confidence,
        n=found.n,
        method=found.method,
        warnings=(*warnings, *found.warnings),
        n_effective=found.n_effective,
    )
