"""Two groups of trials that do not pair up: all that is left where both are in the past.

Nothing was interleaved, so whatever else changed between the groups is in the difference as well:
exploratory by its nature. Intervals by Welch (1947) on logs; p by every relabelling of the trials,
which needs 4 against 4 to be able to reach 5 % (2 in 70; statistics.md, 1.3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from perfkit.stats.comparison import Metric
from perfkit.stats.estimate import Estimate
from perfkit.stats.spread import varies

__all__ = ["LEAST_TRIALS", "Contrast", "compare_groups"]

Array = npt.NDArray[np.float64]

LEAST_TRIALS: Final = 4
"""Of each group, for a p: fewer can't reach 5 %."""
_MOST_RELABELLINGS: Final = 20_000
_TIE: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One metric of two groups; in the unit of `Effect`."""

    metric: Metric
    estimate: Estimate
    """B / A - 1, or B - A; NaN ends of too few trials."""
    p: float
    """By relabelling, among all metrics (max-T); NaN of fewer than 4 against 4."""


def compare_groups(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    metrics: Sequence[Metric],
    level: float = 0.95,
    seed: int = 1,
) -> tuple[Contrast, ...]:
    """B against A, each metric on its scale.

    Args:
        a: shape (trials of A, metrics).
        b: shape (trials of B, metrics).
        metrics: one each.
        level: confidence of the intervals.
        seed: of the relabellings, where all are too many (more than 20,000).

    Returns:
        One each. A metric with a value that is NaN or infinite, or zero on the ratio scale, has the
        point alone where that is known, and a warning.

    Raises:
        ValueError: the shapes do not fit, or a group is empty.
    """
    first, second = (np.asarray(each, dtype=np.float64) for each in (a, b))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"groups of {first.shape} and {second.shape} trials x metrics")
    if first.shape[1] != len(metrics) or not len(first) or not len(second):
        raise ValueError("each metric is named, and each group has a trial")
    scaled = [
        (_scaled(first[:, place], metric), _scaled(second[:, place], metric))
        for place, metric in enumerate(metrics)
    ]
    p = _relabelled(scaled, seed)
    return tuple(
        _contrast(x, y, metric, level, float(each))
        for (x, y), metric, each in zip(scaled, metrics, p, strict=True)
    )


def _scaled(values: Array, metric: Metric) -> Array:
    if metric.scale == "difference":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values)


def _contrast(a: Array, b: Array, metric: Metric, level: float, p: float) -> Contrast:
    warnings = []
    point, low, high = math.nan, math.nan, math.nan
    known = bool(np.isfinite(a).all() and np.isfinite(b).all())
    if not known:
        warnings.append("not known, zero or infinite in a trial: no interval")
        middle_a, middle_b = float(np.median(a)), float(np.median(b))
        if not (math.isinf(middle_a) and middle_a == middle_b):
            point = middle_b - middle_a
    else:
        point = float(b.mean() - a.mean())
        low, high = _welch(a, b, level)
        if math.isnan(low):
            warnings.append(
                f"observed, not inferred: {len(a)} and {len(b)} trials, 2 of each are needed"
                if min(len(a), len(b)) < 2
                else "no interval: the trials do not vary"
            )
    change = (lambda each: math.expm1(min(each, 700.0))) if metric.scale == "ratio" else float
    return Contrast(
        metric=metric,
        estimate=Estimate(
            point=change(point),
            low=change(low),
            high=change(high),
            confidence=level,
            n=len(a) + len(b),
            method="Welch's t on logs" if metric.scale == "ratio" else "Welch's t",
            warnings=tuple(warnings),
        ),
        p=p,
    )


def _welch(a: Array, b: Array, level: float) -> tuple[float, float]:
    """Interval of mean(b) - mean(a); NaN of fewer than two values in a group, or of no variance."""
    if min(len(a), len(b)) < 2 or not (varies(a) or varies(b)):
        return math.nan, math.nan
    parts = [float(each.var(ddof=1)) / len(each) for each in (a, b)]
    variance = sum(parts)
    freedom = variance**2 / sum(
        part**2 / (len(each) - 1) for part, each in zip(parts, (a, b), strict=True)
    )
    half = float(student.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    middle = float(b.mean() - a.mean())
    return middle - half, middle + half


def _relabelled(scaled: Sequence[tuple[Array, Array]], seed: int) -> Array:
    """Adjusted p of each metric: max-T over joint relabellings, which keep their dependence."""
    found = np.full(len(scaled), math.nan)
    if not scaled:
        return found
    n_a, n_b = len(scaled[0][0]), len(scaled[0][1])
    known = [
        place
        for place, (a, b) in enumerate(scaled)
        if np.isfinite(a).all() and np.isfinite(b).all()
    ]
    if min(n_a, n_b) < LEAST_TRIALS or not known:
        return found
    table = np.column_stack([np.concatenate(scaled[place]) for place in known])
    spread = table.std(axis=0)
    units = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # With the pooled spread fixed, Student's t is monotone in the sum of one group.
    labels = _labels(n_a, n_b, seed)
    sums = np.abs(labels @ units)
    observed = np.abs(units[n_a:].sum(axis=0))
    order = np.argsort(-observed, kind="stable")
    rivals = np.maximum.accumulate(sums[:, order][:, ::-1], axis=1)[:, ::-1]
    reached = (rivals >= observed[order] - _TIE).mean(axis=0)
    adjusted = np.empty(len(known))
    adjusted[order] = np.maximum.accumulate(reached)
    found[known] = adjusted
    return found


def _labels(n_a: int, n_b: int, seed: int) -> Array:
    """Rows of 0 and 1, who is B: every choice, or 20,000 at random and the one observed."""
    whole = n_a + n_b
    if math.comb(whole, n_b) <= _MOST_RELABELLINGS:
        rows = np.zeros((math.comb(whole, n_b), whole))
        for number, chosen in enumerate(itertools.combinations(range(whole), n_b)):
            rows[number, list(chosen)] = 1.0
        return rows
    rng = np.random.default_rng(seed)
    rows = np.zeros((_MOST_RELABELLINGS, whole))
    rows[0, n_a:] = 1.0
    for number in range(1, _MOST_RELABELLINGS):
        rows[number, rng.choice(whole, size=n_b, replace=False)] = 1.0
    return rows
