"""Thresholds: ``agg op value`` on a metric of requests, jobs or telemetry.

Grammar of ``expr`` (white space is free)::

    expr  := agg op value
    agg   := "p(" number ")" | "avg" | "med" | "min" | "max" | "rate" | "count"
    op    := "<" | "<=" | ">" | ">=" | "=="
    value := a number, a duration ("500ms"), a percentage ("5%") or a rate ("150/s")
"""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from perfkit.units import parse_duration_ns

__all__ = ["METRICS", "Expression", "Threshold", "parse_expression"]

Unit = Literal["duration", "share", "rate", "count"]

METRICS: Final[dict[str, Unit]] = {
    "latency": "duration",
    "response": "duration",
    "queue_wait": "duration",
    "service": "duration",
    "added": "duration",
    "request": "duration",
    "send_lag": "duration",
    "errors": "share",
    "throughput": "rate",
    "dropped": "count",
    "lost": "count",
    "dead": "count",
    "duplicated": "count",
}
"""Metric names and what their values are."""

_AGGREGATES: Final[dict[Unit, tuple[str, ...]]] = {
    "duration": ("p", "avg", "med", "min", "max"),
    "share": ("rate",),
    "rate": ("avg",),
    "count": ("count",),
}
_SHAPE = re.compile(
    r"\s*(?:p\(\s*(?P<p>\d+(?:\.\d+)?)\s*\)|(?P<agg>avg|med|min|max|rate|count))"
    r"\s*(?P<op><=|>=|==|<|>)\s*(?P<value>\S.*?)\s*"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; ``limit`` is in ns, a share of one, per second, or a count."""

    aggregate: str  # p avg med min max rate count
    percentile: float | None  # 0..100, only with aggregate "p"
    operator: str
    limit: float

    def holds(self, observed: float) -> bool:
        """Whether an observed value meets the limit; NaN never does."""
        match self.operator:
            case "<":
                return observed < self.limit
            case "<=":
                return observed <= self.limit
            case ">":
                return observed > self.limit
            case ">=":
                return observed >= self.limit
            case _:
                return observed == self.limit


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Threshold:
    """One target. ``queue`` narrows it to the jobs of one queue."""

    metric: str
    expr: str
    queue: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            known = ", ".join(sorted(METRICS))
            raise ValueError(f"unknown metric {self.metric!r}; known are {known}")
        parse_expression(self.metric, self.expr)

    @property
    def parsed(self) -> Expression:
        """The expression as data."""
        return parse_expression(self.metric, self.expr)

    def __str__(self) -> str:
        return f"{self.metric}{f' of {self.queue}' if self.queue else ''} {self.expr}"


def parse_expression(metric: str, expr: str) -> Expression:
    """Parse ``expr`` for a metric.

    Raises:
        ValueError: with the mend, when it does not fit the grammar or the metric.
    """
    shape = _SHAPE.fullmatch(expr)
    if shape is None:
        raise ValueError(
            f'{expr!r} is not "aggregate operator value"; write "p(95)<500ms" or "rate<0.01"'
        )
    unit = METRICS[metric]
    aggregate = "p" if shape["p"] is not None else shape["agg"]
    if aggregate not in _AGGREGATES[unit]:
        fit = ", ".join("p(N)" if name == "p" else name for name in _AGGREGATES[unit])
        raise ValueError(f"{aggregate!r} does not fit {metric}; use {fit}")
    percentile = float(shape["p"]) if shape["p"] is not None else None
    if percentile is not None and not 0 <= percentile <= 100:
        raise ValueError(f"p({percentile:g}) is outside 0 to 100")
    return Expression(aggregate, percentile, shape["op"], _limit(unit, shape["value"]))


def _limit(unit: Unit, text: str) -> float:
    if unit == "duration":
        return float(parse_duration_ns(text))
    scale = 1.0
    if unit == "share" and text.endswith("%"):
        text, scale = text.removesuffix("%"), 0.01
    elif unit == "rate":
        text = text.removesuffix("/s")
    try:
        return float(text) * scale
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
