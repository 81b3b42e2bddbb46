"""What Redis still holds when a trial has ended, read without writing a key.

Evidence for the accounting: an accepted job that was not done must be found somewhere.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis

from perfkit.launcher.foreign import connect

__all__ = ["Holdings", "dead_letters", "read_leftovers", "remaining"]


class Holdings:
    """What every Redis of a stack holds of a trial's queues; close it at the end.

    Args:
        servers: URL -> the queues that live there.
        namespace: the broker's key prefix.
    """

    def __init__(self, servers: Mapping[str, Sequence[str]], namespace: str = "dramatiq") -> None:
        self._namespace = namespace
        with contextlib.ExitStack() as opened:
            self._parts = [
                (opened.enter_context(contextlib.closing(connect(url))), tuple(queues))
                for url, queues in servers.items()
            ]
            # On somebody's Redis there may be dead letters of earlier days.
            self._dead_before = [
                dead_letters(client, queues, namespace) for client, queues in self._parts
            ]
            self._opened = opened.pop_all()

    def remaining(self) -> int:
        """Messages that are waiting, in flight or delayed.

        Raises:
            redis.RedisError: a server does not answer.
        """
        return sum(remaining(client, queues, self._namespace) for client, queues in self._parts)

    def leftovers(self, owners: Mapping[str, tuple[str, bool]]) -> list[dict[str, Any]]:
        """Rows as of `read_leftovers`, of all servers.

        Raises:
            redis.RedisError: a server does not answer.
        """
        return [
            row
            for (client, queues), before in zip(self._parts, self._dead_before, strict=True)
            for row in read_leftovers(client, queues, owners, self._namespace, before)
        ]

    def close(self) -> None:
        """Leave the servers."""
        self._opened.close()


def remaining(client: redis.Redis, queues: Iterable[str], namespace: str = "dramatiq") -> int:
    """Messages that are waiting, in flight or delayed, in one round trip."""
    with client.pipeline(transaction=True) as pipe:
        for queue in queues:
            pipe.hlen(f"{namespace}:{queue}.msgs")
            pipe.hlen(f"{namespace}:{queue}.DQ.msgs")
        return sum(pipe.execute())


def read_leftovers(
    client: redis.Redis,
    queues: Iterable[str],
    owners: Mapping[str, tuple[str, bool]],
    namespace: str = "dramatiq",
    dead_before: frozenset[str] = frozenset(),
) -> list[dict[str, Any]]:
    """One row per message left, with the columns of LEFTOVERS but ``trial``.

    Args:
        client: a connection with undecoded replies.
        queues: queues without their ``.DQ`` halves.
        owners: broker id -> (worker name, alive at the end).
        namespace: the broker's key prefix.
        dead_before: redis ids of dead letters that were there before the trial.
    """
    rows: list[dict[str, Any]] = []
    seen = client.zrange(f"{namespace}:__heartbeats__", 0, -1)
    brokers = dict.fromkeys([*owners, *(_text(each) for each in _list(seen))])
    for queue in queues:
        for half, place in ((queue, "list"), (f"{queue}.DQ", "delayed")):
            listed = set(_list(client.lrange(f"{namespace}:{half}", 0, -1)))
            held = _held(client, namespace, half, brokers)
            for rid, body in _bodies(client, f"{namespace}:{half}.msgs"):
                owner = held.get(rid)
                where = place if rid in listed else "acks" if owner else "nowhere"
                name, alive = owners.get(owner or "", (owner, None))
                rows.append(_row(queue, rid, body, where, name, alive))
        rows.extend(
            _row(queue, rid, body, "dead", None, None)
            for rid, body in _bodies(client, f"{namespace}:{queue}.XQ.msgs")
            if _text(rid) not in dead_before
        )
    return rows


def dead_letters(
    client: redis.Redis, queues: Iterable[str], namespace: str = "dramatiq"
) -> frozenset[str]:
    """Redis ids of the dead letters of these queues."""
    keys = (f"{namespace}:{queue}.XQ.msgs" for queue in queues)
    return frozenset(_text(rid) for key in keys for rid in _list(client.hkeys(key)))


def _row(
    queue: str, rid: bytes, body: bytes, place: str, owner: str | None, alive: bool | None
) -> dict[str, Any]:
    return {
        "job_id": _message_id(body) or _text(rid),
        "redis_message_id": _text(rid),
        "queue": queue,
        "place": place,
        "owner": owner if place == "acks" else None,
        "owner_alive": alive if place == "acks" else None,
    }


def _held(
    client: redis.Redis, namespace: str, half: str, brokers: Iterable[str]
) -> dict[bytes, str]:
    """Message -> broker whose ack set holds it."""
    held: dict[bytes, str] = {}
    for broker in brokers:
        members = client.smembers(f"{namespace}:__acks__.{broker}.{half}")
        held.update(dict.fromkeys(_list(members), broker))
    return held


def _bodies(client: redis.Redis, key: str) -> Iterator[tuple[bytes, bytes]]:
    for rid, body in client.hscan_iter(key, count=1000):
        yield bytes(rid), bytes(body)


def _message_id(body: bytes) -> str | None:
    try:
        value = json.loads(body)["message_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _list(value: Any) -> Sequence[bytes]:
    return [bytes(each) for each in value]


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
