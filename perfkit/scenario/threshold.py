"""Thresholds: ``agg op value`` or ``agg in low..high`` on a metric of requests, jobs or telemetry.

Grammar of ``expr`` (white space is free)::

    expr  := agg op value | agg ["in"] value ".." value      a range holds at both its ends
    agg   := "p(" number ")" | "avg" | "med" | "min" | "max" | "rate" | "count"
    op    := "<" | "<=" | ">" | ">=" | "=="
    value := a number, "500ms" (duration), "5%" (share), "150/s" (rate) or "80MB" (size)

Of a value that user code keeps (``own.NAME``) a number is in its own unit, and ``count`` is how
often it was kept.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, DurationNs, RatePerS
from perfkit.units import parse_bytes, parse_duration_ns, parse_rate

__all__ = [
    "METRICS",
    "OWN",
    "TELEMETRY",
    "WATCHABLE",
    "Expression",
    "Threshold",
    "parse_expression",
    "unit_of",
]

Unit = Literal["duration", "share", "rate", "count", "bytes", "number"]

_RECORDED: Final[dict[str, Unit]] = {
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
    "journey": "duration",  # of an iteration of user code; infinite where it raised
    "raised": "share",  # of the iterations
    "checks": "share",  # of the checks of user code, what passed
}
_SAMPLED: Final[dict[str, Unit]] = {
    "redis.memory": "bytes",
    "redis.memory.used_ratio": "share",  # of maxmemory, else of the host's memory
    "redis.clients": "count",
    "redis.evicted": "count",
    "redis.round_trip": "duration",
    "redis.cpu": "share",  # of one core, mean over the processes of the role
    "queue.backlog": "count",  # waiting, in flight and delayed; of one queue or of all
    "queue.waiting": "count",
    "queue.delayed": "count",
    "queue.dead": "count",
    "queue.stalled": "count",  # held by a worker that is dead or silent, or that dropped them
    "queue.age": "duration",  # of the oldest waiting job
    "workers.cpu": "share",
    "workers.memory": "bytes",  # sum over the workers
    "ingest.cpu": "share",
    "generator.cpu": "share",
    "host.cpu": "share",
}

METRICS: Final[dict[str, Unit]] = _RECORDED | _SAMPLED
"""Metric names and what their values are."""

OWN: Final = "own."
"""Before the name of a value that user code keeps (``ctx.metric``): a number in its own unit."""

TELEMETRY: Final = frozenset(_SAMPLED)
"""Metrics made of samples taken while the trial runs."""

WATCHABLE: Final = TELEMETRY | {"errors", "dropped", "throughput"}
"""Metrics that can be observed while the trial runs, so that one can abort it."""

_WHOLE: Final = frozenset({"lost", "dead", "duplicated"})
"""Metrics counted over the whole trial; a part of the window has none of its own."""

_OF_JOURNEY: Final = frozenset({"journey", "raised", "checks"})
"""Metrics of user code's iterations, of which each makes several requests."""

_OF_HOST: Final = frozenset(
    name for name in _SAMPLED if name.endswith(".cpu") or name == "workers.memory"
)
"""Metrics that no queue has for itself."""

_AGGREGATES: Final[dict[Unit, tuple[str, ...]]] = {
    "duration": ("p", "avg", "med", "min", "max"),
    "share": ("rate",),
    "rate": ("avg",),
    "count": ("count",),
    "number": ("p", "avg", "med", "min", "max", "count"),
}
_AGGREGATES_SAMPLED: Final = ("p", "avg", "med", "min", "max")
_AGGREGATE: Final = r"\s*(?:p\(\s*(?P<p>\d+(?:\.\d+)?)\s*\)|(?P<agg>avg|med|min|max|rate|count))\s*"
_SHAPE = re.compile(_AGGREGATE + r"(?P<op><=|>=|==|<|>)\s*(?P<value>\S.*?)\s*")
_RANGE = re.compile(_AGGREGATE + r"(?:in\s)?\s*(?P<low>\d\S*?)\s*\.\.\s*(?P<high>\d\S*)\s*")


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; ``limit`` is in ns, a share of one, per second, bytes, or a count.

    With operator "in" the limit is the low end, and ``high`` the other.
    """

    aggregate: str  # p avg med min max rate count
    percentile: float | None  # 0..100, only with aggregate "p"
    operator: str  # < <= > >= == in
    limit: float
    high: float | None = None

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
            case "in":
                return self.high is not None and self.limit <= observed <= self.high
            case _:
                return observed == self.limit


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Threshold:
    """One target. ``queue`` or ``request`` narrow it, ``over`` to a part of the window."""

    metric: str
    expr: str
    queue: str | None = None
    request: Annotated[str | None, Field(min_length=1)] = None  # the name of one, of user code
    claimed: str | None = None  # what somebody said before; shown beside what was observed
    needs_offered_per_s: RatePerS | None = Field(default=None, alias="needs_offered")
    over: Annotated[str, Field(min_length=1)] = "window"  # or "steady", or a phase's name
    abort: bool = False  # stop the trial when it fails while running
    abort_after_ns: DurationNs = Field(default=0, alias="abort_after")  # of the window

    def __post_init__(self) -> None:
        if not is_metric(self.metric):
            known = ", ".join(sorted(METRICS))
            raise ValueError(
                f"unknown metric {self.metric!r}; known are {known}, and own.NAME of what user "
                "code keeps by ctx.metric"
            )
        parse_expression(self.metric, self.expr)
        if self.queue is not None and self.metric in _OF_HOST:
            raise ValueError(f"{self.metric} is not told apart by queue; leave out queue")
        narrowed = self.request is not None or self.queue is not None
        if self.metric.startswith(OWN) and narrowed:
            raise ValueError(f"{self.metric} is of iterations; leave out queue and request")
        if self.metric in _OF_JOURNEY and narrowed:
            raise ValueError(f"{self.metric} is of whole iterations; leave out queue and request")
        if self.request is not None and self.metric in TELEMETRY:
            raise ValueError(f"{self.metric} is not told apart by request; leave out request")
        if self.over != "window" and self.metric in _WHOLE:
            raise ValueError(f"{self.metric} is counted over the whole trial; leave out over")
        if self.abort and not self.watchable:
            known = ", ".join(sorted(WATCHABLE))
            raise ValueError(
                f"{self.metric} is not known while a trial runs, so it can't abort one; "
                f"these can: {known}"
            )
        if self.abort and narrowed and self.metric not in TELEMETRY:
            raise ValueError(
                f"{self.metric} of one {'queue' if self.queue else 'request'} is not known while "
                f"a trial runs; leave out {'queue' if self.queue else 'request'}, or abort"
            )
        if self.abort_after_ns and not self.abort:
            raise ValueError("abort_after has no meaning without abort = true")

    @property
    def parsed(self) -> Expression:
        """The expression as data."""
        return parse_expression(self.metric, self.expr)

    @property
    def watchable(self) -> bool:
        """Whether it can be observed while the trial runs."""
        return self.metric in WATCHABLE

    def __str__(self) -> str:
        part = "" if self.over == "window" else f" over {self.over}"
        of = self.request or self.queue
        return f"{self.metric}{f' of {of}' if of else ''} {self.expr}{part}"


def is_metric(name: str) -> bool:
    """Whether a threshold may be on it."""
    return name in METRICS or (name.startswith(OWN) and name != OWN)


def unit_of(metric: str) -> Unit:
    """What its values are; those of user code are numbers, in the unit that it gave them."""
    return "number" if metric.startswith(OWN) else METRICS[metric]


def parse_expression(metric: str, expr: str) -> Expression:
    """Parse ``expr`` for a metric.

    Raises:
        ValueError: with the mend, when it does not fit the grammar or the metric.
    """
    shape = _SHAPE.fullmatch(expr) or _RANGE.fullmatch(expr)
    if shape is None:
        raise ValueError(
            f'{expr!r} is not "aggregate operator value"; '
            'write "p(95)<500ms", "rate<0.01" or "avg in 60%..75%"'
        )
    unit = unit_of(metric)
    fits = _AGGREGATES_SAMPLED if metric in TELEMETRY else _AGGREGATES[unit]
    aggregate = "p" if shape["p"] is not None else shape["agg"]
    if aggregate not in fits:
        fit = ", ".join("p(N)" if name == "p" else name for name in fits)
        raise ValueError(f"{aggregate!r} does not fit {metric}; use {fit}")
    percentile = float(shape["p"]) if shape["p"] is not None else None
    if percentile is not None and not 0 <= percentile <= 100:
        raise ValueError(f"p({percentile:g}) is outside 0 to 100")
    parts = shape.groupdict()
    if "op" in parts:
        return Expression(aggregate, percentile, parts["op"], _limit(unit, parts["value"]))
    low, high = _limit(unit, parts["low"]), _limit(unit, parts["high"])
    if low > high:
        raise ValueError(f"the range of {expr!r} is empty: its low end is above its high end")
    return Expression(aggregate, percentile, "in", low, high)


def _limit(unit: Unit, text: str) -> float:
    match unit:
        case "duration":
            return float(parse_duration_ns(text))
        case "rate":
            return parse_rate(text)
        case "bytes":
            return float(parse_bytes(text))
        case _:
            share = unit == "share" and text.endswith("%")
            try:
                return float(text.removesuffix("%" if share else "")) * (0.01 if share else 1.0)
            except ValueError:
                raise ValueError(f"{text!r} is not a number") from None
