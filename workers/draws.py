"""Random draws that hang on a key instead of on the order of calls.

A draw is a pure function of its parts (job, queue, attempt, purpose): the same job gets the same
delay whichever worker runs it and whenever, so two systems can be compared on the same work.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

__all__ = ["lognormal", "normal", "uniform"]

_STANDARD_NORMAL = NormalDist()


def uniform(*parts: str | int) -> float:
    """A draw from the open interval (0, 1), by BLAKE2b of the parts.

    The parts are joined by the ASCII unit separator, so that ("a", "bc") and ("ab", "c") differ.
    """
    text = "\x1f".join(map(str, parts))
    bits = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 12
    # The middle of one of 2**52 equal cells: exact in a double, and never 0 or 1.
    return (2 * bits + 1) * 2.0**-53


def normal(*parts: str | int) -> float:
    """A draw from the standard normal distribution, by inversion."""
    return _STANDARD_NORMAL.inv_cdf(uniform(*parts))


def lognormal(median: float, sigma: float, *parts: str | int) -> float:
    """A draw whose logarithm is normal with mean log(median) and standard deviation sigma."""
    return median * math.exp(sigma * normal(*parts))
