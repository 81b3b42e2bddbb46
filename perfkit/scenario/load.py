"""Who asks for work, and when: the tables ``[load]``, ``[[load.phase]]`` and ``[window]``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, DurationNs, Name, PositiveDurationNs

__all__ = ["WINDOW_NS", "Load", "Phase", "Think", "Window"]

WINDOW_NS: Final = 20_000_000_000
"""The measured window where neither ``window.duration`` nor a phase says how long it is."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Think:
    """Pause of a user between a reply and the next request."""

    dist: Literal["uniform", "constant"] = "uniform"
    low_ns: DurationNs = Field(default=1_000_000_000, alias="low")
    high_ns: DurationNs = Field(default=3_000_000_000, alias="high")

    @property
    def mean_ns(self) -> float:
        """Mean of the distribution; ``low`` is the value itself unless it is uniform."""
        return (self.low_ns + self.high_ns) / 2 if self.dist == "uniform" else float(self.low_ns)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Phase:
    """A part of the window at one level of load; ``ramp`` is its first part, from the level before.

    The first phase has no ramp of its own: ``load.ramp`` leads to it, before the warm-up.
    """

    name: Name | None = None  # default: its number, from 1
    duration_ns: PositiveDurationNs = Field(alias="duration")
    users: Annotated[int | None, Field(ge=0)] = None
    rate: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    ramp_ns: DurationNs = Field(default=0, alias="ramp")

    @property
    def level(self) -> float:
        """Users, or jobs per second."""
        return float((self.rate if self.users is None else self.users) or 0)


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
    rate: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    users: Annotated[int | None, Field(gt=0)] = None
    phase: tuple[Phase, ...] = ()
    think: Think = Field(default_factory=Think)
    pacing_ns: PositiveDurationNs | None = Field(default=None, alias="pacing")
    ramp_ns: DurationNs = Field(default=0, alias="ramp")
    connections: Annotated[int | None, Field(gt=0)] = None
    max_in_flight: Annotated[int, Field(gt=0)] = 10_000
    timeout_ns: PositiveDurationNs = Field(default=30_000_000_000, alias="timeout")

    @property
    def peak(self) -> float:
        """Highest level: users, or jobs per second."""
        level = float((self.rate if self.model == "open" else self.users) or 0)
        return max((phase.level for phase in self.phase), default=level)

    @property
    def connection_limit(self) -> int:
        """Connections the generator may hold: as asked, else one a user, else 1000."""
        if self.via == "enqueue":
            return 1
        return self.connections or (int(self.peak) if self.model == "closed" else 0) or 1000

    def jobs_per_s(self, level: float) -> float:
        """Jobs per second at a level; of a closed model an upper bound, at zero latency."""
        if self.model == "open" or not level:
            return level
        cycle_ns = self.pacing_ns or self.think.mean_ns
        return level / (cycle_ns / 1e9) if cycle_ns else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Window:
    """The three stretches of a trial: jobs intended inside ``duration`` are the cohort.

    ``duration`` left out is the sum of the phases, or 20 s; given, the phases are stretched to it.
    `Scenario.window_ns` has the answer.
    """

    warmup_ns: DurationNs = Field(default=5_000_000_000, alias="warmup")
    duration_ns: PositiveDurationNs | None = Field(default=None, alias="duration")
    drain_ns: DurationNs = Field(default=30_000_000_000, alias="drain")
