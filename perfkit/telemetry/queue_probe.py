"""The "queues" probe: how much work stands where, read without touching anything.

Keys as in dramatiq's Lua dispatch: ``<ns>:<q>`` (list of waiting ids), ``<q>.msgs`` (bodies,
waiting and in flight), ``<q>.DQ.msgs`` (bodies of delayed messages), ``<q>.XQ`` (dead letters).
Never through the broker: its qsize writes a heartbeat and may run maintenance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import redis

from perfkit.clock import Clock
from perfkit.telemetry.queue_link import QueueLink
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, Reply

__all__ = ["QueueProbe"]

_PER_QUEUE: Final = 5  # commands in the batch
_LATEST_MS: Final = 1e14  # in the year 5138: beyond it a stamp is nonsense
_STAMP: Final = "pk_t"  # the recorder's: monotonic ns of the last enqueue, on this host
_SLACK_NS: Final = 1_000_000_000  # between two clocks, of which one tells milliseconds


class _Head(NamedTuple):
    """The message at the head of a queue; stamps are None where they can't be known."""

    id: bytes
    ready_ms: int | None  # wall clock: since when it waits, backoffs before that at the most
    enqueued_ns: int | None  # monotonic: the recorder's own stamp

    def age_ns(self, now_ns: int, wall_ns: int) -> int | None:
        """How long it has waited.

        By the recorder's stamp, unless it was made on another host or before a reboot: no message
        is enqueued before it is made.
        """
        most_ns = None if self.ready_ms is None else max(0, wall_ns - self.ready_ms * 1_000_000)
        if self.enqueued_ns is None or self.enqueued_ns > now_ns or most_ns is None:
            return most_ns
        waited_ns = now_ns - self.enqueued_ns
        return waited_ns if waited_ns <= most_ns + _SLACK_NS else most_ns


class QueueProbe(QueueLink):
    """Counts of each queue in one MULTI, then the age of the job that waits at its head.

    All commands are O(1) and read-only (`test_sampling_writes_nothing`). ``in_flight`` is what a
    worker fetched and did not acknowledge yet, stranded jobs included. ``delayed`` includes retries
    in backoff. The age counts from the last enqueue where the recorder has stamped it, so that no
    backoff is in it; else from the making of the message, or from when a retry was given back.
    With the server away there are no readings.

    Args:
        most_bytes: of a body that is read for its age; None where no stranger writes there.
    """

    kind = "queues"

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        namespace: str = "dramatiq",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
        most_bytes: int | None = None,
    ) -> None:
        self._most_bytes = most_bytes
        super().__init__(url, queues, namespace=namespace, timeout_s=timeout_s, protocol=protocol)
        self._keys = {queue: f"{namespace}:{queue}" for queue in self._queues}
        counts: list[tuple[str, ...]] = []
        for key in self._keys.values():
            counts += [
                ("LLEN", key),
                ("HLEN", f"{key}.msgs"),
                ("HLEN", f"{key}.DQ.msgs"),
                ("ZCARD", f"{key}.XQ"),
                ("LINDEX", key, "0"),
            ]
        self._counts = self._link.batch(("MULTI",), *counts, ("EXEC",))
        # The head of a standing queue stays for many ticks: its body is read once.
        self._heads: dict[str, _Head] = {}
        self._before: Mapping[str, bytes] = {}
        self._unreadable: frozenset[str] = frozenset()

    @property
    def unreadable(self) -> frozenset[str]:
        """Queues whose head can't be read, and was the head one look ago as well.

        One that was fetched and finished between two commands of a look is no trouble.
        """
        return self._unreadable

    def take(self, clock: Clock) -> list[Reading]:
        if not self._queues:
            return []
        try:
            replies = self._link.exchange(self._counts)[-1]
            at_ns, wall_ns = clock.now_ns(), clock.wall_ns()
            if not isinstance(replies, list):
                self._errors["CountsRefused"] += 1
                return []
            heads = {
                queue: replies[_PER_QUEUE * i + 4]
                for i, queue in enumerate(self._queues)
                if isinstance(replies[_PER_QUEUE * i + 4], bytes)
            }
            self._read_heads(heads)
            self._unreadable = frozenset(
                queue
                for queue, head in heads.items()
                if self._heads[queue].ready_ms is None and self._before.get(queue) == head
            )
            self._before = heads
        except (redis.RedisError, OSError) as error:
            self._errors[type(error).__name__] += 1
            return []
        readings: list[Reading] = []
        for i, queue in enumerate(self._queues):
            counts = replies[_PER_QUEUE * i : _PER_QUEUE * i + 4]
            if not all(isinstance(count, int) for count in counts):
                self._errors["WrongType"] += 1
                continue
            waiting, bodies, delayed, dead = counts
            if waiting > bodies:  # bodies were evicted, or an id was pushed twice
                self._errors["IdsWithoutBody"] += 1
            readings += [
                Reading("queue.waiting", queue, float(waiting), at_ns),
                Reading("queue.in_flight", queue, float(max(0, bodies - waiting)), at_ns),
                Reading("queue.delayed", queue, float(delayed), at_ns),
                Reading("queue.dead", queue, float(dead), at_ns),
            ]
            if waiting == 0:
                readings.append(Reading("queue.oldest_age_ns", queue, 0.0, at_ns))
            elif (
                queue in heads and (age_ns := self._heads[queue].age_ns(at_ns, wall_ns)) is not None
            ):
                readings.append(Reading("queue.oldest_age_ns", queue, float(age_ns), at_ns))
        return readings

    def _read_heads(self, heads: Mapping[str, bytes]) -> None:
        """Learn since when the messages at the heads wait."""
        unknown = [
            q for q, head in heads.items() if q not in self._heads or self._heads[q].id != head
        ]
        if self._most_bytes is not None and unknown:
            unknown = self._of_bearable_size(unknown, heads)
        if not unknown:
            return
        gets = [("HGET", f"{self._keys[queue]}.msgs", heads[queue]) for queue in unknown]
        bodies = self._link.exchange(self._link.batch(*gets))
        for queue, body in zip(unknown, bodies, strict=True):
            self._heads[queue] = self._head(heads[queue], body)

    def _of_bearable_size(self, queues: Sequence[str], heads: Mapping[str, bytes]) -> list[str]:
        asked = [("HSTRLEN", f"{self._keys[queue]}.msgs", heads[queue]) for queue in queues]
        sizes = self._link.exchange(self._link.batch(*asked))
        bearable = []
        for queue, size in zip(queues, sizes, strict=True):
            if isinstance(size, int) and size > (self._most_bytes or 0):
                self._errors["HeadTooLarge"] += 1
                self._heads[queue] = _Head(heads[queue], None, None)
            else:
                bearable.append(queue)
        return bearable

    def _head(self, head: bytes, body: Reply) -> _Head:
        if body is None:  # fetched and finished since, or evicted
            self._errors["HeadGone"] += 1
            return _Head(head, None, None)
        try:
            message = json.loads(body) if isinstance(body, bytes) else None
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and (made_ms := _moment(message.get("message_timestamp"))):
            options = message.get("options")
            options = options if isinstance(options, dict) else {}
            # A retry waits only since it was given back; the eta of its backoff is deleted by the
            # worker that puts it into the queue, so without our stamp the backoff counts as well.
            again_ms = _moment(options.get("requeue_timestamp")) or 0
            stamp = options.get(_STAMP)
            known = isinstance(stamp, int) and not isinstance(stamp, bool) and stamp > 0
            return _Head(head, max(made_ms, again_ms), stamp if known else None)
        self._errors["CorruptMessage"] += 1
        return _Head(head, None, None)


def _moment(stamp: object) -> int | None:
    """Milliseconds since the epoch, or None for what can't be that."""
    if isinstance(stamp, int | float) and not isinstance(stamp, bool) and 0 < stamp < _LATEST_MS:
        return int(stamp)
    return None
