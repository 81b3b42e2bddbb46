"""The "queues" probe: how much work stands where, read without touching anything.

Keys as in dramatiq's Lua dispatch: ``<ns>:<q>`` (list of waiting ids), ``<q>.msgs`` (bodies,
waiting and in flight), ``<q>.DQ.msgs`` (bodies of delayed messages), ``<q>.XQ`` (dead letters).
Never through the broker: its qsize writes a heartbeat and may run maintenance.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import redis

from perfkit.clock import Clock
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, RedisLink, Reply

__all__ = ["QueueProbe"]

_PER_QUEUE: Final = 5  # commands in the batch
_LATEST_MS: Final = 1e14  # in the year 5138: beyond it a stamp is nonsense


class QueueProbe:
    """Counts of each queue in one MULTI, then the age of the job that waits at its head.

    All commands are O(1) and read-only (`test_sampling_writes_nothing`). ``in_flight`` is what a
    worker fetched and did not acknowledge yet, stranded jobs included. ``delayed`` includes retries
    in backoff. The age counts from the making of the message, or from when it fell due if it was
    delayed or retried. With the server away there are no readings.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        namespace: str = "dramatiq",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
    ) -> None:
        self._link = RedisLink(url, name="perfkit-queues", timeout_s=timeout_s, protocol=protocol)
        self._queues = tuple(queues)
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
        self._heads: dict[str, tuple[bytes, int | None]] = {}
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return "queues"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

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
            elif queue in heads and (made_ms := self._heads[queue][1]) is not None:
                age_ns = max(0, wall_ns - made_ms * 1_000_000)
                readings.append(Reading("queue.oldest_age_ns", queue, float(age_ns), at_ns))
        return readings

    def close(self) -> None:
        self._link.close()

    def _read_heads(self, heads: Mapping[str, bytes]) -> None:
        """Learn when the messages at the heads were made; None where that can't be known."""
        unknown = [q for q, head in heads.items() if self._heads.get(q, (b"", None))[0] != head]
        if not unknown:
            return
        gets = [("HGET", f"{self._keys[queue]}.msgs", heads[queue]) for queue in unknown]
        bodies = self._link.exchange(self._link.batch(*gets))
        for queue, body in zip(unknown, bodies, strict=True):
            self._heads[queue] = (heads[queue], self._made_ms(body))

    def _made_ms(self, body: Reply) -> int | None:
        if body is None:  # fetched and finished since, or evicted
            self._errors["HeadGone"] += 1
            return None
        try:
            message = json.loads(body) if isinstance(body, bytes) else None
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and (made_ms := _moment(message.get("message_timestamp"))):
            # A delayed message, or a retry after its backoff, waits only since it fell due: the
            # worker that puts it into the queue keeps its eta among the options.
            options = message.get("options")
            due_ms = _moment(options.get("eta")) if isinstance(options, dict) else None
            return max(made_ms, due_ms or 0)
        self._errors["CorruptMessage"] += 1
        return None


def _moment(stamp: object) -> int | None:
    """Milliseconds since the epoch, or None for what can't be that."""
    if isinstance(stamp, int | float) and not isinstance(stamp, bool) and 0 < stamp < _LATEST_MS:
        return int(stamp)
    return None
