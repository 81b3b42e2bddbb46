"""The application of ``rendering.toml``: one actor that does nothing but use a core."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

# About 40 ms of one core: what a cause adds is then most of what a job costs.
ROUNDS = int(os.environ.get("RENDERING_ROUNDS", "2000"))

broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="pages", max_retries=0)
def render(name: str) -> None:
    """Make rows of a name, and a text of the rows, so often."""
    for _ in range(ROUNDS):
        rows = {str(number): [number, name] for number in range(20)}
        ", ".join(f"{key}-{row}" for key, row in rows.items())
