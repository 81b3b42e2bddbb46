"""Statistics: pure functions on arrays that return an estimate, its interval and warnings.

Nothing here reads a file. Unless a docstring says otherwise, times are in the unit of the values.
"""

from perfkit.stats.estimate import Estimate
from perfkit.stats.quantiles import effective_size, quantile, quantile_of_sorted
from perfkit.stats.trend import backlog_trend

__all__ = ["Estimate", "backlog_trend", "effective_size", "quantile", "quantile_of_sorted"]
