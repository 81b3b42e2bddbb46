"""The Redis broker that producers and workers share."""

from __future__ import annotations

from typing import Final

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, Middleware, Retries, default_middleware

from .settings import SETTINGS

__all__ = ["broker"]


def _middleware() -> list[Middleware]:
    """Dramatiq's own, with the retries tuned, and the current message for the actors."""
    retries = Retries(max_retries=SETTINGS.max_retries, min_backoff=SETTINGS.retry_min_backoff_ms)
    stock = [retries if kind is Retries else kind() for kind in default_middleware]
    return [*stock, CurrentMessage()]


# By URL the client never repeats a command whose answer was lost; by keywords it would, and could
# enqueue the same job twice.
broker: Final = RedisBroker(  # type: ignore[no-untyped-call]
    url=SETTINGS.redis_url, middleware=_middleware()
)
dramatiq.set_broker(broker)
