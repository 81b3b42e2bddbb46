"""What is simulated: keyed draws, services, the system's settings, and its moving parts."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

MS = 1_000_000
SECOND = 1_000_000_000


def uniform(*key: object) -> float:
    """A number in (0, 1) that hangs on nothing but its key."""
    text = "/".join(str(part) for part in key)
    bits = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 11
    return (bits + 0.5) / 2**53


def between(low: float, high: float, *key: object) -> int:
    """Nanoseconds, uniform between two numbers of milliseconds, in whole microseconds."""
    return round((low + (high - low) * uniform(*key)) * 1000) * 1000


@dataclass(frozen=True, kw_only=True)
class Service:
    """The gateway's behaviour towards one queue."""

    weight: float
    median_ms: float
    sigma: float
    errors: float = 0.0
    own_ms: float = 0.0  # what the actor computes before it calls

    def delay_ns(self, *key: object) -> int:
        normal = NormalDist().inv_cdf(uniform(*key, "delay"))
        return round(self.median_ms * 1000 * math.exp(self.sigma * normal)) * 1000


@dataclass(frozen=True, kw_only=True)
class System:
    """What one trial simulates."""

    trial: int
    seed: int
    rate: float
    warmup_ns: int
    window_ns: int
    drain_ns: int
    services: Mapping[str, Service]
    workers: int
    threads: int
    max_retries: int = 20
    refused: float = 0.0  # share of requests answered 503
    broken: float = 0.0  # share of requests without an answer; every second one got through
    death_ns: int | None = None  # worker-1 dies this long after the window began
    heartbeat_ns: int = 2 * SECOND
    cut_ns: int | None = None  # perfkit is killed this long after the window began
    error_names: tuple[str, ...] = ("GatewayError",)
    start_ns: int = 3600 * SECOND
    tick_ns: int = SECOND // 2
    stretches: Sequence[Mapping[str, Any]] = ()  # where they are given, they and not rate count
    slow: bool = False  # Redis has slow commands to tell of
    scale: Sequence[tuple[int, int]] = ()  # so long after the window began, so many workers
    pace: float = 1.0  # how slow this trial's machine is

    @property
    def window_start(self) -> int:
        return self.start_ns + self.warmup_ns

    @property
    def load_end(self) -> int:
        return self.window_start + self.window_ns

    @property
    def peak(self) -> float:
        """The highest rate there is."""
        levels = (max(each["level_start"], each["level_end"]) for each in self.stretches)
        return max(levels, default=self.rate)

    def rate_at(self, at_ns: float) -> float:
        """Jobs per second at an instant of the load."""
        since = at_ns - self.start_ns
        for each in self.stretches:
            if since < each["end_ns"]:
                gone = (since - each["begin_ns"]) / (each["end_ns"] - each["begin_ns"])
                return float(each["level_start"] + gone * (each["level_end"] - each["level_start"]))
        return self.rate


@dataclass
class Message:
    """One redis_message_id."""

    request: dict[str, Any]
    attempt: int
    number: str
    enqueued_ns: int
    starts: int = 0
    delayed_ns: int | None = None  # put aside by a worker, to be enqueued when it falls due


@dataclass
class Worker:
    name: str
    free: int
    alive: bool = True
    stopping: bool = False
    life: dict[str, Any] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    waiting: deque[tuple[Message, dict[str, Any]]] = field(default_factory=deque)
    running: list[tuple[Message, dict[str, Any]]] = field(default_factory=list)
    jobs: int = 0
    own_ns: int = 0  # CPU of its actors' own work
