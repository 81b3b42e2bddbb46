"""The fetch stamp: when a worker received a message from Redis.

dramatiq has no hook for it, so the broker is given a consumer of its own. Each message carries the
time at which the batch it came with was received, not the time at which it was taken from that
batch: a dramatiq consumer assigns its ``message_cache`` exactly once per fetch, with the reply, and
a property turns that assignment into the stamp. A consumer that keeps no such cache is stamped when
it hands the message over.
"""

from __future__ import annotations

from operator import attrgetter
from time import monotonic_ns
from typing import Any, Final

from dramatiq import Broker

__all__ = ["FETCHED", "stamp_fetches"]

FETCHED: Final = "pk_fetched_ns"
"""Attribute of a message proxy that holds the stamp."""


def stamp_fetches(broker: Broker) -> bool:
    """Have the broker's consumers stamp what they fetch; False if it has no consumer class.

    The broker becomes an instance of a subclass of its own class, so any RedisBroker will do, and
    other brokers of the process are left alone.
    """
    consumer_class = getattr(broker, "consumer_class", None)
    if consumer_class is None:
        return False
    stamped = _stamped(consumer_class)
    kind = type(broker)
    broker.__class__ = type(
        kind.__name__,
        (kind,),
        {"consumer_class": property(lambda _: stamped), "__module__": kind.__module__},
    )
    return True


def _stamped(base: Any) -> type:
    take = base.__next__

    def receive(self: Any, rows: list[bytes]) -> None:
        self._pk_received_ns = monotonic_ns()
        self._pk_rows = rows

    def take_stamped(self: Any) -> Any:
        message = take(self)
        if message is not None:
            message.pk_fetched_ns = self._pk_received_ns or monotonic_ns()
        return message

    return type(
        f"Stamped{base.__name__.lstrip('_')}",
        (base,),
        {
            "__next__": take_stamped,
            "_pk_received_ns": 0,
            "message_cache": property(attrgetter("_pk_rows"), receive),
        },
    )
