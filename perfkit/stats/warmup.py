"""Where a transient ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["SteadyState", "mser5"]

_BATCH: Final = 5
_LEAST_BATCHES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyState:
    """How many values to leave out, and whether what remains is steady at all."""

    cut: int
    """Values before the steady state; a multiple of 5."""
    steady: bool
    n: int
    warnings: tuple[str, ...] = ()


def mser5(values: npt.ArrayLike) -> SteadyState:
    """MSER-5: the cut that leaves the smallest standard error (White 1997; White and Spratt 2000).

    z_j are means of 5 consecutive values, j = 1..m; the cut is 5 d for the d below m / 2 with the
    smallest sum over j > d of (z_j - mean of these)^2 / (m - d)^2. It is a diagnosis of pilot
    trials, from which one warm-up is fixed for both arms: cutting each trial by its own values
    would bias a comparison (statistics.md, 1.4).

    Args:
        values: shape (n,), in the order of time; such as medians of 1 s.

    Returns:
        Not steady, with a warning, where the best cut is the last that was allowed, or where there
        are fewer than 50 values.

    Raises:
        ValueError: a value is not finite, or there is more than one dimension.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"values must have one dimension, not {series.ndim}")
    if not np.isfinite(series).all():
        raise ValueError("values must be finite; use a figure that jobs without an end don't reach")
    batches = len(series) // _BATCH
    if batches < _LEAST_BATCHES:
        warning = f"{len(series)} values, {_BATCH * _LEAST_BATCHES} are needed: run longer"
        return SteadyState(cut=0, steady=False, n=len(series), warnings=(warning,))
    means = series[: batches * _BATCH].reshape(batches, _BATCH).mean(axis=1)
    if np.ptp(means) == 0:
        return SteadyState(cut=0, steady=True, n=len(series), warnings=("all values are equal",))
    means = (means - means[batches // 2 :].mean()) / np.ptp(means)
    left = np.arange(batches, 0, -1)
    sums, squares = (np.cumsum(each[::-1])[::-1] for each in (means, means**2))
    errors = (squares - sums**2 / left) / left.astype(np.float64) ** 2
    allowed = (batches + 1) // 2  # d < m / 2
    best = int(np.argmin(errors[:allowed]))
    steady = best < allowed - 1
    warnings = () if steady else ("no steady state was reached: run longer",)
    return SteadyState(cut=_BATCH * best, steady=steady, n=len(series), warnings=warnings)
