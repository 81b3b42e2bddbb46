"""The application of ``hashing.toml``: one actor that does nothing but use a core."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

# About 12 ms of one core: what a cause adds is then most of what a job costs.
ROUNDS = int(os.environ.get("HASHING_ROUNDS", "4800"))

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="digests", max_retries=0)
def digest(name: str) -> None:
    """FNV-1a of a name so often, in plain Python."""
    number = 2166136261
    for byte in name.encode() * ROUNDS:
        number = ((number ^ byte) * 16777619) & 0xFFFFFFFF
