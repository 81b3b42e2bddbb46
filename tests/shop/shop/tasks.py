"""Jobs of a shop: pictures are resized, then published, then somebody gets a mail.

It has what an application of somebody's own may have: a namespace, queues and Redis settings of its
own, a pipeline, a group, a coroutine as an actor, `CurrentMessage`, and no HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

SIZES = {"s": 64, "m": 256, "l": 1024}

if "SHOP_MOTTO" in os.environ:
    print("Our motto:", os.environ["SHOP_MOTTO"], file=sys.stderr)

broker = RedisBroker(
    client=redis.Redis.from_url(
        os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
        socket_timeout=5,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.01), 3),
    ),
    namespace="shop",
)
broker.add_middleware(CurrentMessage())
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="images", max_retries=3, min_backoff=100)
def resize(number: int, size: str = "m", *, owner: str) -> str:
    """Resize a picture, then publish it and write to its owner."""
    name = hashlib.sha256(f"{number}/{size}".encode() * SIZES[size]).hexdigest()[:12]
    (publish.message(size, owner=owner) | written.message()).run()
    return name


@dramatiq.actor(queue_name="images")
def publish(size: str, owner: str) -> str:
    """Put a picture where it can be seen."""
    return f"{owner}/{size}"


@dramatiq.actor(queue_name="mail")
async def written(what: str) -> None:
    """Write to somebody; it waits for a server, so it is a coroutine."""
    message = CurrentMessage.get_current_message()
    if message is None:
        raise RuntimeError("this actor needs a message")
    await asyncio.to_thread(message.encode)


@dramatiq.actor(queue_name="mail", max_retries=0)
def newsletter(people: list[str], subject: str) -> None:
    """Write to several people at once."""
    dramatiq.group([written.message(f"{subject} for {each}") for each in people]).run()
