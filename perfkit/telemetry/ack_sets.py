"""Who holds what: Dramatiq's heartbeats and its sets of messages that are not acknowledged yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

__all__ = ["AckSet", "ack_sets", "heartbeats_key", "scored"]

_HALVES: Final = ("", ".DQ")


class AckSet(NamedTuple):
    """One ack set: of a worker, for one half of a queue."""

    broker: str
    queue: str
    half: str  # "", or ".DQ" for what is delayed

    def key(self, namespace: str) -> str:
        """Where it is in Redis."""
        return f"{namespace}:__acks__.{self.broker}.{self.queue}{self.half}"


def ack_sets(
    brokers: Iterable[str], queues: Sequence[str], halves: Collection[str] = _HALVES
) -> Iterator[AckSet]:
    """Every set that these brokers may have, broker by broker."""
    for broker in brokers:
        for queue in queues:
            for half in halves:
                yield AckSet(broker, queue, half)


def heartbeats_key(namespace: str) -> str:
    """The sorted set of broker ids, by the wall clock in ms of each one's last command."""
    return f"{namespace}:__heartbeats__"


def scored(reply: Sequence[object]) -> Iterator[tuple[str, float]]:
    """Members and scores: pairs by the third version of the protocol, one list by the second."""
    flat = [part for each in reply for part in (each if isinstance(each, list) else [each])]
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        if isinstance(member, bytes) and isinstance(score, bytes | float | int):
            yield member.decode(errors="replace"), float(score)
