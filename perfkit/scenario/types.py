"""The frozen types a scenario file is parsed into.

Keys are those of the file; where a key is a duration the attribute carries its unit
(``duration`` in the file, ``duration_ns`` here). Every default is stated here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.threshold import Threshold
from perfkit.units import parse_duration_ns

__all__ = [
    "Gateway",
    "Host",
    "Job",
    "Load",
    "Pool",
    "Redis",
    "Scenario",
    "Stack",
    "Think",
    "Window",
]


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError('write a duration as text with its unit, such as "250ms" or "1.5s"')
    duration_ns = parse_duration_ns(value)
    if duration_ns < 0:
        raise ValueError(f"{value!r} is negative; a duration here is zero or more")
    return duration_ns


def _positive_duration(value: object) -> int:
    if (duration_ns := _duration(value)) == 0:
        raise ValueError("must be longer than zero")
    return duration_ns


DurationNs = Annotated[int, BeforeValidator(_duration)]
PositiveDurationNs = Annotated[int, BeforeValidator(_positive_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_CONFIG = ConfigDict(extra="forbid", strict=False, validate_default=False)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Think:
    """Pause of a user between a reply and the next request."""

    dist: Literal["uniform", "constant"] = "uniform"
    low_ns: DurationNs = Field(default=1_000_000_000, alias="low")
    high_ns: DurationNs = Field(default=3_000_000_000, alias="high")

    @property
    def mean_ns(self) -> float:
        """Mean of the distribution; ``low`` is the value itself unless it is uniform."""
        return (self.low_ns + self.high_ns) / 2 if self.dist == "uniform" else float(self.low_ns)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Load:
    """Who asks for work, and when.

    Order in time: ``ramp`` (from nothing to the full load), then the warm-up, then the window. The
    ramp counts as warm-up: nothing intended in it is in any statistic.
    """

    model: Literal["open", "closed"]
    rate: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    users: Annotated[int | None, Field(gt=0)] = None
    think: Think = Field(default_factory=Think)
    pacing_ns: PositiveDurationNs | None = Field(default=None, alias="pacing")
    ramp_ns: DurationNs = Field(default=0, alias="ramp")
    connections: Annotated[int | None, Field(gt=0)] = None
    max_in_flight: Annotated[int, Field(gt=0)] = 10_000
    timeout_ns: PositiveDurationNs = Field(default=30_000_000_000, alias="timeout")

    @property
    def connection_limit(self) -> int:
        """Connections the generator may hold: as asked, else one a user, else 1000."""
        return self.connections or self.users or 1000

    @property
    def offered_per_s(self) -> float:
        """Offered load in jobs per second; of a closed model an upper bound, at zero latency."""
        if self.model == "open":
            return self.rate or 0.0
        cycle_ns = self.pacing_ns or self.think.mean_ns
        return (self.users or 0) / (cycle_ns / 1e9) if cycle_ns else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Window:
    """The three stretches of a trial: jobs intended inside ``duration`` are the cohort."""

    warmup_ns: DurationNs = Field(default=5_000_000_000, alias="warmup")
    duration_ns: PositiveDurationNs = Field(default=20_000_000_000, alias="duration")
    drain_ns: DurationNs = Field(default=30_000_000_000, alias="drain")


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Job:
    """A share of the load that goes to one queue."""

    queue: QueueName
    weight: Positive = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Gateway:
    """Service of the outside world for one queue: log-normal delay and transient errors."""

    median_ns: PositiveDurationNs = Field(alias="median")
    sigma: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.5
    errors: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Pool:
    """Worker processes that serve some of the queues only."""

    name: Name
    queues: tuple[QueueName, ...] = Field(min_length=1)
    workers: Annotated[int, Field(gt=0, le=1024)] = 1
    threads: Annotated[int | None, Field(gt=0, le=10_000)] = None
    prefetch: Annotated[int | None, Field(gt=0)] = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Stack:
    """Worker and ingest side; what is left out comes from the preset (`scenario.presets`)."""

    preset: Literal["stock", "low-latency"] = "stock"
    workers: Annotated[int | None, Field(gt=0, le=1024)] = None
    threads: Annotated[int | None, Field(gt=0, le=10_000)] = None
    prefetch: Annotated[int | None, Field(gt=0)] = None
    worker_timeout_ns: PositiveDurationNs | None = Field(default=None, alias="worker_timeout")
    heartbeat_timeout_ns: PositiveDurationNs | None = Field(default=None, alias="heartbeat_timeout")
    maintenance_chance: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    supervisor: Literal["perfkit", "dramatiq"] = "perfkit"
    restart: bool = False
    ingest_processes: Annotated[int | None, Field(gt=0, le=64)] = None
    ingest_enqueue: Literal["thread", "inline"] | None = None
    pool: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Redis:
    """The server: a profile of ``stack/redis``. An address is never part of a scenario."""

    profile: Name = "stock"


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Host:
    """Which cores the system and the instrument may use."""

    system_cpus: Literal["auto"] | tuple[Annotated[int, Field(ge=0)], ...] = "auto"
    instrument_cpus: Literal["auto"] | tuple[Annotated[int, Field(ge=0)], ...] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Scenario:
    """What is asked of one trial."""

    name: Name
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    load: Load
    window: Window = Field(default_factory=Window)
    job: tuple[Job, ...] = Field(min_length=1)
    gateway: dict[QueueName, Gateway] = Field(default_factory=dict)
    stack: Stack = Field(default_factory=Stack)
    redis: Redis = Field(default_factory=Redis)
    host: Host = Field(default_factory=Host)
    threshold: tuple[Threshold, ...] = ()

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues the load goes to, in the order of the file."""
        return tuple(job.queue for job in self.job)

    @property
    def load_ns(self) -> int:
        """How long requests come due: ramp, warm-up and window."""
        return self.load.ramp_ns + self.window.warmup_ns + self.window.duration_ns

    @property
    def window_start_ns(self) -> int:
        """Start of the measured window, from the start of load."""
        return self.load.ramp_ns + self.window.warmup_ns
