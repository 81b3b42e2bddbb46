"""How the whole distribution moved between two arms: one difference for each quantile.

The hierarchical shift function (Rousselet and Wilcox 2020): quantiles are taken inside each trial,
differences inside each pair, and only then is anything averaged, over pairs. So the unit is the
trial. Trimmed means, since one pair in eight that was disturbed should not decide; Hochberg over
the quantiles, since they are many questions on the same trials. tests/stats/test_shifting.py has
the closed forms, and coverage and false alarms by simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from perfkit.stats.estimate import Estimate
from perfkit.stats.spread import Scale, varies

__all__ = ["Shift", "hochberg", "shift_function", "trimmed_mean"]

Array = npt.NDArray[np.float64]

_TRIM: Final = 0.2
_METHOD: Final = "trimmed mean over pairs, Yuen's t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One difference for each quantile, B against A; all of shape (quantiles,)."""

    quantiles: tuple[float, ...]
    estimates: tuple[Estimate, ...]
    """B / A - 1 on the ratio scale, else B - A in the unit of the values."""
    p: tuple[float, ...]
    """Of no shift, each quantile alone."""
    p_adjusted: tuple[float, ...]
    """The same among all quantiles (Hochberg)."""
    level: float

    @property
    def moved(self) -> tuple[bool, ...]:
        """Where a shift is proved, all quantiles together at most ``1 - level`` wrong."""
        return tuple(each <= 1 - self.level for each in self.p_adjusted)


def shift_function(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    quantiles: npt.ArrayLike,
    *,
    scale: Scale = "ratio",
    trim: float = _TRIM,
    level: float = 0.95,
) -> Shift:
    """How each quantile moved from A to B, over pairs of trials.

    Args:
        a: shape (pairs, quantiles): of each baseline trial its quantiles; +infinity where one falls
            among jobs that did not finish. NaN is "not known".
        b: the candidate's, of the same shape; row i is paired with row i of ``a``.
        quantiles: shape (quantiles,), 0 < q < 1: what the columns are.
        scale: "ratio" of positive values (latencies), "difference" in their unit.
        trim: share of pairs left out at either end.
        level: confidence of each interval, and 1 - the rate of false alarms of ``p_adjusted``.

    Returns:
        Of a quantile without enough pairs, or infinite in more of them than are trimmed, an
        estimate without interval and with a warning, and a p of NaN; it does not count among those
        that p is adjusted for.

    Raises:
        ValueError: shapes do not fit, a value is -infinity or on the ratio scale not positive, or
            a quantile, ``trim`` or ``level`` is out of range.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    places = np.asarray(quantiles, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or places.shape != first.shape[1:]:
        raise ValueError(
            f"arms of {first.shape} and {second.shape} pairs x quantiles do not fit "
            f"{places.shape} quantiles"
        )
    if not ((places > 0) & (places < 1)).all():
        raise ValueError("quantiles must be between 0 and 1")
    both = np.stack([first, second])
    if np.isneginf(both).any() or (scale == "ratio" and (both <= 0).any()):
        raise ValueError('values must be positive for a ratio; use scale="difference"')
    if scale == "ratio":
        both = np.log(both)
    estimates, alone = [], []
    with np.errstate(invalid="ignore"):  # infinite in both arms: the difference is not known
        differences = both[1] - both[0]
    for column in differences.T:
        found, p = trimmed_mean(column[~np.isnan(column)], trim=trim, level=level)
        estimates.append(_as_change(found) if scale == "ratio" else found)
        alone.append(p)
    return Shift(
        quantiles=tuple(map(float, places)),
        estimates=tuple(estimates),
        p=tuple(alone),
        p_adjusted=tuple(map(float, hochberg(alone))),
        level=level,
    )


def trimmed_mean(
    values: npt.ArrayLike, *, trim: float = _TRIM, level: float = 0.95
) -> tuple[Estimate, float]:
    """Trimmed mean, its interval and the p of zero, by the one-sample form of Yuen's test.

    With g = floor(trim n) values left out at either end and h = n - 2 g kept, the error is
    s_w sqrt((n - 1) / (h (h - 1))), s_w the standard deviation of the winsorized values, on
    Student's t with h - 1 degrees of freedom (Yuen 1974; Wilcox 2017, 4.3). Without
    trimming it is the ordinary t.

    Args:
        values: shape (n,), independent, any unit; infinite ones count as beyond all others.
        trim: 0 <= trim < 0.5.
        level: confidence of the interval.

    Returns:
        The estimate, and p. NaN p and no interval, with a warning, of fewer than two kept values,
        where more are infinite than are left out, or where all kept are the same: then nothing
        tells how sure it is. Where all of them are zero the interval is zero and p is 1.

    Raises:
        ValueError: a value is NaN, or trim or level is out of range.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.ndim != 1 or np.isnan(ordered).any():
        raise ValueError("values must be numbers in one dimension; leave out what is not known")
    if not (0 <= trim < 0.5 and 0 < level < 1):
        raise ValueError(f"trim = {trim} must be in 0 to 0.5, level = {level} in 0 to 1")
    n = len(ordered)
    cut = math.floor(trim * n)
    kept = ordered[cut : n - cut]
    warnings: tuple[str, ...] = ()
    with np.errstate(invalid="ignore"):
        point = float(kept.mean()) if n else math.nan
    low = high = p = math.nan
    if len(kept) < 2:
        warnings = (f"no interval: {n} pairs are too few",)
    elif not np.isfinite(kept).all():
        warnings = ("no interval: infinite in more pairs than are trimmed",)
    elif not kept.any():
        low, high, p = 0.0, 0.0, 1.0
    elif not varies(kept):
        warnings = ("no interval: the same in every pair",)
    else:
        winsorized = np.clip(ordered, kept[0], kept[-1])
        error = float(winsorized.std(ddof=1)) * math.sqrt((n - 1) / (len(kept) * (len(kept) - 1)))
        half = float(student.ppf((1 + level) / 2, len(kept) - 1)) * error
        low, high = point - half, point + half
        p = float(2 * student.sf(abs(point) / error, len(kept) - 1))
    estimate = Estimate(
        point=point,
        low=low,
        high=high,
        confidence=level,
        n=n,
        method=_METHOD,
        warnings=warnings,
        n_effective=float(n),
    )
    return estimate, p


def hochberg(p: npt.ArrayLike) -> Array:
    """Adjusted p: of the i-th smallest the least (m - j + 1) p_(j) over j >= i (Hochberg 1988).

    At most the level wrong in all where the tests are independent or hang together positively, as
    those of neighbouring quantiles do.

    Args:
        p: shape (tests,); NaN is a test that could not be made: it stays NaN and does not count.

    Returns:
        Shape (tests,), none below its own p, none above 1.

    Raises:
        ValueError: a p is outside 0 to 1.
    """
    given = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(given)
    if given.ndim != 1 or ((given[known] < 0) | (given[known] > 1)).any():
        raise ValueError("p must be numbers from 0 to 1 in one dimension")
    falling = np.argsort(-given[known], kind="stable")
    stepped = np.minimum.accumulate(given[known][falling] * np.arange(1, known.sum() + 1))
    back = np.empty_like(stepped)
    back[falling] = stepped
    adjusted = np.full(given.shape, math.nan)
    adjusted[known] = np.minimum(back, 1.0)
    return adjusted


def _as_change(found: Estimate) -> Estimate:
    """From the log of a ratio to the ratio less one."""
    low, point, high = (
        math.inf if value > 700 else math.expm1(value)
        for value in (found.low, found.point, found.high)
    )
    return Estimate(
        point=point,
        low=low,
        high=high,
        confidence=found.confidence,
        n=found.n,
        method=found.method,
        warnings=found.warnings,
        n_effective=found.n_effective,
    )
