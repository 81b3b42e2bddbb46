"""Two arms over interleaved pairs of trials, several metrics at once.

The trial is the unit: thousands of jobs of one trial depend on each other, and are one value each
of P50, P95 and so on (statistics.md, 0 and 2). Error rates and coverage are proved in
tests/stats/test_protocol.py; five hundred A/A comparisons in tests/benchmarks/bench_stats.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, rankdata

from perfkit.stats.comparison import Comparison, Effect, Metric, Stability
from perfkit.stats.detecting import detectable_by_flips, upper_sd
from perfkit.stats.estimate import Estimate
from perfkit.stats.flips import max_t_sign_flip, smallest_p
from perfkit.stats.spread import median_interval, student_interval, varies

__all__ = ["LEAST_PAIRS", "compare_pairs"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_PAIRS: Final = 6
"""Fewer are exploratory: no p of theirs goes below 5 %."""


def compare_pairs(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    margin: float | Sequence[float],
    level: float = 0.95,
    metrics: Sequence[Metric] | None = None,
    valid: npt.ArrayLike | None = None,
    unstable: npt.ArrayLike | None = None,
    baseline: str = "A",
    candidate: str = "B",
    seed: int = 1,
) -> Comparison:
    """The effect of B against A on each metric, with interval, adjusted p and what could be found.

    Per pair and metric the difference is d = log(b / a), or b - a. The effect is exp(mean d) - 1
    with the interval of Student's t; p is by sign flips (`max_t_sign_flip`), adjusted over all
    metrics. By rank instead, with the median of d as the effect and signed ranks under the flips,
    where a d is infinite (a quantile among unfinished jobs, a throughput of zero), half of them
    are zero, or they are all the same. A pair that is infinite, or zero, in both arms has an
    unknown ratio: it counts for no direction and widens the interval.

    Args:
        a: shape (trials, metrics), or (trials,) for one metric: the baseline. Row i of ``a`` and
            row i of ``b`` are a pair. NaN is "not known".
        b: the candidate, of the same shape.
        margin: what matters, in the unit of the effect: 0.05 is 5 % on the ratio scale. One for
            all metrics, or one each.
        level: confidence of the intervals, and 1 - the family-wise rate of false alarms.
        metrics: one each; default: ratios, lower is better.
        valid: shape (2, trials), false where a trial of A, of B is INVALID. Default: all valid.
        unstable: shape (2, trials), true where it did not sustain the offered load.
        baseline: name of A.
        candidate: name of B.
        seed: of the random flips, which only more than 16 pairs need.

    Returns:
        Never a refusal for want of evidence: of no metric at all there are no effects; a metric
        that is NaN in a valid pair has a NaN effect and a warning; so have intervals of too few
        pairs.

    Raises:
        ValueError: the shapes do not fit; a value is -infinity, or negative on the ratio scale; a
            margin is not positive; the level is outside 0.5, 1.
    """
    first, second = _table(a), _table(b)
    if first.shape != second.shape:
        raise ValueError(
            f"arms of {first.shape} and {second.shape} trials x metrics do not pair up"
        )
    planned, count = first.shape
    named = tuple(metrics or (Metric(name=f"metric {place + 1}") for place in range(count)))
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), (count,))
    _check(first, second, named, margins, level)
    sound, shaky = ~_flags(valid, planned, True), _flags(unstable, planned, False)
    kept = ~sound.any(axis=0)
    first, second, shaky = first[kept], second[kept], shaky[:, kept]
    differences = [
        _Differences(first[:, each], second[:, each], metric) for each, metric in enumerate(named)
    ]
    adjusted, alone = _tested(differences, seed)
    family = sum(each.read for each in differences)
    effects = tuple(
        _effect(found, metric, float(bound), level, float(p), float(p_adjusted), family)
        for found, metric, bound, p, p_adjusted in zip(
            differences, named, margins, alone, adjusted, strict=True
        )
    )
    invalid = (int(sound[0].sum()), int(sound[1].sum()))
    counts = (int(shaky[0].sum()), int(shaky[1].sum()))
    stability = _stability(shaky, level)
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        effects=effects,
        level=level,
        pairs=len(first),
        planned_pairs=planned,
        invalid=invalid,
        unstable=counts,
        stability=stability,
        warnings=tuple(_remarks(len(first), planned, invalid, counts, level)),
    )


class _Differences:
    """Of one metric over the pairs: B against A, on the scale the arithmetic is done on."""

    def __init__(self, a: Array, b: Array, metric: Metric) -> None:
        if metric.scale == "ratio":
            with np.errstate(divide="ignore"):
                a, b = np.log(a), np.log(b)
        unknown = np.isinf(a) & (a == b)
        # Infinity less infinity is NaN, but not for want of a reading.
        self.values = np.where(unknown, 0.0, b) - np.where(unknown, 0.0, a)
        self.lows = np.where(unknown, -math.inf, self.values)
        self.highs = np.where(unknown, math.inf, self.values)
        self.unknown = int(unknown.sum())
        self.read = not np.isnan(self.values).any()
        self.unread = int(np.isnan(self.values).sum())
        zeros = int((self.values == 0).sum())
        finite = bool(np.isfinite(self.values).all())
        self.same = finite and len(a) > 1 and not varies(self.values)
        self.by_rank = not finite or bool(unknown.any())
        self.by_rank = self.by_rank or self.same or (len(a) > 1 and 2 * zeros >= len(a))
        self.correlation = _correlation(a, b)

    def to_flip(self) -> Array:
        """What the flips are done on: the differences, or their signed ranks."""
        if not self.by_rank:
            return self.values
        ranks: Array = rankdata(np.abs(self.values))
        signed: Array = np.sign(self.values) * ranks
        return signed


def _tested(differences: list[_Differences], seed: int) -> tuple[Array, Array]:
    """Adjusted p and p alone, one each; NaN of a metric that was not read in every pair."""
    adjusted, alone = np.full(len(differences), math.nan), np.full(len(differences), math.nan)
    known = [place for place, each in enumerate(differences) if each.read and len(each.values)]
    if known:
        columns = np.column_stack([differences[place].to_flip() for place in known])
        adjusted[known] = max_t_sign_flip(columns, seed=seed)
        alone[known] = (
            [max_t_sign_flip(column, seed=seed)[0] for column in columns.T]
            if len(known) > 1
            else adjusted[known]
        )
    return adjusted, alone


def _effect(
    found: _Differences,
    metric: Metric,
    margin: float,
    level: float,
    p: float,
    p_adjusted: float,
    family: int,
) -> Effect:
    pairs, warnings = len(found.values), []
    point, sd = math.nan, math.nan
    ends = narrow = (math.nan, math.nan)
    method = "paired Student's t"
    if not pairs:
        warnings.append("no valid pair")
    elif not found.read:
        warnings.append(f"not known in {found.unread} of {pairs} pairs: not compared")
    elif found.by_rank:
        method = "order statistics of the pairs"
        point, ends = median_interval(found.lows, found.highs, level)
        narrow = median_interval(found.lows, found.highs, 2 * level - 1)[1]
        warnings.append(_why_by_rank(found))
    else:
        point, sd = float(found.values.mean()), math.nan
        ends = student_interval(found.values, level)
        narrow = student_interval(found.values, 2 * level - 1)
        if pairs > 1:
            sd = float(found.values.std(ddof=1))
    if pairs and found.read and math.isnan(ends[0]):
        warnings.append(f"no interval: {pairs} pairs are too few")
    noise = metric.planned_sd
    if math.isnan(noise) and not math.isnan(sd):
        noise = upper_sd(sd, pairs)
    change = _change if metric.scale == "ratio" else float
    return Effect(
        metric=metric,
        estimate=Estimate(
            point=change(point),
            low=change(ends[0]),
            high=change(ends[1]),
            confidence=level,
            n=pairs,
            method=method,
            warnings=tuple(warnings),
            n_effective=float(pairs),
        ),
        equivalence=(change(narrow[0]), change(narrow[1])),
        p=p,
        p_adjusted=p_adjusted,
        margin=margin,
        sd=sd,
        mde=_findable(noise, pairs, metric, level, family),
        correlation=found.correlation,
    )


def _why_by_rank(found: _Differences) -> str:
    if found.unknown:
        return f"zero or infinite in both arms of {found.unknown} pairs: median, interval by rank"
    if found.same:
        return "the same difference in every pair: interval by rank"
    if np.isfinite(found.values).all():
        return "no difference in half of the pairs: median, interval by rank"
    return "zero or infinite in one arm of a pair: median, interval by rank"


def _findable(noise: float, pairs: int, metric: Metric, level: float, family: int) -> float:
    if not math.isfinite(noise) or not (pairs and family):
        return math.nan
    multiple = detectable_by_flips(pairs, family, level=level)
    if math.isinf(multiple):
        return math.inf
    return _change(multiple * noise) if metric.scale == "ratio" else multiple * noise


def _stability(shaky: Flags, level: float) -> Stability:
    """McNemar's exact test of the pairs in which only one arm kept up."""
    if not shaky.any():
        return "held"
    only_a, only_b = int((shaky[0] & ~shaky[1]).sum()), int((shaky[1] & ~shaky[0]).sum())
    if only_a + only_b and binomtest(only_b, only_a + only_b).pvalue <= 1 - level:
        return "candidate unstable" if only_b > only_a else "baseline unstable"
    return "undecided"


def _remarks(
    pairs: int, planned: int, invalid: tuple[int, int], unstable: tuple[int, int], level: float
) -> list[str]:
    found = []
    if pairs < planned:
        found.append(f"{planned - pairs} of {planned} pairs left out: a trial of theirs is INVALID")
    if invalid[0] != invalid[1]:
        found.append(
            f"invalid trials differ between the arms ({invalid[0]} and {invalid[1]}): the pairs "
            "that are left are a selection; repeat them"
        )
    if any(unstable):
        found.append(
            f"the offered load was not sustained in {unstable[0]} and {unstable[1]} of {pairs} "
            "pairs: latencies at unstable load do not compare"
        )
    if pairs < LEAST_PAIRS:
        found.append(f"exploratory: {pairs} pairs, {LEAST_PAIRS} are the least for a verdict")
    elif smallest_p(pairs) > 1 - level:
        found.append(
            f"{pairs} pairs can't reach p <= {1 - level:.2g}: no effect can be significant"
        )
    return found


def _table(values: npt.ArrayLike) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise ValueError(f"an arm must be trials x metrics, not of shape {table.shape}")
    return table


def _flags(values: npt.ArrayLike | None, trials: int, default: bool) -> Flags:
    if values is None:
        return np.full((2, trials), default)
    flags = np.asarray(values, dtype=np.bool_)
    if flags.shape != (2, trials):
        raise ValueError(f"flags must be 2 arms x {trials} trials, not of shape {flags.shape}")
    return flags


def _check(a: Array, b: Array, metrics: Sequence[Metric], margins: Array, level: float) -> None:
    if len(metrics) != a.shape[1]:
        raise ValueError(f"{len(metrics)} metrics are named, the arms have {a.shape[1]}")
    if not 0.5 < level < 1:
        raise ValueError(f"level = {level} is outside 0.5 to 1")
    if not (np.isfinite(margins).all() and (margins > 0).all()):
        raise ValueError("a margin must be positive: the smallest effect that matters")
    for place, metric in enumerate(metrics):
        least = min(_least(a[:, place]), _least(b[:, place]))
        if math.isinf(least) and least < 0:
            raise ValueError(f"{metric.name} is -infinity; leave out what was not observed as NaN")
        if metric.scale == "ratio" and least < 0:
            raise ValueError(f'{metric.name} is negative; compare it with scale="difference"')


def _least(values: Array) -> float:
    return float(np.nanmin(values)) if (~np.isnan(values)).any() else math.inf


def _correlation(a: Array, b: Array) -> float:
    if len(a) < 3 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    if not (varies(a) and varies(b)):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _change(log_ratio: float) -> float:
    return math.expm1(log_ratio) if not log_ratio >= 709 else math.inf
