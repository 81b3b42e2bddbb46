"""Whether a backlog grows: a robust slope with an interval that knows of dependence."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from perfkit.stats.estimate import Estimate

__all__ = ["backlog_trend"]

_BIN_S: Final = 5.0
_BINS: Final = 24  # of a short window
_LEAST_BINS: Final = 8
_MOST_BINS: Final = 240  # of a long one: pairs of bins are many, and each resample has them all
_RESAMPLES: Final = 400
_AT_ONCE: Final = 2**15  # slopes of pairs: they fit into a cache


def backlog_trend(
    at_s: npt.ArrayLike,
    backlog: npt.ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 1,
) -> Estimate:
    """Slope of a backlog in jobs per second.

    The Theil-Sen slope (median of all pairwise slopes) of means over bins of 5 s, or of 1/24 of
    the time where that is shorter, or 1/240 where that is longer. The interval is the percentile
    interval of a circular block bootstrap of the residuals (Politis and Romano 1992), blocks of
    about n^(1/2) bins, widened by the factor n / (n - 2) for the two fitted parameters.

    Args:
        at_s: shape (n,), seconds, in order.
        backlog: shape (n,), jobs waiting at these instants.
        level: confidence of the interval.
        seed: of the resampling.

    Returns:
        NaN ends with a warning where the readings fill fewer than 8 bins.

    Raises:
        ValueError: shapes differ.
    """
    times = np.asarray(at_s, dtype=np.float64)
    values = np.asarray(backlog, dtype=np.float64)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"{times.shape} instants for {values.shape} readings")
    centres, means = _binned(times, values)
    bins = len(centres)
    if bins < 2:
        return _estimate(math.nan, (math.nan, math.nan), level, len(times), "no trend: no readings")
    slope = float(_slopes(centres, means[None, :])[0])
    if bins < _LEAST_BINS:
        warning = f"no interval: readings fill {bins} bins, {_LEAST_BINS} are needed"
        return _estimate(slope, (math.nan, math.nan), level, len(times), warning)
    fitted = slope * centres + float(np.median(means - slope * centres))
    residuals = means - fitted
    block = max(2, round(math.sqrt(bins)))
    random = np.random.default_rng(seed)
    starts = random.integers(0, bins, size=(_RESAMPLES, math.ceil(bins / block)))
    places = (starts[:, :, None] + np.arange(block)[None, None, :]) % bins
    drawn = residuals[places.reshape(_RESAMPLES, -1)[:, :bins]]
    slopes = _slopes(centres, fitted + drawn)
    tail = (1 - level) / 2
    low, high = np.quantile(slopes, [tail, 1 - tail])
    wider = bins / (bins - 2)
    ends = (slope - (slope - float(low)) * wider, slope + (float(high) - slope) * wider)
    return _estimate(slope, ends, level, len(times))


def _binned(
    times: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean instant and mean value of every bin that holds a reading."""
    if len(times) < 2 or times[-1] <= times[0]:
        return times[:1], values[:1]
    span = float(times[-1] - times[0])
    width = max(min(_BIN_S, span / _BINS), span / _MOST_BINS)
    place = np.minimum((times - times[0]) // width, math.ceil(span / width) - 1).astype(np.int64)
    counts = np.bincount(place)
    filled = counts > 0
    return (
        np.bincount(place, times)[filled] / counts[filled],
        np.bincount(place, values)[filled] / counts[filled],
    )


def _slopes(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Theil-Sen slope of each row of ``y``, shape (rows, n), over ``x``, shape (n,)."""
    first, second = np.triu_indices(len(x), 1)
    run = x[second] - x[first]
    found = np.empty(len(y))
    for begin in range(0, len(y), step := max(1, _AT_ONCE // len(run))):
        part = y[begin : begin + step]
        rises = (part[:, second] - part[:, first]) / run
        found[begin : begin + step] = np.median(rises, axis=1, overwrite_input=True)
    return found


def _estimate(
    point: float, ends: tuple[float, float], level: float, n: int, *warnings: str
) -> Estimate:
    return Estimate(
        point=point,
        low=ends[0],
        high=ends[1],
        confidence=level,
        n=n,
        method="Theil-Sen slope, circular block bootstrap of residuals",
        warnings=warnings,
    )
