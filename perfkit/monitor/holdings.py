"""Which worker holds how many jobs, and which of those wait for recovery: a few sets at a time.

Every worker has an ack set for each half of each queue, so a large system has tens of thousands.
Sets that must be empty (nothing of that queue is in anybody's hands) are not asked for; of the rest
at most ``budget`` a tick, those of dead and silent workers first, the others in turn.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import redis

from perfkit.clock import Clock
from perfkit.telemetry.ack_sets import AckSet, ack_sets, heartbeats_key, scored
from perfkit.telemetry.redis_link import RedisLink

__all__ = ["Held", "Holder", "Holdings"]

_BUDGET: Final = 200
_GONE_SHARE: Final = 0.75  # of the budget, at most, while others wait for their turn
_MOST: Final = 500  # heartbeats from each end: newest, and longest silent


class Holder(NamedTuple):
    """A broker id that Redis knows."""

    broker: str
    seen_ms: float  # wall clock of its last command
    gone: bool  # dead, or silent longer than its heartbeat timeout
    held: int | None  # messages, both halves of all queues; None before the first look
    age_s: float | None  # of that count
    ever_held: bool


@dataclass(frozen=True, slots=True)
class Held:
    """All holders, and the stalled messages by queue (of the queues asked about)."""

    holders: tuple[Holder, ...] = ()
    stalled: Mapping[str, int] | None = None
    known: int = 0  # heartbeats in Redis; holders are those of both ends


class Holdings:
    """Looks at heartbeats and ack sets of one server; never more than ``budget`` sets a look."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        timeout_ns: int,
        link_timeout_s: float,
        budget: int = _BUDGET,
    ) -> None:
        self._link = RedisLink(url, name="perfkit-monitor", timeout_s=link_timeout_s)
        self._namespace = namespace
        self._timeout_ns = timeout_ns
        self._budget = budget
        key = heartbeats_key(namespace)
        self._heartbeats = self._link.batch(
            ("ZCARD", key),
            ("ZRANGE", key, "0", str(_MOST - 1), "WITHSCORES"),
            ("ZRANGE", key, str(-_MOST), "-1", "WITHSCORES"),
        )
        self._counts: dict[AckSet, int] = {}  # those that hold anything
        self._looked_ns: dict[str, int] = {}
        self._ever: set[str] = set()
        self._gone_turn: deque[AckSet] = deque()
        self._turn: deque[AckSet] = deque()

    def look(
        self,
        queues: Mapping[str, Collection[str]],
        clock: Clock,
        dead: Collection[str] = (),
    ) -> Held:
        """Read the heartbeats, and some of the sets.

        Args:
            queues: queue -> halves of it ("" and ".DQ") of which somebody may hold something.
            clock: heartbeats are stamped with the wall clock of the workers' hosts.
            dead: broker ids of processes that are known to have ended.

        Raises:
            redis.RedisError: the connection failed.
        """
        known, oldest, newest = self._link.exchange(self._heartbeats)
        for reply in (oldest, newest):
            if isinstance(reply, redis.ResponseError):
                raise reply
        beats = {
            broker: at
            for reply in (oldest, newest)
            if isinstance(reply, list)
            for broker, at in scored(reply)
        }
        silent_ms = (clock.wall_ns() - self._timeout_ns) / 1e6
        gone = {broker for broker, at in beats.items() if at < silent_ms or broker in dead}
        self._forget(beats, queues)
        self._ask(self._next(beats, gone, queues), clock)
        return self._told(known if isinstance(known, int) else 0, beats, gone, queues, clock)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _next(
        self,
        beats: Mapping[str, float],
        gone: Collection[str],
        queues: Mapping[str, Collection[str]],
    ) -> list[AckSet]:
        """Whose turn it is."""
        living = [broker for broker in beats if broker not in gone]
        if not self._gone_turn:
            self._gone_turn.extend(_all(sorted(gone), queues))
        if not self._turn:
            self._turn.extend(_all(living, queues))
        share = int(self._budget * _GONE_SHARE) if self._turn else self._budget
        first = _taken(self._gone_turn, share)
        return first + _taken(self._turn, self._budget - len(first))

    def _ask(self, sets: list[AckSet], clock: Clock) -> None:
        if not sets:
            return
        asked = self._link.batch(*(("SCARD", each.key(self._namespace)) for each in sets))
        replies = self._link.exchange(asked)
        now_ns = clock.now_ns()
        for each, reply in zip(sets, replies, strict=True):
            self._looked_ns[each.broker] = now_ns
            if isinstance(reply, int) and reply:
                self._counts[each] = reply
                self._ever.add(each.broker)
            else:
                self._counts.pop(each, None)

    def _forget(self, beats: Mapping[str, float], queues: Mapping[str, Collection[str]]) -> None:
        """What belongs to brokers that Redis has forgotten, and to queues nobody holds."""
        self._ever &= beats.keys()
        for each in [set_ for set_ in self._counts if not _may_hold(set_, beats, queues)]:
            del self._counts[each]
        for broker in [each for each in self._looked_ns if each not in beats]:
            del self._looked_ns[broker]
        for turn in (self._gone_turn, self._turn):
            kept = [each for each in turn if _may_hold(each, beats, queues)]
            turn.clear()
            turn.extend(kept)

    def _told(
        self,
        known: int,
        beats: Mapping[str, float],
        gone: Collection[str],
        queues: Mapping[str, Collection[str]],
        clock: Clock,
    ) -> Held:
        held, stalled = Counter[str](), Counter[str]()
        for each, count in self._counts.items():
            held[each.broker] += count
            if each.broker in gone:
                stalled[each.queue] += count
        now_ns = clock.now_ns()
        nothing = not any(queues.values())
        holders = []
        for broker, seen_ms in beats.items():
            looked_ns = now_ns if nothing else self._looked_ns.get(broker)
            holders.append(
                Holder(
                    broker=broker,
                    seen_ms=seen_ms,
                    gone=broker in gone,
                    held=None if looked_ns is None else held[broker],
                    age_s=None if looked_ns is None else (now_ns - looked_ns) / 1e9,
                    ever_held=broker in self._ever,
                )
            )
        return Held(tuple(holders), {queue: stalled[queue] for queue in queues}, known)


def _all(brokers: Iterable[str], queues: Mapping[str, Collection[str]]) -> Iterable[AckSet]:
    return itertools.chain.from_iterable(
        ack_sets([broker], [queue], halves)
        for broker in brokers
        for queue, halves in queues.items()
        if halves
    )


def _taken(turn: deque[AckSet], most: int) -> list[AckSet]:
    return [turn.popleft() for _ in range(min(most, len(turn)))]


def _may_hold(
    each: AckSet, beats: Mapping[str, float], queues: Mapping[str, Collection[str]]
) -> bool:
    return each.broker in beats and each.half in queues.get(each.queue, ())
