"""Quantiles of values that depend on each other, +infinity included.

One definition everywhere: linear between order statistics (Hyndman and Fan 1996, type 7; numpy's
``linear``). A value of +infinity is a job that did not finish; it takes part in the order and is
never interpolated into NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from perfkit.stats.distributions import binomial_ppf
from perfkit.stats.estimate import Estimate
from perfkit.stats.order import quantile_of_sorted

__all__ = ["effective_size", "pooled_effective_size", "quantile"]

Values = npt.ArrayLike

_LEAST_BATCHES: Final = 16
_LEAST_BEYOND: Final = 10.0


def effective_size(values: Values, p: float) -> float:
    """How many independent values these are worth for their quantile ``p``.

    Args:
        values: shape (n,), in the order the jobs were scheduled.
        p: 0 < p < 1.

    Returns:
        n / tau between 0 and n. tau is the largest of 2^k Var(mean of batches of 2^k) / Var(z)
        over all k that leave 16 batches or more, z being 1 where a value exceeds the quantile.
        n itself where all values are equal; 0.0 of no values.
    """
    series = _clean(values)
    _check_p(p)
    exceeds = (series > quantile_of_sorted(np.sort(series), p)).astype(np.float64)
    variance = float(exceeds.var(ddof=1)) if len(series) > 1 else 0.0
    if variance == 0.0:
        return float(len(series))
    tau, size = 1.0, 2
    while (batches := len(series) // size) >= _LEAST_BATCHES:
        means = exceeds[: batches * size].reshape(batches, size).mean(axis=1)
        tau = max(tau, size * float(means.var(ddof=1)) / variance)
        size *= 2
    return len(series) / tau


def pooled_effective_size(trials: Sequence[Values], p: float) -> float:
    """How many independent values one of these trials is worth for quantile ``p``, on average.

    `effective_size` of one trial is noisy, and a rule that prints an interval where it is large
    prints those that are too narrow (statistics.md, Decisions 2). Over trials, z is 1 where a
    value exceeds the quantile of all of them; its mean is known then, so that whole trials count
    as batches too.

    Args:
        trials: each of shape (n,), in the order the jobs were scheduled, of the same design; pilot
            trials, or all of a comparison.
        p: 0 < p < 1.

    Returns:
        Mean n / tau; n itself where all values are equal; 0.0 of no trials.

    Raises:
        ValueError: as `effective_size`.
    """
    _check_p(p)
    series = [each for each in map(_clean, trials) if len(each)]
    if not series:
        return 0.0
    limit = quantile_of_sorted(np.sort(np.concatenate(series)), p)
    exceeds = [(each > limit).astype(np.float64) for each in series]
    mean = float(np.concatenate(exceeds).mean())
    variance = mean * (1 - mean)
    average = float(np.mean([len(each) for each in series]))
    if variance == 0.0:
        return average
    tau, size = 1.0, 2
    while True:
        batches = [
            each[: len(each) // size * size].reshape(-1, size).mean(axis=1) for each in exceeds
        ]
        means = np.concatenate(batches)
        if len(means) < _LEAST_BATCHES:
            return average / tau
        tau = max(tau, size * float(((means - mean) ** 2).mean()) / variance)
        size *= 2


def quantile(
    values: Values,
    p: float,
    *,
    order: Values | None = None,
    level: float = 0.95,
    effective: float | None = None,
) -> Estimate:
    """Quantile ``p`` of dependent values of one trial, with its interval.

    The interval is made of the sample quantiles at the levels Bin^-1(a/2; n_eff, p) / n_eff and
    Bin^-1(1 - a/2; n_eff, p) / n_eff: the order statistics of independent values, with
    `effective_size` in place of n. It speaks of this trial's steady state, not of other trials.

    Args:
        values: shape (n,); +infinity is a job that did not finish.
        p: 0 to 1.
        order: shape (n,), sort keys that bring the values into scheduled order; None where they
            are in it already.
        level: confidence of the interval.
        effective: what the values are worth, from `pooled_effective_size` of several trials; None:
            from these values alone, which is a noisy guess.

    Returns:
        The interval is refused (NaN, with a warning) where fewer than 10 effective values lie
        beyond the quantile, and its upper end is +infinity where it falls among unfinished jobs.

    Raises:
        ValueError: a value is NaN or -infinity, or p, level or ``effective`` is out of range.
    """
    series = _clean(values)
    if effective is not None and not effective >= 0:
        raise ValueError(f"effective = {effective} must not be negative")
    if not 0 <= p <= 1:
        raise ValueError(f"p = {p} is outside 0 to 1")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is outside 0 to 1")
    if order is not None:
        keys = np.asarray(order)
        if keys.shape != series.shape:
            raise ValueError(f"{len(keys)} sort keys for {len(series)} values")
        series = series[np.argsort(keys, kind="stable")]
    ordered = np.sort(series)
    point = quantile_of_sorted(ordered, p)
    if effective is None:
        effective = effective_size(series, p) if 0 < p < 1 else 0.0
    n_effective = min(effective, float(len(series)))
    low, high, warnings = math.nan, math.nan, []
    if not len(series):
        warnings.append("no values")
    elif (beyond := n_effective * min(p, 1 - p)) < _LEAST_BEYOND:
        warnings.append(
            f"no interval: {beyond:.1f} effective values lie beyond the quantile, 10 are needed"
        )
    else:
        low, high = _interval(ordered, p, int(n_effective), level)
    if math.isinf(point):
        warnings.append("the quantile falls among jobs that did not finish")
    return Estimate(
        point=point,
        low=low,
        high=high,
        confidence=level,
        n=len(series),
        method="type 7; order statistics with the effective size",
        warnings=tuple(warnings),
        n_effective=n_effective,
    )


def _interval(
    ordered: npt.NDArray[np.float64], p: float, size: int, level: float
) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = (binomial_ppf(each, size, p) / size for each in (tail, 1 - tail))
    return quantile_of_sorted(ordered, low), quantile_of_sorted(ordered, min(1.0, high))


def _clean(values: Values) -> npt.NDArray[np.float64]:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"values must have one dimension, not {series.ndim}")
    if np.isnan(series).any() or np.isneginf(series).any():
        raise ValueError("values must be numbers or +infinity; leave out what was not observed")
    return series


def _check_p(p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p = {p} must lie between 0 and 1")
