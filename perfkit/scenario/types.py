"""The frozen types a scenario file is parsed into.

Keys are those of the file; where a key is a duration the attribute carries its unit
(``duration`` in the file, ``duration_ns`` here). Every default is stated where its type is, and
nowhere else. One noun a module: `load`, `stack`, `scaling`, `threshold`; what joins them is here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.arguments import Argument
from perfkit.scenario.build import Build
from perfkit.scenario.faults import Fault
from perfkit.scenario.fields import (
    CONFIG,
    DurationNs,
    Name,
    Positive,
    PositiveDurationNs,
    QueueName,
    Share,
)
from perfkit.scenario.load import Load, Phase, Think, Window
from perfkit.scenario.phases import Stretch, mean_level, stretches_of, window_ns_of
from perfkit.scenario.scaling import Autoscale, Scale
from perfkit.scenario.stack import Host, Pool, Redis, Stack
from perfkit.scenario.system import System
from perfkit.scenario.target import JobId, Target
from perfkit.scenario.threshold import Threshold

__all__ = [
    "Autoscale",
    "Build",
    "Fault",
    "Gateway",
    "Host",
    "Job",
    "JobId",
    "Load",
    "Phase",
    "Pool",
    "Redis",
    "Scale",
    "Scenario",
    "Stack",
    "System",
    "Target",
    "Think",
    "Window",
]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Job:
    """A share of the load that goes to one queue.

    Where it is enqueued (`Load.via`): ``actor`` does it, with these arguments (`Argument`).
    """

    queue: QueueName
    weight: Positive = 1.0
    actor: Annotated[str | None, Field(min_length=1)] = None
    args: tuple[Argument, ...] = ()
    kwargs: dict[str, Argument] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Gateway:
    """Service of the outside world for one queue: log-normal delay and transient errors.

    In an outage, from and until counted from the start of the window, every call is refused at
    once, or hangs until the outage ends or the caller's `Stack.gateway_timeout_ns` is over.
    """

    median_ns: PositiveDurationNs = Field(alias="median")
    sigma: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.5
    errors: Share = 0.0
    outage_from_ns: DurationNs | None = Field(default=None, alias="outage_from")
    outage_until_ns: DurationNs | None = Field(default=None, alias="outage_until")
    outage_mode: Literal["refuse", "hang"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Scenario:
    """What is asked of one trial."""

    name: Name
    description: str = ""
    system: System | None = None  # None: the sample that comes with perfkit
    build: Build | None = None  # None: perfkit's interpreter and modules as it finds them
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    load: Load
    target: Target | None = None
    window: Window = Field(default_factory=Window)
    job: tuple[Job, ...] = ()  # none where no stack of ours is measured
    gateway: dict[QueueName, Gateway] = Field(default_factory=dict)
    stack: Stack = Field(default_factory=Stack)
    redis: Redis = Field(default_factory=Redis)
    host: Host = Field(default_factory=Host)
    threshold: tuple[Threshold, ...] = ()
    scale: tuple[Scale, ...] = ()
    autoscale: Autoscale | None = None
    fault: tuple[Fault, ...] = ()

    @property
    def is_journey(self) -> bool:
        """Whether requests are user code's or a template's, and not the built-in ones."""
        return self.load.user is not None or self.target is not None

    @property
    def has_stack(self) -> bool:
        """Whether a system is started to be measured; else the target is somebody's own server."""
        return self.system is not None or self.target is None or not self.target.is_absolute

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to be blotted out of texts."""
        of_system = self.system.secrets if self.system is not None else ()
        return (*of_system, *(self.target.secrets if self.target is not None else ()))

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues the load goes to, in the order of the file."""
        return tuple(dict.fromkeys(job.queue for job in self.job))

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The course of the load, from its start to its end, without a gap."""
        return stretches_of(self.load, self.window)

    @property
    def peak(self) -> float:
        """Highest level of the load: users, or jobs per second."""
        return self.load.peak

    @property
    def offered_per_s(self) -> float:
        """Offered load in jobs per second, the mean over the window.

        Of a closed model an upper bound, at zero latency.
        """
        return self.load.jobs_per_s(mean_level(self.stretches))

    @property
    def window_ns(self) -> int:
        """Length of the measured window."""
        return window_ns_of(self.load, self.window)

    @property
    def window_start_ns(self) -> int:
        """Start of the measured window, from the start of load."""
        return self.load.ramp_ns + self.window.warmup_ns

    @property
    def load_ns(self) -> int:
        """How long requests come due: ramp, warm-up and window."""
        return self.window_start_ns + self.window_ns
