"""What an experiment of so many pairs can find, given the noise between trials."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, nct
from scipy.stats import t as student

from perfkit.stats.flips import TIE, sign_flips, smallest_p

__all__ = [
    "detectable_by_flips",
    "detectable_multiple",
    "interval_multiple",
    "minimum_detectable_effect",
    "upper_sd",
]

_FARTHEST: Final = 1e3
_MOST_SIMULATED: Final = 10
_REPEATS: Final = 1000
_FINE: Final = 1e-3


def minimum_detectable_effect(
    sd_log: float, pairs: int, *, power: float = 0.8, level: float = 0.95
) -> float:
    """The smallest relative change that a paired comparison finds with this power.

    exp(m sd_log) - 1 with m of `detectable_multiple`: the two-sided paired t test. Give it the
    noise of A/A pairs (or `upper_sd` of few), never that of the effect just observed.

    Args:
        sd_log: standard deviation of the pairs' log ratios.
        pairs: how many pairs are measured.
        power: chance to find it.
        level: confidence of the comparison.

    Returns:
        A share of one (0.055 is 5.5 %); +infinity of one pair, which can find nothing.

    Raises:
        ValueError: sd_log is negative or not finite, pairs < 1, or power or level is outside 0, 1.
    """
    if not (math.isfinite(sd_log) and sd_log >= 0):
        raise ValueError(f"sd_log = {sd_log} must be finite and not negative; measure A/A pairs")
    multiple = detectable_multiple(pairs, power=power, level=level)
    if math.isinf(multiple):
        return math.inf
    exponent = multiple * sd_log
    return math.expm1(exponent) if exponent < 700 else math.inf


@lru_cache(maxsize=256)
def detectable_multiple(pairs: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """The mean difference found with this power, in standard deviations of the differences.

    The non-centrality at which Student's t with pairs - 1 degrees of freedom leaves the two-sided
    acceptance region with probability ``power``, over sqrt(pairs) (Cohen 1988, chapter 2).

    Returns:
        +infinity of one pair.

    Raises:
        ValueError: pairs < 1, or power or level is outside 0, 1, or power is below 1 - level.
    """
    if pairs < 1:
        raise ValueError(f"pairs = {pairs}: at least one is needed")
    if not (0 < level < 1 and 1 - level < power < 1):
        raise ValueError(
            f"power = {power} must lie between 1 - level and 1, level = {level} in 0..1"
        )
    if pairs == 1:
        return math.inf
    critical = float(student.ppf((1 + level) / 2, pairs - 1))

    def surplus(shift: float) -> float:
        above = float(nct.sf(critical, pairs - 1, shift))
        below = float(nct.cdf(-critical, pairs - 1, shift))
        return above + (below if math.isfinite(below) else 0.0) - power

    high = 1.0
    while surplus(high) < 0 and high < _FARTHEST * critical:
        high *= 2
    return float(brentq(surplus, 0.0, high, xtol=1e-10)) / math.sqrt(pairs)


@lru_cache(maxsize=64)
def detectable_by_flips(
    pairs: int, metrics: int, *, power: float = 0.8, level: float = 0.95
) -> float:
    """The mean difference of one metric that a comparison of several finds with this power.

    As `detectable_multiple`, in standard deviations of the differences, but for the test that
    compares: `max_t_sign_flip` over all metrics. Its p is coarse, and a metric has to stand out
    among all of them: 8 pairs of 12 metrics take an effect 1.6 times as large as one t test does.

    By simulation with a fixed seed, to about 2 %: normal differences, the other metrics unmoved
    and independent of it. Where they hang together, as the quantiles of a queue do, the power is
    higher. Of more than 10 pairs the flips are fine enough for Student's t at Sidak's level.

    Returns:
        +infinity where so few pairs never reach p <= 1 - level.

    Raises:
        ValueError: as `detectable_multiple`, or metrics < 1.
    """
    if pairs < 1 or metrics < 1:
        raise ValueError(f"pairs = {pairs}, metrics = {metrics}: at least one of each is needed")
    if smallest_p(pairs) > 1 - level:
        return math.inf
    by_t = detectable_multiple(pairs, power=power, level=level ** (1 / metrics))
    if pairs > _MOST_SIMULATED:
        return by_t
    found = _power(pairs, metrics, level)
    low, high = 0.0, by_t
    while found(high) < power:
        low, high = high, 2 * high
    while high - low > _FINE:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    return high


def _power(pairs: int, metrics: int, level: float) -> Callable[[float], float]:
    """By the shift of one metric, how often `max_t_sign_flip` finds it among the others."""
    random = np.random.default_rng(1)
    signs = np.vstack(list(sign_flips(pairs, seed=1))).T
    own = random.standard_normal((_REPEATS, pairs))
    rivals = np.zeros((_REPEATS, signs.shape[1]))
    for _ in range(metrics - 1):
        drawn = random.standard_normal((_REPEATS, pairs))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        np.maximum(rivals, np.abs(drawn @ signs), out=rivals)

    def found(shift: float) -> float:
        moved = own + shift
        sums = np.abs(moved / np.linalg.norm(moved, axis=1, keepdims=True) @ signs)
        # The first column is of the signs as they were observed.
        reached = np.maximum(sums, rivals) >= sums[:, :1] - TIE
        return float((reached.mean(axis=1) <= 1 - level).mean())

    return found


def interval_multiple(pairs: int, level: float) -> float:
    """Half the width of Student's interval of the mean, in standard deviations of the differences.

    t(pairs - 1) / sqrt(pairs). +infinity of one pair.

    Raises:
        ValueError: pairs < 1, or level is outside 0, 1.
    """
    if pairs < 1 or not 0 < level < 1:
        raise ValueError(f"pairs = {pairs} must be 1 or more, level = {level} in 0..1")
    if pairs == 1:
        return math.inf
    return float(student.ppf((1 + level) / 2, pairs - 1)) / math.sqrt(pairs)


def upper_sd(sd: float, n: int, *, level: float = 0.8) -> float:
    """Upper confidence limit of a standard deviation known from few normal values.

    sd sqrt((n - 1) / chi2(1 - level; n - 1)). At 80 % it is what to plan with where there is no
    pooled noise: a plan on the estimate itself falls short of its power in more than half of all
    cases (Browne 1995).

    Args:
        sd: of n values, with n - 1 in the denominator.
        n: how many values.
        level: one-sided confidence.

    Returns:
        In the unit of sd; +infinity of fewer than two values.

    Raises:
        ValueError: sd is negative or NaN, or level is outside 0, 1.
    """
    if not sd >= 0:
        raise ValueError(f"sd = {sd} must not be negative")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is outside 0 to 1")
    if n < 2:
        return math.inf
    return sd * math.sqrt((n - 1) / float(chi2.ppf(1 - level, n - 1)))
