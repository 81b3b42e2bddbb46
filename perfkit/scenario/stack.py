"""The system under test: the tables ``[stack]``, ``[[stack.pool]]``, ``[redis]`` and ``[host]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, Bytes, Name, PositiveDurationNs, QueueName

__all__ = ["Host", "Pool", "Redis", "Stack"]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Pool:
    """Worker processes that serve some of the queues only."""

    name: Name
    queues: tuple[QueueName, ...] = Field(min_length=1)
    workers: Annotated[int, Field(gt=0, le=1024)] = 1
    threads: Annotated[int | None, Field(gt=0, le=10_000)] = None
    prefetch: Annotated[int | None, Field(gt=0)] = None


def _is_a_wait(duration_ns: int) -> int:
    if not 1_000_000 <= duration_ns <= 86_400_000_000_000:
        raise ValueError("must be from 1ms to 24h")
    return duration_ns


# What the sample takes, in milliseconds.
WaitNs = Annotated[PositiveDurationNs, AfterValidator(_is_a_wait)]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
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
    # How long the sample waits for an answer of its gateway: what hangs longer is a failed call.
    gateway_timeout_ns: WaitNs = Field(default=30_000_000_000, alias="gateway_timeout")
    # A circuit breaker around the sample's gateway: after so many failures in a row calls fail at
    # once, until `reset` has passed. It belongs to no preset.
    breaker: bool = False
    breaker_failures: Annotated[int, Field(gt=0)] = 5
    breaker_reset_ns: WaitNs = Field(default=5_000_000_000, alias="breaker_reset")
    pool: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Redis:
    """The server: a profile of ``stack/redis``. An address is never part of a scenario.

    ``server``: which binary is started, "redis", "valkey", a program on PATH, or a path; None is
    the first there is. ``per_queue``: one server for each queue, each with its own pool of workers.
    ``maxmemory`` and ``policy`` overrule the profile.
    """

    profile: Name = "stock"
    server: Annotated[str | None, Field(min_length=1)] = None
    per_queue: bool = False
    maxmemory_bytes: Bytes | None = Field(default=None, alias="maxmemory")
    policy: Literal["noeviction", "allkeys-lru"] | None = None

    def settings(self) -> dict[str, str]:
        """What overrules the profile, as the server's own settings."""
        settings: dict[str, str] = {}
        if self.maxmemory_bytes is not None:
            settings["maxmemory"] = str(self.maxmemory_bytes)
        if self.policy is not None:
            settings["maxmemory-policy"] = self.policy
        return settings


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Host:
    """Which cores the system and the instrument may use."""

    system_cpus: Literal["auto"] | tuple[Annotated[int, Field(ge=0)], ...] = "auto"
    instrument_cpus: Literal["auto"] | tuple[Annotated[int, Field(ge=0)], ...] = "auto"
