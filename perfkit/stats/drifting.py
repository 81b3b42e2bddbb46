"""How a machine changed while a comparison ran: why its trials were interleaved."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import linregress
from scipy.stats import t as student

from perfkit.stats.estimate import Estimate

__all__ = ["drift"]

_LEAST = 4


def drift(at: npt.ArrayLike, values: npt.ArrayLike, *, level: float = 0.95) -> Estimate:
    """Relative change from the first instant to the last, along a line through the logs.

    exp(slope x span) - 1 by least squares, with Student's t on n - 2 degrees of freedom. Give it
    one value a pair (the geometric mean of its arms), so that the order inside pairs is no trend.

    Args:
        at: shape (n,), instants in any unit.
        values: shape (n,), positive; pairs whose value is zero, infinite or NaN are left out.
        level: confidence of the interval.

    Returns:
        A share of one. NaN ends with a warning of fewer than four values.

    Raises:
        ValueError: the shapes do not fit, or the level is outside 0 to 1.
    """
    instants, series = np.asarray(at, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if instants.shape != series.shape or instants.ndim != 1:
        raise ValueError(f"{instants.shape} instants for {series.shape} values")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is outside 0 to 1")
    kept = np.isfinite(series) & (series > 0)
    instants, logs = instants[kept], np.log(series[kept])
    point = low = high = math.nan
    warnings: tuple[str, ...] = ()
    if len(logs) < _LEAST or not np.ptp(instants):
        warnings = (f"no drift known: {len(logs)} pairs, {_LEAST} are needed",)
    else:
        fitted, span = linregress(instants, logs), float(np.ptp(instants))
        half = float(student.ppf((1 + level) / 2, len(logs) - 2)) * float(fitted.stderr)
        slope = float(fitted.slope)
        point, low, high = (math.expm1(each * span) for each in (slope, slope - half, slope + half))
    return Estimate(
        point=point,
        low=low,
        high=high,
        confidence=level,
        n=len(logs),
        method="least squares on logs, Student's t",
        warnings=warnings,
        n_effective=float(len(logs)),
    )
