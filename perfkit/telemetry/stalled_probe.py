"""The "stalled" probe: jobs that wait for recovery while the trial runs, read from Redis alone.

    fetched       death, or the last heartbeat + timeout       taken back
       |---------------------X===================================|            stalled

A message is in its worker's ack set from the fetch to the ack. It counts as stalled there when the
worker is dead, has been silent longer than its heartbeat timeout, or has dropped it with its
connection. The frames tell the same afterwards from the records (`perfkit.frames.stalling`); they
know of a start elsewhere, where this probe sees the message leave the ack set, shortly before, and
nothing of retries that the worker had put aside until they are due, which are counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import redis

from perfkit.clock import Clock
from perfkit.telemetry.ack_sets import AckSet, ack_sets, heartbeats_key, scored
from perfkit.telemetry.queue_link import QueueLink
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, Reply

__all__ = ["StalledProbe", "Workers"]

_TIMEOUT_NS: Final = 60_000_000_000  # Dramatiq's own
_LOOK_EVERY_NS: Final = 1_000_000_000


class Workers(NamedTuple):
    """What the runner knows of the worker processes so far.

    ``dead``: broker ids of those that have ended. ``outages``: how often a living one may have lost
    its connection to Redis and has it again, so that it may just have dropped what it held.
    """

    dead: Collection[str] = ()
    outages: int = 0


class StalledProbe(QueueLink):
    """``queue.stalled`` of each queue, its delayed half included.

    A tick costs one ZRANGE of the heartbeats; only of workers that are dead or silent the ack sets
    are counted. After an outage those of the living are read, and what is still in them a heartbeat
    timeout later was dropped: a job that takes so long can't be told from one that was forgotten.
    All commands are read-only (`test_looking_for_stalled_jobs_writes_nothing`). With the server
    away there are no readings.

    Args:
        url, queues, namespace: as of `QueueLink`.
        heartbeat_timeout_ns: after which Redis takes a silent worker for dead.
        workers: asked at each tick, in the sampler's thread.
    """

    kind = "stalled"

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        namespace: str = "dramatiq",
        heartbeat_timeout_ns: int | None = None,
        workers: Callable[[], Workers] = Workers,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
    ) -> None:
        super().__init__(url, queues, namespace=namespace, timeout_s=timeout_s, protocol=protocol)
        self._timeout_ns = heartbeat_timeout_ns or _TIMEOUT_NS
        self._workers = workers
        self._heartbeats = self._link.batch(
            ("ZRANGE", heartbeats_key(namespace), "0", "-1", "WITHSCORES")
        )
        self._outages = 0
        self._away = False
        # What the living held when their connection was back, as long as they hold it.
        self._suspected: dict[AckSet, frozenset[bytes]] = {}
        self._suspected_ns = 0
        self._dropped: dict[AckSet, frozenset[bytes]] = {}
        self._looked_ns = 0

    def take(self, clock: Clock) -> list[Reading]:
        if not self._queues:
            return []
        workers = self._workers()
        try:
            (beats,) = self._link.exchange(self._heartbeats)
            at_ns, wall_ns = clock.now_ns(), clock.wall_ns()
            if not isinstance(beats, list):
                self._errors["HeartbeatsRefused"] += 1
                return []
            seen = dict(scored(beats))
            silent_ms = (wall_ns - self._timeout_ns) / 1e6
            # Of the dead too only those that Redis knows: another holds nothing.
            gone = [each for each, at in seen.items() if each in workers.dead or at < silent_ms]
            stalled = self._of_the_gone(gone)
            stalled.update(self._of_the_living(seen.keys() - gone, workers.outages, at_ns))
        except (redis.RedisError, OSError) as error:
            self._errors[type(error).__name__] += 1
            self._away = True
            return []
        self._away = False
        return [
            Reading("queue.stalled", queue, float(stalled[queue]), at_ns) for queue in self._queues
        ]

    def _of_the_gone(self, brokers: Iterable[str]) -> Counter[str]:
        """Messages in their ack sets by queue."""
        sets = list(ack_sets(brokers, self._queues))
        counts = self._ask("SCARD", sets)
        return Counter(
            {
                queue: sum(
                    count
                    for each, count in zip(sets, counts, strict=True)
                    if each.queue == queue and isinstance(count, int)
                )
                for queue in self._queues
            }
        )

    def _of_the_living(self, living: Collection[str], outages: int, at_ns: int) -> Counter[str]:
        """What they have dropped by queue; it is looked at once a second."""
        if self._away or outages > self._outages:
            self._outages = outages
            self._suspected = self._members(ack_sets(living, self._queues))
            self._suspected_ns = self._looked_ns = at_ns
        elif at_ns - self._looked_ns >= _LOOK_EVERY_NS and (self._suspected or self._dropped):
            held = self._members({*self._suspected, *self._dropped})
            self._suspected = _still(self._suspected, held)
            self._dropped = _still(self._dropped, held)
            self._looked_ns = at_ns
        if self._suspected and at_ns - self._suspected_ns >= self._timeout_ns:
            for each, ids in self._suspected.items():
                self._dropped[each] = ids | self._dropped.get(each, frozenset())
            self._suspected = {}
        dropped: Counter[str] = Counter()
        for each, ids in self._dropped.items():
            if each.broker in living:  # else they are counted with the rest of its set
                dropped[each.queue] += len(ids)
        return dropped

    def _members(self, sets: Iterable[AckSet]) -> dict[AckSet, frozenset[bytes]]:
        """Those of them that hold anything."""
        asked = list(sets)
        replies = zip(asked, self._ask("SMEMBERS", asked), strict=True)
        return {
            each: frozenset(ids) for each, ids in replies if isinstance(ids, list | set) and ids
        }

    def _ask(self, command: str, sets: Sequence[AckSet]) -> list[Reply]:
        if not sets:
            return []
        keys = (each.key(self._namespace) for each in sets)
        return self._link.exchange(self._link.batch(*((command, key) for key in keys)))


def _still(
    ids: Mapping[AckSet, frozenset[bytes]], held: Mapping[AckSet, frozenset[bytes]]
) -> dict[AckSet, frozenset[bytes]]:
    """What is held of these."""
    both = {each: known & held.get(each, frozenset()) for each, known in ids.items()}
    return {each: left for each, left in both.items() if left}
