"""Statistics: pure functions on arrays that return an estimate, its interval and warnings.

Nothing here reads a file. Unless a docstring says otherwise, times are in the unit of the values.
Lazy: `order` is also used beside a measurement, where numpy and scipy must not be. No module is
named as a public name is: importing it would put it in the name's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.stats.adjusting import slopes_of_others
    from perfkit.stats.comparison import Comparison, Effect, Metric, Stability
    from perfkit.stats.contributions import (
        Contributions,
        contributions_within,
        stage_contributions,
    )
    from perfkit.stats.detecting import minimum_detectable_effect, upper_sd
    from perfkit.stats.drifting import drift
    from perfkit.stats.estimate import Estimate
    from perfkit.stats.flips import max_t_sign_flip
    from perfkit.stats.laws import Demand, LittlesLaw, littles_law, service_demand
    from perfkit.stats.order import quantile_of_sorted
    from perfkit.stats.pairing import compare_pairs
    from perfkit.stats.quantiles import effective_size, pooled_effective_size, quantile
    from perfkit.stats.queueing import Queue, ggc, mmc
    from perfkit.stats.recursion import (
        PathwiseCheck,
        Simulated,
        check_pathwise,
        delays_of,
        simulate_queue,
    )
    from perfkit.stats.shifting import Shift, hochberg, shift_function, trimmed_mean
    from perfkit.stats.spread import between_trials
    from perfkit.stats.trend import backlog_trend
    from perfkit.stats.unpaired import Contrast, compare_groups
    from perfkit.stats.warmup import SteadyState, mser5

__all__ = [
    "Comparison",
    "Contrast",
    "Contributions",
    "Demand",
    "Effect",
    "Estimate",
    "LittlesLaw",
    "Metric",
    "PathwiseCheck",
    "Queue",
    "Shift",
    "Simulated",
    "Stability",
    "SteadyState",
    "backlog_trend",
    "between_trials",
    "check_pathwise",
    "compare_groups",
    "compare_pairs",
    "contributions_within",
    "delays_of",
    "drift",
    "effective_size",
    "ggc",
    "hochberg",
    "littles_law",
    "max_t_sign_flip",
    "minimum_detectable_effect",
    "mmc",
    "mser5",
    "pooled_effective_size",
    "quantile",
    "quantile_of_sorted",
    "service_demand",
    "shift_function",
    "simulate_queue",
    "slopes_of_others",
    "stage_contributions",
    "trimmed_mean",
    "upper_sd",
]

_HOMES: Final = {
    "comparison": (
        "Comparison",
        "Effect",
        "Metric",
        "Stability",
    ),
    "adjusting": ("slopes_of_others",),
    "contributions": (
        "Contributions",
        "contributions_within",
        "stage_contributions",
    ),
    "detecting": (
        "minimum_detectable_effect",
        "upper_sd",
    ),
    "drifting": ("drift",),
    "estimate": ("Estimate",),
    "flips": ("max_t_sign_flip",),
    "laws": (
        "Demand",
        "LittlesLaw",
        "littles_law",
        "service_demand",
    ),
    "order": ("quantile_of_sorted",),
    "pairing": ("compare_pairs",),
    "quantiles": (
        "effective_size",
        "pooled_effective_size",
        "quantile",
    ),
    "queueing": (
        "Queue",
        "ggc",
        "mmc",
    ),
    "recursion": (
        "PathwiseCheck",
        "Simulated",
        "check_pathwise",
        "delays_of",
        "simulate_queue",
    ),
    "shifting": (
        "Shift",
        "hochberg",
        "shift_function",
        "trimmed_mean",
    ),
    "spread": ("between_trials",),
    "trend": ("backlog_trend",),
    "unpaired": (
        "Contrast",
        "compare_groups",
    ),
    "warmup": (
        "SteadyState",
        "mser5",
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"perfkit.stats.{home}"), name)
    raise AttributeError(f"perfkit.stats has no public name {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
