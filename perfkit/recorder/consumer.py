"""What dramatiq has no hook for: when a message was received, and that it was given back unstarted.

The broker is given a consumer of its own for that. Each message carries the
time at which the batch it came with was received, not the time at which it was taken from that
batch: a dramatiq consumer assigns its ``message_cache`` exactly once per fetch, with the reply, and
a property turns that assignment into the stamp. A consumer that keeps no such cache is stamped when
it hands the message over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from time import monotonic_ns
from typing import Any, Final

from dramatiq import Broker, Consumer

__all__ = ["FETCHED", "stamp_fetches"]

Returned = Callable[[Sequence[Any], int], object]

FETCHED: Final = "pk_fetched_ns"
"""Attribute of a message proxy that holds the stamp."""


def stamp_fetches(broker: Broker, returned: Returned | None = None) -> bool:
    """Have the broker's consumers stamp what they fetch; False if it has no consumer class.

    ``returned(messages, now_ns)`` is called for what a consumer gave back without having started
    it, once Redis has it: of a worker that stops in order, that is all it had taken ahead.

    The broker becomes an instance of a subclass of its own class, so any RedisBroker will do, and
    other brokers of the process are left alone.
    """
    consumer_class = getattr(broker, "consumer_class", None)
    if consumer_class is None:
        return False
    stamped = _stamped(consumer_class, returned)
    kind = type(broker)
    broker.__class__ = type(
        kind.__name__,
        (kind,),
        {"consumer_class": property(lambda _: stamped), "__module__": kind.__module__},
    )
    return True


def _stamped(base: Any, returned: Returned | None) -> type:
    take, give_back = base.__next__, base.requeue

    def receive(self: Any, rows: list[bytes]) -> None:
        self._pk_received_ns = monotonic_ns()
        self._pk_rows = rows

    def take_stamped(self: Any) -> Any:
        message = take(self)
        if message is not None:
            message.pk_fetched_ns = self._pk_received_ns or monotonic_ns()
        return message

    def requeue(self: Any, messages: Iterable[Any]) -> None:
        given = list(messages)
        give_back(self, given)
        if given and returned is not None:
            returned(given, monotonic_ns())

    own: dict[str, Any] = {
        "__next__": take_stamped,
        "_pk_received_ns": 0,
        "message_cache": property(attrgetter("_pk_rows"), receive),
    }
    # The default gives nothing back: a broker such as RabbitMQ's does so by itself.
    if give_back is not Consumer.requeue:
        own["requeue"] = requeue
    return type(f"Stamped{base.__name__.lstrip('_')}", (base,), own)
