"""What a statistic says, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point and its interval, in the unit of the values.

    With too little evidence the point stays, ``low`` and ``high`` are NaN, and a warning says why.
    """

    point: float
    low: float
    high: float
    confidence: float
    n: int
    method: str
    warnings: tuple[str, ...] = ()
    n_effective: float = math.nan  # independent values that n dependent ones are worth

    @property
    def has_interval(self) -> bool:
        """Whether there was enough evidence for an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))
