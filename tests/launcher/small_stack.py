"""Settings of the smallest stack that does everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfkit.launcher.child import ChildSpec
from perfkit.launcher.spec import StackSpec
from perfkit.scenario import PoolSettings, StackSettings

MakeSpec = Callable[..., ChildSpec]
MakeStack = Callable[..., StackSpec]


def stack_settings(**changes: Any) -> StackSettings:
    """One worker with two threads that polls often, so that it also stops soon."""
    values: dict[str, Any] = {
        "preset": "low-latency",
        "pools": (PoolSettings(name="worker", queues=None, workers=1, threads=2, prefetch=4),),
        "worker_timeout_ns": 20_000_000,
        "heartbeat_timeout_ns": 60_000_000_000,
        "maintenance_chance": 1000,
        "supervisor": "perfkit",
        "restart": False,
        "ingest_processes": 1,
        "ingest_enqueue": "inline",
        "gateway_timeout_ns": 30_000_000_000,
        "breaker": False,
        "breaker_failures": 5,
        "breaker_reset_ns": 5_000_000_000,
        **changes,
    }
    return StackSettings(**values)


GATEWAY = {
    "payments": {"median_ms": 5.0, "sigma": 0.1, "errors": 0.0},
    "notifications": {"median_ms": 5.0, "sigma": 0.1, "errors": 0.0},
    "webhooks": {"median_ms": 5.0, "sigma": 0.1, "errors": 0.0},
}
