"""The Redis broker that producers and workers share; or, for producers, one for each queue.

A queue that ``REDIS_URLS`` names has a server of its own. Its workers know nothing of that: their
``REDIS_URL`` is that server's. Producers reach all of them, each by the broker of the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, Middleware, Retries, default_middleware

from .settings import SETTINGS

__all__ = ["broker", "broker_for", "brokers"]


def _middleware() -> list[Middleware]:
    """Dramatiq's own, with the retries tuned, and the current message for the actors."""
    retries = Retries(max_retries=SETTINGS.max_retries, min_backoff=SETTINGS.retry_min_backoff_ms)
    stock = [retries if kind is Retries else kind() for kind in default_middleware]
    return [*stock, CurrentMessage()]


def _broker(url: str) -> RedisBroker:
    # By URL the client never repeats a command whose answer was lost; by keywords it would, and
    # could enqueue the same job twice.
    return RedisBroker(url=url, middleware=_middleware())  # type: ignore[no-untyped-call]


broker: Final = _broker(SETTINGS.redis_url)
dramatiq.set_broker(broker)

brokers: Final[Mapping[str, RedisBroker]] = {
    queue: broker if url == SETTINGS.redis_url else _broker(url)
    for queue, url in SETTINGS.redis_urls.items()
}
"""Those of the queues that have a server of their own; actors are known to `broker` alone."""


def broker_for(queue: str) -> RedisBroker:
    """The broker by which a message gets into a queue."""
    return brokers.get(queue, broker)
