"""Student's t and the binomial, from special functions: `scipy.stats` takes a second to import."""

from __future__ import annotations

import math

from scipy import special

__all__ = ["binomial_cdf", "binomial_ppf", "student_ppf"]


def student_ppf(p: float, freedom: float) -> float:
    """The quantile at p of Student's t."""
    return float(special.stdtrit(freedom, p))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """How likely at most k of n are, each with probability p."""
    return float(special.bdtr(k, n, p))


def binomial_ppf(q: float, n: int, p: float) -> int:
    """The least k such that at most k of n are at least as likely as q."""
    k = max(0, math.ceil(float(special.bdtrik(q, n, p))))
    # The inverse is of a continuous k, and to some digits only.
    while k > 0 and binomial_cdf(k - 1, n, p) >= q:
        k -= 1
    while k < n and binomial_cdf(k, n, p) < q:
        k += 1
    return k
