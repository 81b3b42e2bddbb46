"""Who asks for work, and when: the tables ``[load]``, ``[[load.phase]]`` and ``[window]``."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, DurationNs, Name, PositiveDurationNs
from perfkit.scenario.sending import AbortBelow, Shards
from perfkit.scenario.target import UserName
from perfkit.scenario.traces import TraceFile, busiest_per_s
from perfkit.units import parse_rate

__all__ = ["WINDOW_NS", "Load", "Phase", "Shape", "Think", "Window"]

Shape = Literal["flat", "ramp", "step", "spike", "sine", "burst"]


def _rate(value: object) -> object:
    """A number as it is; text with its unit, such as "6/min"."""
    return parse_rate(value) if isinstance(value, str) else value


# The checks of a number come after the reading of text, whichever way it was written.
Level = Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, BeforeValidator(_rate)]
Rate = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(_rate)]

WINDOW_NS: Final = 20_000_000_000
"""The measured window where neither ``window.duration`` nor a phase says how long it is."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Think:
    """Pause of a user between a reply and the next request.

    Uniform between ``low`` and ``high``; constant ``low``; exponential with ``mean``; log-normal
    with ``median``, and ``sigma`` of its logarithm.
    """

    dist: Literal["uniform", "constant", "exponential", "lognormal"] = "uniform"
    low_ns: DurationNs = Field(default=1_000_000_000, alias="low")
    high_ns: DurationNs = Field(default=3_000_000_000, alias="high")
    mean: PositiveDurationNs | None = None
    median: PositiveDurationNs | None = None
    sigma: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.5

    @property
    def mean_ns(self) -> float:
        """Mean of the distribution."""
        if self.dist == "exponential":
            return float(self.mean or 0)
        if self.dist == "lognormal":
            return (self.median or 0) * math.exp(self.sigma**2 / 2)
        return (self.low_ns + self.high_ns) / 2 if self.dist == "uniform" else float(self.low_ns)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Phase:
    """A part of the window. ``ramp`` is its first part, from the level before to its own first one.

    What follows has a shape, in users or jobs per second (`perfkit.scenario.shapes`):

        flat    users or rate
        ramp    a straight line ``from`` .. ``to``
        step    ``steps`` equal parts, the first at ``from``, the last at ``to``
        spike   ``low``, and for ``width`` ``high``; it begins ``at`` (default: in the middle), and
                goes up and down within an ``edge`` each (default: at once)
        sine    from ``low`` to ``high`` and back in each ``period`` (default: once)
        burst   ``size`` requests at once ``every`` so often, beside ``rate`` (default: none)

    The first phase has no ramp of its own: ``load.ramp`` leads to it, before the warm-up.
    """

    name: Name | None = None  # default: its number, from 1
    duration_ns: PositiveDurationNs = Field(alias="duration")
    users: Annotated[int | None, Field(ge=0)] = None
    rate: Level = None
    ramp_ns: DurationNs = Field(default=0, alias="ramp")
    shape: Shape = "flat"
    begin: Level = Field(default=None, alias="from")
    to: Level = None
    steps: Annotated[int | None, Field(ge=2, le=1000)] = None
    low: Level = None
    high: Level = None
    at_ns: DurationNs | None = Field(default=None, alias="at")
    width_ns: PositiveDurationNs | None = Field(default=None, alias="width")
    edge_ns: DurationNs = Field(default=0, alias="edge")
    period_ns: PositiveDurationNs | None = Field(default=None, alias="period")
    size: Annotated[int | None, Field(gt=0)] = None
    every_ns: PositiveDurationNs | None = Field(default=None, alias="every")

    @property
    def level(self) -> float:
        """Users or jobs per second: of one that is flat, or beside bursts."""
        return float((self.rate if self.users is None else self.users) or 0)

    @property
    def first(self) -> float:
        """The level its shape begins with."""
        if self.shape in ("ramp", "step"):
            return float(self.begin or 0)
        return float(self.low or 0) if self.shape in ("spike", "sine") else self.level

    @property
    def last(self) -> float:
        """The level its shape ends with; a sine that is cut off ends where `Stretch` says."""
        return float(self.to or 0) if self.shape in ("ramp", "step") else self.first

    @property
    def peak(self) -> float:
        """Its highest level; bursts by their mean rate."""
        if self.size is not None and self.every_ns is not None:
            return self.level + self.size / self.every_ns * 1e9
        return max(self.first, self.last, float(self.high or 0))


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Load:
    """Who asks for work, and when.

    Order in time: ``ramp`` (from nothing to the first level), then the warm-up, then the window.
    The ramp counts as warm-up: nothing intended in it is in any statistic. The level is ``users``
    or ``rate``, or that of each phase, one after another.
    """

    model: Literal["open", "closed"]
    # Posted to the ingest, or enqueued by a child that imports the application: one at a time, by
    # one thread, at fixed instants.
    via: Literal["http", "enqueue"] = "http"
    # A coroutine function that makes the requests; without it they are those of `Job` or `Target`.
    user: UserName | None = None
    rate: Rate = None
    # A trace has its instants written down: then ``trace`` says where, and ``speed`` how fast.
    arrivals: Literal["poisson", "constant", "trace"] = "poisson"
    exact: bool = False  # Poisson arrivals in exact numbers: those of constant ones
    trace: TraceFile | None = None
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    users: Annotated[int | None, Field(gt=0)] = None
    phase: tuple[Phase, ...] = ()
    think: Think = Field(default_factory=Think)
    pacing_ns: PositiveDurationNs | None = Field(default=None, alias="pacing")
    ramp_ns: DurationNs = Field(default=0, alias="ramp")
    connections: Annotated[int | None, Field(gt=0)] = None
    max_in_flight: Annotated[int, Field(gt=0)] = 10_000
    timeout_ns: PositiveDurationNs = Field(default=30_000_000_000, alias="timeout")
    shards: Shards = "auto"
    abort_below: AbortBelow | None = None  # open model

    @property
    def peak(self) -> float:
        """Highest level: users, or jobs per second; of a trace in its busiest second."""
        if self.trace is not None:
            return busiest_per_s(self.trace, self.speed)
        level = float((self.rate if self.model == "open" else self.users) or 0)
        return max((phase.peak for phase in self.phase), default=level)

    @property
    def connection_limit(self) -> int:
        """Connections the generator may hold: as asked, else one a user, else 1000."""
        if self.via == "enqueue":
            return 1
        return self.connections or (math.ceil(self.peak) if self.model == "closed" else 0) or 1000

    def jobs_per_s(self, level: float) -> float:
        """Jobs per second at a level; of a closed model an upper bound, at zero latency."""
        if self.model == "open" or not level:
            return level
        cycle_ns = self.pacing_ns or self.think.mean_ns
        return level / (cycle_ns / 1e9) if cycle_ns else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Window:
    """The three stretches of a trial: jobs intended inside ``duration`` are the cohort.

    ``duration`` left out is the sum of the phases, the rest of a trace, or 20 s. Given, the phases
    are stretched to it, and a trace is cut.
    `Scenario.window_ns` has the answer.
    """

    warmup_ns: DurationNs = Field(default=5_000_000_000, alias="warmup")
    duration_ns: PositiveDurationNs | None = Field(default=None, alias="duration")
    drain_ns: DurationNs = Field(default=30_000_000_000, alias="drain")
