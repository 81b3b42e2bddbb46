"""The one definition of a quantile, without numpy: it is also needed beside a measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["quantile_of_sorted"]

# (n - 1) p may miss a whole number by rounding; the next order statistic may be infinite.
_WHOLE: Final = 1e-9


def quantile_of_sorted(ordered: Sequence[float] | Any, p: float) -> float:
    """Quantile ``p`` (0 to 1) of ascending values, a sequence or an array; NaN of none.

    Linear between order statistics (type 7). Equal or infinite neighbours are not interpolated.
    """
    if not len(ordered):
        return math.nan
    place = (len(ordered) - 1) * p
    if abs(place - round(place)) < _WHOLE:
        return float(ordered[round(place)])
    below = math.floor(place)
    low, high = float(ordered[below]), float(ordered[below + 1])
    if low == high or math.isinf(high):
        return high
    return low + (high - low) * (place - below)
