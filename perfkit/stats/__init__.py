"""Statistics: pure functions on arrays that return an estimate, its interval and warnings.

Nothing here reads a file. Unless a docstring says otherwise, times are in the unit of the values.
Lazy: `order` is also used beside a measurement, where numpy and scipy must not be.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.stats.estimate import Estimate
    from perfkit.stats.order import quantile_of_sorted
    from perfkit.stats.quantiles import effective_size, quantile
    from perfkit.stats.trend import backlog_trend

__all__ = ["Estimate", "backlog_trend", "effective_size", "quantile", "quantile_of_sorted"]

_HOMES: Final = {
    "Estimate": "estimate",
    "backlog_trend": "trend",
    "effective_size": "quantiles",
    "quantile": "quantiles",
    "quantile_of_sorted": "order",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"perfkit.stats.{_HOMES[name]}"), name)
    raise AttributeError(f"perfkit.stats has no public name {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
