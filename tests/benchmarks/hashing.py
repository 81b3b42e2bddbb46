"""The application of ``hashing.toml``: one actor that does nothing but use a core."""

from __future__ import annotations

import hashlib
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

# About 10 ms of one core: what a cause adds is then most of what a job costs.
ROUNDS = int(os.environ.get("HASHING_ROUNDS", "20000"))

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="digests", max_retries=0)
def digest(name: str) -> None:
    """Hash a name so often; the interpreter is not held meanwhile."""
    hashlib.pbkdf2_hmac("sha256", name.encode(), b"salt", ROUNDS)
