"""Intervals from values that are independent: one value of each trial, or of each pair of trials.

Two ways. Student's t where the values vary and are finite: mean +- t(k-1) s / sqrt(k). By rank
where they do not: the interval between two order statistics holds the median with a known chance,
whatever the distribution (David and Nagaraja 2003, section 7.1).
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from perfkit.stats.distributions import binomial_cdf, binomial_ppf, student_ppf
from perfkit.stats.estimate import Estimate

__all__ = ["between_trials", "median_interval", "student_interval", "varies"]

Array = npt.NDArray[np.float64]
Scale = Literal["ratio", "difference"]

STUDENT: Final = "Student's t between trials"
BY_RANK: Final = "order statistics between trials"
_SAME: Final = 1e-9


def between_trials(
    values: npt.ArrayLike, *, level: float = 0.95, scale: Scale = "ratio"
) -> Estimate:
    """The mean of one figure over trials, and where a further set of trials would put it.

    The only interval that speaks of the system and not of one trial of it. On the ratio scale the
    mean is geometric: exp(mean of logs), with the interval of the logs (statistics.md, 1.2).

    Args:
        values: shape (trials,), one figure of each trial, such as its P95; +infinity where it
            falls among jobs that did not finish.
        level: confidence of the interval.
        scale: "ratio" of positive figures (latency, throughput), "difference" of figures that may
            be zero (an error rate).

    Returns:
        By rank, with the median as the point and a warning, where a value is infinite, all are the
        same, or one is zero on the ratio scale: it needs 6 trials at 95 %. NaN ends with a warning
        where there are too few trials; a NaN point of none.

    Raises:
        ValueError: a value is NaN or -infinity, or negative on the ratio scale; or the level is
            outside 0, 1.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"values must have one dimension, not {series.ndim}")
    if np.isnan(series).any() or np.isneginf(series).any():
        raise ValueError("values must be numbers or +infinity; leave out what was not observed")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is outside 0 to 1")
    if scale == "ratio" and (series < 0).any():
        raise ValueError('a negative value has no ratio; use scale="difference"')
    logs = _log(series) if scale == "ratio" else series
    warnings: list[str] = []
    if len(series) < 2:
        warnings.append("no values" if not len(series) else "no interval: one trial, 2 are needed")
        ends = (math.nan, math.nan)
        point, method = (float(logs[0]) if len(series) else math.nan), STUDENT
    elif np.isfinite(logs).all() and varies(logs):
        point, ends, method = float(logs.mean()), student_interval(logs, level), STUDENT
    else:
        point, ends = median_interval(logs, logs, level)
        method = BY_RANK
        warnings.append(
            "the trials are all the same: an interval by rank"
            if np.isfinite(logs).all()
            else "a trial is zero or infinite: median and interval by rank"
        )
        if math.isnan(ends[0]):
            warnings.append(f"no interval: {len(series)} trials are too few for one by rank")
    if scale == "ratio":
        point, ends = _exp(point), (_exp(ends[0]), _exp(ends[1]))
    return Estimate(
        point=point,
        low=ends[0],
        high=ends[1],
        confidence=level,
        n=len(series),
        method=method,
        warnings=tuple(warnings),
        n_effective=float(len(series)),
    )


def student_interval(values: Array, level: float) -> tuple[float, float]:
    """Ends of the mean's interval, in the unit of the values; NaN of fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    half = student_ppf((1 + level) / 2, len(values) - 1)
    half *= float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def median_interval(lows: Array, highs: Array, level: float) -> tuple[float, tuple[float, float]]:
    """Median and its interval by rank, in the unit of the values.

    Each value is known to lie between its entry in ``lows`` and in ``highs`` (the same entry where
    it is known). The point is NaN where the median is not known, the ends are where the values are
    too few for the level.
    """
    n = len(lows)
    low_sorted, high_sorted = np.sort(lows), np.sort(highs)
    point = _middle(low_sorted)
    if point != _middle(high_sorted):
        point = math.nan
    rank = binomial_ppf((1 - level) / 2, n, 0.5)
    while rank > 0 and binomial_cdf(rank - 1, n, 0.5) > (1 - level) / 2:
        rank -= 1
    if rank < 1:
        return point, (math.nan, math.nan)
    return point, (float(low_sorted[rank - 1]), float(high_sorted[n - rank]))


def varies(values: Array) -> bool:
    """Whether finite values differ by more than rounding."""
    return bool(np.ptp(values) > _SAME * np.abs(values).max())


def _middle(ordered: Array) -> float:
    low, high = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    return low if low == high else (low + high) / 2


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf if value >= 709 else value
