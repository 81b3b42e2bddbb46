"""Which stage a percentile is made of: parts that add up to it.

What jobs near the percentile spent in each stage, on average. Parts add up, and so do their
differences between percentiles, and between arms (statistics.md, 1.9). No cause is named: a stage
may be long because another one was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from perfkit.stats.distributions import student_ppf
from perfkit.stats.estimate import Estimate
from perfkit.stats.order import quantile_of_sorted
from perfkit.stats.spread import student_interval

__all__ = ["Contributions", "contributions_within", "stage_contributions"]

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

_WIDEST: Final = 0.05  # half the band: about the median a wider one is another figure
_LEAST_IN_BAND: Final = 10
_FAR: Final = 0.1
_BLOCKS: Final = 20
_LEAST_WITHIN: Final = 2_000
_LEAST_BEYOND: Final = 500
WITHIN: Final = f"{_BLOCKS} blocks of one trial, one left out at a time"
BETWEEN: Final = "mean over trials, Student's t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """Parts of a quantile of the latency, or of the way from a lower one to it."""

    p: float
    beyond: float | None
    total: Estimate
    """The quantile (less the lower one), mean over trials: the sum of ``stages``."""
    stages: tuple[Estimate, ...]
    per_trial: Array
    """Shape (stages, trials); NaN of a trial without an answer."""
    band_mean: float
    """Mean latency near the quantile over the quantile, before the parts were scaled to add up."""
    warnings: tuple[str, ...] = ()


def stage_contributions(
    stages: npt.ArrayLike,
    p: float,
    *,
    beyond: float | None = None,
    trial: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Contributions:
    """What each stage contributes to quantile ``p`` of the latency, its sum over stages.

    In each trial C_k = mean of S_k over the jobs whose rank is within h of p, with
    h = min((1 - p) / 2, 0.05), times the quantile over the mean latency of these jobs, so that
    the parts add up to the quantile and not about so. The estimate is the mean over trials with
    Student's interval: a bootstrap over a handful of trials is too narrow.

    Args:
        stages: shape (stages, jobs), time of each job in each stage; +infinity anywhere is a job
            that did not finish.
        p: 0 < p < 1.
        beyond: a lower quantile; then the parts of the way from it to ``p``.
        trial: shape (jobs,), which trial a job is of; None: all of one.
        level: confidence of the intervals.

    Returns:
        Without intervals (NaN, with a warning) of one trial. A trial is left out, with a warning,
        where its quantile falls among unfinished jobs or fewer than 10 jobs are near it.

    Raises:
        ValueError: shapes do not fit; a time is NaN, -infinity or negative; p, beyond or level is
            out of range.
    """
    times = np.asarray(stages, dtype=np.float64)
    if times.ndim != 2 or not len(times):
        raise ValueError(f"stages must be stages x jobs, not of shape {times.shape}")
    if np.isnan(times).any() or (times < 0).any():
        raise ValueError("a stage must be a time of 0 or more; +infinity where it did not end")
    if not (0 < p < 1 and (beyond is None or 0 < beyond < p) and 0 < level < 1):
        raise ValueError(
            f"0 < beyond = {beyond} < p = {p} < 1 and 0 < level = {level} < 1 must hold"
        )
    groups = _groups(trial, times.shape[1])
    parts = np.full((len(times), len(groups)), math.nan)
    bands = np.full(len(groups), math.nan)
    for place, jobs in enumerate(groups):
        mine = times[:, jobs]
        latency = mine.sum(axis=0)
        ranked = _Ranked(latency, np.argsort(latency, kind="stable"))  # once for both quantiles
        found, bands[place] = _parts(mine, ranked, p)
        if beyond is not None:
            found = found - _parts(mine, ranked, beyond)[0]
        parts[:, place] = found
    known = ~np.isnan(parts).any(axis=0)
    warnings = _remarks(known, bands)
    kept = parts[:, known]
    return Contributions(
        p=p,
        beyond=beyond,
        total=_over_trials(kept.sum(axis=0), level),
        stages=tuple(_over_trials(each, level) for each in kept),
        per_trial=parts,
        band_mean=float(bands[known].mean()) if known.any() else math.nan,
        warnings=warnings,
    )


def contributions_within(
    stages: npt.ArrayLike, p: float, *, beyond: float | None = None, level: float = 0.95
) -> Contributions:
    """`stage_contributions` of one trial alone, with intervals from blocks of its jobs.

    Jobs of one trial depend on each other, so that none counts by itself. The trial is cut into 20
    blocks of consecutive jobs, and each is left out in turn (the delete-a-group jackknife: Shao and
    Wu 1989; groups far larger than sqrt(n) make it consistent for quantiles, and than the memory of
    the queue for dependence). Such an interval speaks of this trial's steady state: it knows
    nothing of what differs from one trial to the next.

    Args:
        stages: shape (stages, jobs), jobs in the order in which they were intended; as
            `stage_contributions`.
        p: 0 < p < 1.
        beyond: a lower quantile; then the parts of the way from it to ``p``.
        level: confidence of the intervals.

    Returns:
        Intervals are NaN, with a warning, of fewer than 2,000 jobs, or 500 beyond the quantile (P99
        needs 50,000): with a tenth of that 95 % intervals covered 60 to 80 % of simulated queues at
        70 to 80 % load, with so many 88 to 98 %. Counts decide, and not what the trial itself says
        of its dependence. Likewise where a block left out moves the quantile among unfinished jobs.

    Raises:
        ValueError: as `stage_contributions`.
    """
    found = stage_contributions(stages, p, beyond=beyond, level=level)
    times = np.asarray(stages, dtype=np.float64)
    latency = times.sum(axis=0)
    order = np.argsort(latency, kind="stable")
    points = np.array([each.point for each in found.stages])
    n = len(latency)
    if not len(points) or np.isnan(points).any():
        return found
    rarest = min(min(each, 1 - each) for each in (p, beyond) if each is not None)
    needed = max(_LEAST_WITHIN, math.ceil(round(_LEAST_BEYOND / rarest, 6)))
    why = f"no interval: {n} jobs of one trial, {needed} are needed"
    left_out = np.full((len(times), _BLOCKS), math.nan)
    if n >= needed:
        block = (np.arange(n) * _BLOCKS // n)[order]
        for number in range(_BLOCKS):
            rest = _Ranked(latency, order, np.flatnonzero(block == number))
            left_out[:, number] = _parts(times, rest, p)[0]
            if beyond is not None:
                left_out[:, number] -= _parts(times, rest, beyond)[0]
        why = "no interval: without one of the blocks the quantile is among unfinished jobs"
    known = not np.isnan(left_out).any()
    return replace(
        found,
        total=_jackknifed(float(points.sum()), left_out.sum(axis=0), known, level, n, why),
        stages=tuple(
            _jackknifed(float(point), each, known, level, n, why)
            for point, each in zip(points, left_out, strict=True)
        ),
    )


def _jackknifed(
    point: float, left_out: Array, known: bool, level: float, n: int, why: str
) -> Estimate:
    half = math.nan
    if known:
        spread = (_BLOCKS - 1) / _BLOCKS * float(((left_out - left_out.mean()) ** 2).sum())
        half = student_ppf((1 + level) / 2, _BLOCKS - 1) * math.sqrt(spread)
    return Estimate(
        point=point,
        low=point - half,
        high=point + half,
        confidence=level,
        n=n,
        method=WITHIN,
        warnings=() if known else (why,),
    )


def _half(p: float) -> float:
    """Half the width of the band of ranks about a quantile."""
    return min((1 - p) / 2, p / 2, _WIDEST)


class _Ranked:
    """Latencies in ascending order, without those of a block of jobs; nothing is copied.

    ::

        place   0  1  2  3  4  5  6       of all
        out           x        x
        rank    0  1     2  3     4       of the rest: place less the ones that are out before it
    """

    def __init__(self, latency: Array, order: Places, out: Places | None = None) -> None:
        """``order``: jobs by latency; ``out``: ascending places in it."""
        self._latency = latency
        self._order = order
        self._out = np.arange(0) if out is None else out
        self._ranks_out = self._out - np.arange(len(self._out))

    def __len__(self) -> int:
        return len(self._order) - len(self._out)

    def __getitem__(self, rank: int) -> float:
        return float(self._latency[self._order[self._place(rank)]])

    def jobs(self, first: int, last: int) -> Places:
        """Those of the ranks from ``first`` until before ``last``."""
        if first >= last:
            return self._order[:0]
        begin, end = self._place(first), self._place(last - 1) + 1
        inside = np.searchsorted(self._out, [begin, end])
        return np.delete(self._order[begin:end], self._out[slice(*inside)] - begin)

    def _place(self, rank: int) -> int:
        return rank + int(np.searchsorted(self._ranks_out, rank, side="right"))


def _parts(stages: Array, ranked: _Ranked, p: float) -> tuple[Array, float]:
    """Parts of one trial, shape (stages,), and mean latency of the band over the quantile."""
    half, n = _half(p), len(ranked)
    # Counted so that a band of very few jobs is still centred on the quantile.
    first, last = math.floor((p - half) * n), min(n, math.ceil((p + half) * n))
    jobs = ranked.jobs(first, last)
    nothing = np.full(len(stages), math.nan)
    if len(jobs) < _LEAST_IN_BAND or not math.isfinite(ranked[last - 1]):
        return nothing, math.nan
    quantile = quantile_of_sorted(ranked, p)
    means: Array = stages[:, jobs].mean(axis=1)
    whole = float(means.sum())
    if whole == 0:
        return np.zeros(len(stages)), 1.0
    return means * (quantile / whole), whole / quantile if quantile else math.inf


def _groups(trial: npt.ArrayLike | None, jobs: int) -> list[Places]:
    if trial is None:
        return [np.arange(jobs)] if jobs else []
    keys = np.asarray(trial)
    if keys.shape != (jobs,):
        raise ValueError(f"{keys.shape} trials for {jobs} jobs")
    order = np.argsort(keys, kind="stable")
    places = np.flatnonzero(np.diff(keys[order])) + 1
    return list(np.split(order, places)) if jobs else []


def _over_trials(values: Array, level: float) -> Estimate:
    low, high = student_interval(values, level)
    few = f"no interval: {len(values)} trials, 2 are needed"
    return Estimate(
        point=float(values.mean()) if len(values) else math.nan,
        low=low,
        high=high,
        confidence=level,
        n=len(values),
        method=BETWEEN,
        warnings=(few,) if len(values) < 2 else (),
        n_effective=float(len(values)),
    )


def _remarks(known: npt.NDArray[np.bool_], bands: Array) -> tuple[str, ...]:
    found = []
    if not len(known):
        found.append("no jobs")
    elif not known.all():
        found.append(
            f"{int((~known).sum())} of {len(known)} trials left out: fewer than "
            f"{_LEAST_IN_BAND} jobs near the quantile, or jobs there did not finish"
        )
    if known.any() and abs(float(bands[known].mean()) - 1) > _FAR:
        found.append("jobs near the quantile differ from it by more than 10 %: parts are scaled")
    return tuple(found)
